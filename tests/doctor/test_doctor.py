"""`otel-llmcost doctor`, as a user runs it: against a ledger, without one, and beside its owner."""

from __future__ import annotations

import json
import socket
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import _output, cli
from otel_llmcost.doctor import Examination, Finding, examine
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.embedded import OwnerLock
from otel_llmcost.reports import spend
from otel_llmcost.reports.period import Period
from tests.clickhouse_double import ClickHouseDouble
from tests.doctor.conftest import BILL, HANDLER, NATIVE

NOVEMBER = Period(date(2026, 11, 1), date(2026, 12, 1))
COPIED = ("- usd_per", "usd_per", "pip install", "stream_options")
"""Beginnings of lines that are to be copied, and never wrapped."""
SINCE = ("--since", "2026-11-01")


def run(*arguments: str) -> Result:
    """Run the doctor."""
    return CliRunner().invoke(cli, ["doctor", *arguments])


def about(found: Examination, subject: str) -> list[Finding]:
    """Give the findings whose subject begins so."""
    return [finding for finding in found.findings if finding.subject.startswith(subject)]


@pytest.fixture
def examined(dsn: str) -> Examination:
    """What the doctor says of the ledger of these tests."""
    return examine(NOVEMBER, dsn=dsn, environ={})


def test_spend_through_each_instrumentation(examined: Examination) -> None:
    """
    How much passed through each instrumentation that hides something is said, with what it hides and what to do.
    """
    (handler,) = about(examined, HANDLER)
    (native,) = about(examined, NATIVE)

    assert (handler.severity, native.severity) == ("warning", "warning")
    assert handler.what.startswith("$3.00 (30.0% of spend, openai)")
    assert "cached_input (" in handler.what
    assert "tool_calls (" in handler.what
    assert "genai-openai>=1.3b0" in handler.snippet
    assert native.what.startswith("$2.00 (20.0% of spend, anthropic)")


def test_gaps_sum_to_the_bill(examined: Examination, ledger: Ledger) -> None:
    """
    What hides something and what hides nothing sum to the bill that reports show.
    """
    bill = spend(ledger, ["month"], since=NOVEMBER.since, until=NOVEMBER.until).total

    assert examined.gaps is not None
    assert bill.cost_usd == examined.gaps.total_usd == BILL
    assert bill.requests == sum(row.requests for row in examined.gaps.rows)
    assert examined.gaps.complete_usd == Decimal(5)


def test_requests_without_usage(examined: Examination) -> None:
    """
    Success without usage is a problem, an abandoned request a warning, and a plain failure neither.
    """
    found = about(examined, "no usage")

    assert [finding.severity for finding in found] == ["problem", "warning"]
    assert "include_usage" in found[0].snippet
    assert "cancelled" in found[1].what


def test_unpriced_models(examined: Examination) -> None:
    """
    A model without a price is named with its requests, its tokens, and the card that would price it.
    """
    (finding,) = about(examined, "unpriced: gpt-x, openai")

    assert finding.severity == "problem"
    assert "2 requests with 11,210 tokens" in finding.what
    assert 'match: "gpt-x"' in finding.snippet
    assert "web_search_calls: PRICE" in finding.snippet


def test_unattributed_spend(examined: Examination) -> None:
    """
    Spend without a team is named by the services that it comes from.
    """
    (finding,) = about(examined, "unattributed")

    assert finding.what == "$2.00 (20.0% of spend) has no team, from services: checkout $2.00"


def test_worst_first_and_exit_code(dsn: str, examined: Examination) -> None:
    """
    Problems come first, and the exit code is 3 when there is one.
    """
    severities = [finding.severity for finding in examined.findings]

    assert severities == sorted(severities, key=["problem", "warning", "ok"].index)
    assert run(*SINCE, "--dsn", dsn).exit_code == 3


