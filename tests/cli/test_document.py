"""docs/cli.md keeps its word: every command and option is in it, its examples print what it shows, and nobody's are made up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from otel_llmcost.cli import COMMANDS, cli

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^##? \w|\Z)", DOCUMENT))
EXAMPLES = re.findall(r"(?ms)^```console\n\$ otel-llmcost ([^\n]*)\n(.*?)^```$", DOCUMENT)
PROSE = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RESPONSE = (
    '{"id": "chatcmpl-1", "object": "chat.completion", "created": 1793534400, "model": "gpt-5.4-mini-2026-03-17", "usage": '
    '{"prompt_tokens": 10000, "completion_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 2000}}}'
)


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command, and those below it."""
    yield name, command
    if isinstance(command, click.Group):
        for below, each in command.commands.items():
            yield from leaves(f"{name} {below}", each)


def commands(name: str) -> list[tuple[str, click.Command]]:
    """Give a command of `cli.COMMANDS` and those below it."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return list(leaves(name, found))


def test_every_command_has_a_section_in_order():
    """
    The document has a section for each command and for nothing else, in the order of `--help`.
    """
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    """
    Each option of a command has a row in its section, as do no others.
    """
    options = {
        option for _, each in commands(name) for p in each.params if isinstance(p, click.Option) for option in p.opts
    }

    assert set(re.findall(r"(?m)^\| `(--[a-z0-9-]+)", SECTIONS[name])) == options


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name):
    """
    No option is left without a word in `--help`.
    """
    wordless = [
        (path, p.name)
        for path, each in commands(name)
        for p in each.params
        if isinstance(p, click.Option) and not p.help
    ]

    assert not wordless


def normal(text: str) -> str:
    """Take out what another version of the prices changes."""
    text = re.sub(r"#[0-9a-f]{12}\b", "#RATE", text)
    return re.sub(r"(genai-prices|checked) [0-9.-]+\d", r"\1 VERSION", text)


@pytest.mark.parametrize(("typed", "shown"), EXAMPLES, ids=[typed for typed, _ in EXAMPLES])
def test_examples_print_what_the_document_shows(typed, shown, company, tmp_path, monkeypatch):
    """
    Each example of the document prints what stands below it; `…` is anything, and a line of it any lines.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "response.json").write_text(RESPONSE)

    printed = CliRunner().invoke(cli, shlex.split(typed), prog_name="otel-llmcost").output

    lines = [
        "(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in normal(shown).splitlines()
    ]
    assert re.fullmatch("".join(lines), normal(printed)), printed


def typed_in(path: Path) -> Iterator[str]:
    """Give the commands that a document tells people to type, without what a shell does with them."""
    for kind, block in re.findall(r"(?ms)^```(console|sh|bash|shell)\n(.*?)^```$", path.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if kind == "console" and not line.startswith("$"):
                continue
            if found := re.search(r"(?<![\w/.-])otel-llmcost(?= |$)(.*)", line):
                yield re.split(r"[|>&;]|\)\"| [#<]", found[1])[0].strip()


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_documents_name_commands_and_options_that_exist(path):
    """
    Whatever any document tells people to type is a command with options that it has.
    """
    for typed in typed_in(path):
        words = shlex.split(typed)
        command: click.Command = cli
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            below = command.get_command(click.Context(command), words.pop(0))
            assert below is not None, typed
            command = below
        context = click.Context(command, ignore_unknown_options=False)
        try:
            command.make_parser(context).parse_args(words)
        except click.UsageError as error:
            pytest.fail(f"{path.name}: {typed}: {error.message}")
