"""`otel-llmcost audit` as a person pastes it and as a program pipes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.audit.result import COLUMNS
from otel_llmcost.cli import _output, cli
from otel_llmcost.model import COUNTS
from tests import captures
from tests.audit.test_audit_bodies import CHAT, CONVERSE, MESSAGE

MANY = (
    "otel-genai-anthropic__anthropic_fast_us",
    "pydantic-ai__pydantic_ai_agent_tool",
    "openinference-litellm__litellm_fallback",
    "logfire-anthropic__anthropic_rich",
)


HEADER = "# Time (UTC) Provider Model Input Cached Written Output Calls Tier Status Attempt Cost"


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Run the command as a user would."""
    return CliRunner().invoke(cli, ["audit", *arguments], input=stdin)


@pytest.fixture
def traces(tmp_path: Path) -> str:
    """A file with a request a line, one of them not priced."""
    lines = [captures.load(name)["otlp"] for name in MANY]
    path = tmp_path / "traces.jsonl"
    path.write_text("\n".join(map(json.dumps, [*lines, CONVERSE])))
    return str(path)


def test_json_has_the_whole_vocabulary(traces: str):
    """
    Programs get every column of every request, amounts as decimal text, null for what is unknown.
    """
    result = run(traces, "--format", "json")
    answer = json.loads(result.stdout)

    assert result.exit_code == 0, result.stderr
    assert {"requests", "duplicates", "totals"} == answer.keys()
    for each in answer["requests"]:
        assert set(COLUMNS) == each.keys()
        assert set(COUNTS) <= each.keys()
        assert each["cost_usd"] is None or isinstance(each["cost_usd"], str)
    assert {"span_id", "of_span_id", "reason"} == {key for each in answer["duplicates"] for key in each}
    totals = answer["totals"]
    assert (totals["is_lower_bound"], totals["unpriced"]) == (True, 1)
    assert totals["failed_no_usage"] == 1


def test_the_table_says_what_to_believe(traces: str):
    """
    Rows, a total that is a lower bound, what is not priced and why, what may cost more, what was not charged again.
    """
    result = run(traces)
    lines = result.stdout.splitlines()

    assert result.exit_code == 0, result.stderr
    assert lines[0].split() == HEADER.split()
    assert any(
        line.startswith("Total") and "≥ $" in line and "1 not priced, 1 failed without usage" in line for line in lines
    )
    for words in ("Not priced", "--model names it", "May cost more", "does not show", "Not charged again"):
        assert words in result.stdout


def test_a_complete_total_is_no_lower_bound():
    """
    Where all is known, the total is exact: a failure without usage does not change that.
    """
    result = run("-", stdin=json.dumps(captures.load("openinference-litellm__litellm_fallback")["otlp"]))

    assert "Total              $0.001044 for 2 requests: 1 priced, 1 failed without usage" in result.stdout


def test_explain_shows_the_arithmetic():
    """
    With --explain each count stands beside its price, and the rate names its source and date.
    """
    result = run("-", "--explain", stdin=json.dumps(CHAT))
    words = [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert "cached_input_tokens 2,000 $0.075 per 1M $0.00015" in words
    assert "total $0.01155" in words
    assert any(line.startswith("rate openai/gpt-5.4-mini#") and "since 2026-03-17" in line for line in words)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, traces: str, width: int):
    """
    At 60, 80 and 160 columns nothing runs over the edge, and number, model, input, output and cost are always there.
    """
    monkeypatch.setattr(_output, "terminal_width", lambda **_stream: width)
    lines = run(traces, "--explain").stdout.splitlines()
    table = lines[: lines.index("")]

    assert max(map(len, table)) <= width
    assert {"#", "Model", "Input", "Output", "Cost"} <= set(table[0].split())
    assert [line for line in lines if len(line) > width and "https://" not in line] == []


def test_when_piped_nothing_is_cut(traces: str):
    """
    Without a terminal the table is plain: no escape codes, no ellipsis.
    """
    result = run(traces, "--explain")

    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout


def test_broken_lines_are_reported_and_the_rest_is_audited(tmp_path: Path):
    """
    Problems go to standard error as file:line, the answer to standard output, and the exit code is 1.
    """
    path = tmp_path / "mixed.jsonl"
    path.write_text(f'{json.dumps(CHAT)}\n{{"broken\n{{"other": 1}}\n{json.dumps(MESSAGE)}\n')
    result = run(str(path), "--format", "json")

    assert result.exit_code == 1
    assert [each["provider"] for each in json.loads(result.stdout)["requests"]] == ["openai", "anthropic"]
    assert [f"{path}:2:", f"{path}:3:"] == [line.split(" ")[0] for line in result.stderr.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "FILE"),
        (("missing.json",), "missing.json"),
        (("-", "--at", "noon"), "2026-08-16T16:00:00Z"),
        (("-", "--at", "2026-11-01T12:00:00"), "no time zone"),
        (("-", "--at", "1066-10-14"), "2000 to 2099"),
        (("-", "--format", "csv"), "csv"),
    ],
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...], words: str):
    """
    Wrong usage says what is wrong and what is accepted.
    """
    result = run(*arguments, stdin="")

    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    "held", [b"", b"\n\n", b"\xff\xfe{", b"[" * 200_000, b'{"a": ' + b"9" * 10_000 + b"}", b"null"]
)
def test_hostile_input_is_an_error_not_a_traceback(held: bytes):
    """
    Whatever is pasted: a sentence with its place, exit code 1.
    """
    result = run("-", stdin=held)

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("<stdin>:1: ")


def test_rate_cards_win(tmp_path: Path):
    """
    A rate card of the user's prices what published prices do not know.
    """
    card = tmp_path / "card.yaml"
    card.write_text(
        "rate_card: ours\ncurrency: USD\nprovider: openai\nsource: https://example.com\nchecked: 2026-11-01\nmodels:\n"
        "  - match: [house-model]\n    rates:\n      - from: 2026-01-01\n"
        "        usd_per_million: {input_tokens: 1, cached_input_tokens: 0.5, output_tokens: 2}\n"
    )
    result = run("-", "--format", "json", "--rate-card", str(card), stdin=json.dumps({**CHAT, "model": "house-model"}))
    (each,) = json.loads(result.stdout)["requests"]

    assert (each["rate_source"], each["cost_usd"]) == ("card:ours", "0.0114")


def test_at_selects_the_rate_of_a_response_without_a_time():
    """
    What was made before a price change is priced as then.
    """
    body = json.dumps({**MESSAGE, "model": "claude-sonnet-4-5-20250929"})
    early, late = (
        json.loads(run("-", "--at", at, "--format", "json", stdin=body).stdout) for at in ("2024-01-01", "2026-11-01")
    )

    assert (early["requests"][0]["reason"], early["totals"]["cost_usd"]) == ("before_launch", None)
    assert late["requests"][0]["cost_usd"] is not None
    assert "1 response carried none" in run("-", stdin=body).stdout


def test_it_needs_no_ledger_and_loads_no_engine(tmp_path: Path):
    """
    An audit imports no database client, no engine, and writes nothing.
    """
    script = (
        "import sys; from otel_llmcost.cli import cli; cli(['audit', '-'], standalone_mode=False);"
        "print(sorted({'chdb', 'clickhouse_connect', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(CHAT), capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip

    assert "$0.01155" in done.stdout
    assert done.stderr.strip().endswith("[]")
    assert list(tmp_path.iterdir()) == []