def test_text(dsn: str) -> None:
    """
    People read the bill by what it may hide, then each finding with its fix, and a count at the end.
    """
    lines = run(*SINCE, "--dsn", dsn).stdout.splitlines()

    assert lines[0].startswith("LLM cost by usage gap, 2026-11-01 to ")
    assert any(line.startswith("Total") and "$10.00  100.0%" in line for line in lines)
    assert any("(nothing)" in line for line in lines)
    assert any(line.startswith("problem  unpriced: gpt-x, openai: 2 requests") for line in lines)
    assert "         Fix: " in "\n".join(lines)
    assert "  - match: " in "\n".join(lines)
    assert lines[-1].endswith(" ok")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_text_fits_the_terminal(dsn: str, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """
    On a terminal nothing is wider than it, but for lines to copy, and paths and addresses, which stay whole.
    """
    monkeypatch.setattr(_output, "terminal_width", lambda **_stream: width)

    lines = run(*SINCE, "--dsn", dsn).stdout.splitlines()

    wide = [line.strip() for line in lines if len(line) > width]
    assert not [line for line in wide if " " in line and not line.startswith(COPIED)]


def test_json(dsn: str) -> None:
    """
    Programs read the same findings, and exact decimal text.
    """
    answer = json.loads(run(*SINCE, "--dsn", dsn, "--format", "json").stdout)

    assert answer["problems"] == sum(finding["severity"] == "problem" for finding in answer["findings"]) > 0
    gaps = answer["usage_gaps"]
    assert (gaps["total_usd"], gaps["complete_usd"]) == ("10", "5")
    assert sum(Decimal(row["cost_usd"]) for row in gaps["rows"]) == Decimal(gaps["total_usd"])
    assert {"scope_name", "dialect", "provider", "gaps", "requests", "cost_usd"} <= gaps["rows"][0].keys()
    shares = {(each["scope_name"], each["gap"]): each["share"] for each in gaps["by_gap"]}
    assert (shares[HANDLER, "cached_input"], shares[NATIVE, "region"]) == ("30.0%", "20.0%")


def test_without_a_ledger(tmp_path: Path) -> None:
    """
    Where there is no ledger yet, the environment is examined all the same, and none is made.
    """
    result = run("--dsn", f"chdb://{tmp_path}/nowhere")

    assert (result.exit_code, "spend was not looked at" in result.stdout) == (0, True), result.stdout
    assert "propagators" in result.stdout
    assert not (tmp_path / "nowhere").exists()


def test_beside_the_owner(tmp_path: Path) -> None:
    """
    A ledger that another process owns is a finding, not a failure.
    """
    lock = OwnerLock(tmp_path)
    try:
        found = examine(NOVEMBER, dsn=f"chdb://{tmp_path}", environ={})
    finally:
        lock.release()

    (finding,) = about(found, "ledger")
    assert (finding.severity, "is open in process" in finding.what) == ("warning", True)
    assert found.gaps is None


def test_a_ledger_that_does_not_answer() -> None:
    """
    A server that is away is a problem with what to do, and the environment is examined all the same.
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = examine(NOVEMBER, dsn=f"http://127.0.0.1:{unused.getsockname()[1]}/llmcost", environ={})

    assert [finding.severity for finding in about(found, "ledger")] == ["problem"]
    assert about(found, "propagators")


def test_a_ledger_without_tables(server: ClickHouseDouble) -> None:
    """
    A server without our tables is a problem, and the command that makes them is named.
    """
    server_dsn = server.dsn("nothing_here")

    (finding,) = about(examine(NOVEMBER, dsn=server_dsn, environ={}), "ledger")

    assert (finding.severity, finding.fix) == ("problem", "otel-llmcost schema apply")


def test_an_empty_period(dsn: str, ledger: Ledger) -> None:
    """
    A ledger without requests in the period is warned about, because a processor may have another one.
    """
    found = examine(Period(date(2020, 1, 1), date(2020, 2, 1)), dsn=dsn, environ={})

    assert [finding.severity for finding in about(found, "ledger")] == ["warning"]


@pytest.mark.parametrize("dsn", ["chdb://relative", "mysql://host"])
def test_a_wrong_dsn(dsn: str) -> None:
    """
    A wrong DSN is a problem that names the accepted forms.
    """
    result = run("--dsn", dsn)

    assert (result.exit_code, "chdb:///" in result.stdout) == (3, True), result.output


def test_a_wrong_dsn_in_the_environment(tmp_path: Path) -> None:
    """
    Where the environment's DSN is wrong, no other ledger is looked at in its place; one that is named is.
    """
    environ = {"OTEL_LLMCOST_DSN": "mysql://host"}

    unnamed = examine(NOVEMBER, environ=environ)
    named = examine(NOVEMBER, dsn=f"chdb://{tmp_path}/nowhere", environ=environ)

    assert [finding.severity for finding in about(unnamed, "OTEL_LLMCOST_DSN")] == ["problem"]
    assert "spend was not looked at: the ledger's DSN" in about(unnamed, "ledger")[0].what
    assert not about(unnamed, "journal")
    assert "there is none in" in about(named, "ledger")[0].what


def test_wrong_usage() -> None:
    """
    A period that is none ends with 2.
    """
    assert run("--since", "soon").exit_code == 2
