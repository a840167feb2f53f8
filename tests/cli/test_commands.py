"""What holds for every command: quick help, suggestions, exit codes, an end by Ctrl-C, completion in a real shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_llmcost.cli import COMMANDS, SECTIONS, cli
from tests.cli.terminal import COMMAND, LISTENING, Terminal

HEAVY = (
    "rich",
    "chdb",
    "clickhouse_connect",
    "pandas",
    "pyarrow",
    "starlette",
    "uvicorn",
    "jinja2",
    "genai_prices",
    "openai",
)


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """
    `--help` loads no engine, no client, no prices and no web server.
    """
    code = (
        "import json, sys; from otel_llmcost.cli import cli\n"
        f"try: cli([*{arguments!r}, '--help'])\n"
        f"finally: print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, json.loads(done.stderr)) == (0, []), done.stdout


def test_help_lists_every_command_once() -> None:
    """
    `--help` lists the commands by what they are for, each once.
    """
    shown = CliRunner().invoke(cli, ["--help"]).stdout

    assert all(re.search(rf"(?m)^{title}:$", shown) for title in SECTIONS)
    assert re.findall(r"(?m)^  ([a-z]+)  ", shown.partition(f"{next(iter(SECTIONS))}:")[2]) == list(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("reprot",), "'report'"),
        (("docter", "--since", "7d"), "'doctor'"),
        (("report", "--bye", "team"), "'--by'"),
        (("report", "--by", "tem"), "'team'"),
        (("report", "--by", "team,modle"), "'model'"),
        (("requests", "--where", "custmer=acme"), "'customer'"),
        (("rates", "chek", "card.yaml"), "'check'"),
    ],
)
def test_what_was_meant_is_suggested(company: str, typed: tuple[str, ...], meant: str) -> None:
    """
    A command, an option or a dimension that does not exist is wrong usage, and the nearest one is named.
    """
    result = CliRunner().invoke(cli, typed)

    assert result.exit_code == 2
    assert re.search(rf"Did you mean {meant}\?", result.stderr), result.stderr


@pytest.mark.parametrize(
    "command", [("report", "--by", "tem"), ("requests", "--where", "tem=search"), ("top", "--by", "tem")]
)
def test_no_ledger_is_made_for_a_wrong_dimension(command: tuple[str, ...], tmp_path: Path) -> None:
    """
    A dimension that does not exist is refused before a ledger is opened, or made.
    """
    result = CliRunner().invoke(cli, [*command, "--dsn", f"chdb://{tmp_path / 'ledger'}"])

    assert (result.exit_code, "Did you mean 'team'?" in result.stderr) == (2, True)
    assert not (tmp_path / "ledger").exists()


def test_ctrl_c_is_130_without_a_stack() -> None:
    """
    A command that is interrupted says so and ends with 130.
    """
    asking = subprocess.Popen(
        [*LISTENING, *COMMAND, "price", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdin is not None
    assert asking.stdout is not None
    asking.stdin.write("{}\n")
    asking.stdin.flush()
    asking.stdout.readline()  # it is at work
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=60)

    assert (asking.returncode, said) == (130, "Interrupted.\n")


@pytest.mark.parametrize(
    "command", [["report", "--by", "team", "--month", "2026-10"], ["requests", "--month", "2026-10"]]
)
def test_an_ascii_terminal_gets_ascii(company: str, command: list[str]) -> None:
    """
    Where the output takes only ASCII, a command says all it has to say.
    """
    done = subprocess.run(
        [*COMMAND, *command], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii").count("\n") > 3


def test_a_reader_that_leaves_is_no_failure_to_tell(company: str) -> None:
    """
    `| head -1` ends a command without a word.
    """
    piped = f"{' '.join(COMMAND)} requests --month 2026-10 --limit 1000 | head -1"
    done = subprocess.run(["sh", "-c", piped], capture_output=True, text=True, check=False)

    assert done.stdout.startswith("Time (UTC)")
    assert done.stderr == ""


@pytest.mark.parametrize("columns", [40, 60, 200])
@pytest.mark.parametrize(
    "command",
    [("report", "--by", "team"), ("requests", "--limit", "3"), ("verify",), ("explain", "resp-40-1"), ("forget", "--customer", "acme")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_terminal_of_any_width_is_enough(company: str, columns: int, command: tuple[str, ...]) -> None:
    """
    Nothing is wider than its terminal but an id or an address, which stays whole; there is no colour on any.
    """
    period = () if command[0] in ("explain", "forget") else ("--month", "2026-10")
    with Terminal(*command, *period, columns=columns) as terminal:
        code = terminal.ended()

        assert code == 0, terminal.text
        assert "\x1b" not in terminal.text
        wide = [re.split("  +", line.strip())[-1] for line in terminal.text.splitlines() if len(line) > columns]
        assert not [text for text in wide if " " in text]


def test_an_error_fits_the_terminal() -> None:
    """
    An error is wrapped between words to the terminal that it is told on.
    """
    with Terminal("report", "--by", "team", "--dsn", "postgres://here", columns=50) as terminal:
        code = terminal.ended()

        lines = terminal.text.splitlines()
        assert (code, lines[0][:6]) == (1, "Error:")
        assert len(lines) > 1
        assert max(map(len, lines)) <= 50
        assert "".join(lines).count("Error:") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: str) -> None:
    """
    Each shell gets the script that asks this program.
    """
    result = CliRunner().invoke(cli, ["completion", shell])

    assert result.exit_code == 0
    assert f"_OTEL_LLMCOST_COMPLETE={shell}_complete" in result.stdout
    assert "otel-llmcost" in result.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("otel-llmcost re", ["repair", "report", "requests"]),
        ("otel-llmcost report --by te", ["team"]),
        ("otel-llmcost report --by team,mo", ["team,model", "team,month"]),
        ("otel-llmcost report --where fea", ["feature="]),
        ("otel-llmcost top --by ho", []),
        ("otel-llmcost report --format m", ["markdown"]),
        ("otel-llmcost schema st", ["status"]),
    ],
)
def test_bash_completes(typed: str, offered: list[str], tmp_path: Path) -> None:
    """
    In a real bash, Tab offers commands, options and dimensions.
    """
    program = tmp_path / "otel-llmcost"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    words = typed.split()
    script = (
        'eval "$(otel-llmcost completion bash)"\n'
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _otel_llmcost_completion otel-llmcost\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert sorted(done.stdout.split()) == offered, done.stderr
