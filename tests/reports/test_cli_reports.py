"""The commands that answer questions, as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import cli
from otel_llmcost.cli._output import Column, print_table
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import Ledger, parse_dsn
from otel_llmcost.ledger.embedded import OwnerLock
from otel_llmcost.ledger.row import month_of, request_row
from otel_llmcost.reports import explain, requests
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, START_NS, a_request
from tests.reports.conftest import charges
from tests.reports.test_spend import autumn

PERIOD = ("--since", "2026-10-01", "--until", "2026-12-01")
Run = Callable[..., Result]


@pytest.fixture
def run(dsn: str) -> Run:
    """Run a command against the ledger of these tests."""
    return lambda *arguments: CliRunner().invoke(cli, [*arguments, "--dsn", dsn])


def test_report_table(run: Run) -> None:
    """
    People read aligned text: money, shares that sum to the whole, a total, and what makes it a lower bound.
    """
    result = run("report", "--by", "team", *PERIOD)
    lines = result.stdout.splitlines()

    assert result.exit_code == 0, result.output
    assert lines[0] == "LLM cost by team, 2026-10-01 to 2026-11-30 UTC"
    assert lines[1].split()[:4] == ["Team", "Cost", "Share", "Requests"]
    assert any(line.startswith("Total") and "≥ $1." in line and "100.0%" in line for line in lines)
    assert "≥: 5 requests of unknown cost" in result.stdout
    assert "of the cost has no team" in result.stdout


def test_report_json(run: Run, ledger: Ledger) -> None:
    """
    Programs read exact decimal text, never a float, and the parts sum to the total.
    """
    answer = json.loads(run("report", "--by", "team,day", *PERIOD, "--format", "json").stdout)

    assert answer["period"] == {"since": "2026-10-01", "until": "2026-12-01", "timezone": "UTC"}
    total = sum(Decimal(row["cost_usd"]) for row in answer["rows"])
    assert total == Decimal(answer["total"]["cost_usd"]) == autumn(ledger, ["team"]).total.cost_usd
    assert {"team", "day", "requests", "cost_usd"} <= answer["rows"][0].keys()


def test_report_csv(run: Run) -> None:
    """
    A spreadsheet takes no customer's name for a formula, and every number for a number.
    """
    text = run("report", "--by", "customer", *PERIOD, "--format", "csv").stdout
    rows = {row["customer"]: row for row in csv.DictReader(io.StringIO(text))}

    assert {"'=cmd()", "'@sum", "acme", "(unattributed)"} <= rows.keys()
    assert all(Decimal(row["cost_usd"]) >= 0 for row in rows.values())


def test_report_markdown(run: Run) -> None:
    """
    Markdown is a table that pastes into a pull request.
    """
    lines = run("report", "--by", "model", *PERIOD, "--format", "markdown").stdout.splitlines()

    assert lines[2].startswith("| Model | Cost |")
    assert lines[3].startswith("| --- | ---: |")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "nope"), "there are team, feature, customer"),
        (("--by", "team", "--since", "soon"), "2026-10-01, or 30d"),
        (("--by", "team", "--month", "2026-1"), "2026-10"),
        (("--by", "team", "--month", "9999-12"), "not within 1970-01-01"),
        (("--by", "team", "--until", "0001-01-01"), "not within 1970-01-01"),
        (("--by", "team", "--since", "1969-12-31"), "not within 1970-01-01"),
        (("--by", "team", "--month", "2026-10", "--since", "30d"), "leave out --since"),
        (("--by", "team", "--month", "2026-10", "--until", "2026-10-02"), "leave out --since"),
        (("--by", "team", "--where", "search"), "DIMENSION=VALUE"),
        (("--by", "team", "--where", "team=a", "--where", "team=b"), "given twice"),
        (("--by", "team", "--where", "customer=a", "--where", "customer_id=b"), "given twice"),
        (("--by", "team", "--top", "0"), "x>=1"),
        ((), "--by"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """
    Wrong usage ends with 2 and says what there is.
    """
    result = run("report", *arguments)

    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_requests(run: Run, ledger: Ledger) -> None:
    """
    The rows behind a number are listed newest first, corrections with their sign, and sum to the number.
    """
    rows = requests(ledger, since=date(2026, 10, 1), until=date(2026, 12, 1), where={"team": "growth"}, limit=1000)
    answer = json.loads(
        run("requests", *PERIOD, "--where", "team=growth", "--format", "json", "--limit", "1000").stdout
    )

    assert [row.timestamp for row in rows] == sorted((row.timestamp for row in rows), reverse=True)
    assert {-1, 1} == {row.sign for row in rows}
    known = [Decimal(row["cost_usd"]) for row in answer if row["cost_usd"] is not None]
    assert sum(known) == autumn(ledger, ["day"], where={"team": "growth"}).total.cost_usd


def test_most_costly_waste(run: Run) -> None:
    """
    The most costly of what was wasted comes first.
    """
    arguments = (*PERIOD, "--sort", "cost", "--wasted", "--format", "json", "--limit", "5")
    answer = json.loads(run("requests", *arguments).stdout)
    costs = [Decimal(row["cost_usd"]) for row in answer]

    assert len(costs) == 5
    assert costs == sorted(costs, reverse=True)
    assert all(row["wasted"] or row["status"] != "success" for row in answer)


def test_explain_worked_example(run: Run, ledger: Ledger) -> None:
    """
    A request is explained count by count from its rate's stored content, and its correction is told.
    """
    result = run("explain", "chatcmpl-1")

    assert result.exit_code == 0, result.output
    assert "taken back" in result.stdout
    assert "After adjustments: $0.01155" in result.stdout
    (found,) = explain(ledger, f"{1:016x}")
    assert found.final_cost_usd == Decimal("0.01155")
    assert found.rate is not None


def test_explain_says_when_numbers_disagree(run: Run) -> None:
    """
    A stored cost that the rate's content does not give is said, not smoothed over.
    """
    assert "not what the rate's content gives" in run("explain", "chatcmpl-2").stdout


def test_explain_nothing(run: Run) -> None:
    """
    An id that nobody knows is a failure, with the next step.
    """
    result = run("explain", "nobody")

    assert (result.exit_code, "otel-llmcost requests" in result.stderr) == (1, True)


def test_waiting_rows_are_shipped_first(run: Run, dsn: str, tmp_path: Path) -> None:
    """
    A question is answered with what still waits in the journal.
    """
    fingerprint = parse_dsn(dsn).fingerprint
    journal = Journal(tmp_path / fingerprint, ledger=fingerprint)
    late = a_request(1234, price=MINI, start_unix_ns=START_NS - 100 * 86_400 * 10**9)
    row = request_row(late)
    journal.append("llm_requests", month_of(row), orjson.dumps(row))
    journal.close()

    answer = run("report", "--by", "team", "--since", "2026-08-01", "--until", "2026-09-01", "--format", "json")

    assert json.loads(answer.stdout)["total"]["cost_usd"] == "0.01155"


def test_schema_status(run: Run) -> None:
    """
    An up-to-date schema is applied, file by file; a database without it is a problem found: exit code 3.
    """
    assert run("schema", "status").exit_code == 0


def test_schema_apply(server: ClickHouseDouble) -> None:
    """
    `schema apply` names what it did, then has nothing left to do.
    """
    arguments = ["--dsn", server.dsn("fresh")]
    before = CliRunner().invoke(cli, ["schema", "status", *arguments])
    first, second = (CliRunner().invoke(cli, ["schema", "apply", *arguments]) for _ in range(2))

    assert before.exit_code == 3
    assert "001_llm_requests" in first.stdout
    assert (second.stdout, second.stderr) == ("", "Everything is up to date\n")


def test_owned_ledger(tmp_path: Path) -> None:
    """
    A ledger that another process owns is said so, with its process id: exit code 1.
    """
    lock = OwnerLock(tmp_path)
    result = CliRunner().invoke(cli, ["report", "--by", "team", "--dsn", f"chdb://{tmp_path}"])
    lock.release()

    assert (result.exit_code, "is open in process" in result.stderr) == (1, True)


@pytest.mark.parametrize("width", [60, 160])
def test_table_fits(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """
    On a terminal a table is as wide as it may be: least important columns go first, which is said, and money never.
    """
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [
        Column("Team"),
        Column("Cost", right=True),
        *(Column(f"Extra {keep}", keep=keep) for keep in range(1, 8)),
    ]

    print_table(columns, [["a team with a very long name " * 3, "$1,601.41", *["x" * 12] * 7]])

    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert max(map(len, [*lines, *printed.err.splitlines()])) <= width
    assert all("$1,601.41" in line for line in lines[1:])
    left_out = [column.title for column in columns if column.title not in lines[0]]
    said = " ".join(printed.err.split())
    assert said.startswith(f"Left out here: {', '.join(left_out)}. ") if left_out else not said


def test_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A name cannot move the cursor or clear the screen.
    """
    print_table([Column("Team")], [["\x1b[2Jgone"]])

    assert "\x1b" not in capsys.readouterr().out


def test_charges_are_what_they_seem() -> None:
    """
    These tests have every kind of charge.
    """
    assert {each.price.status for each in charges()} == {"priced", "partial", "unpriced"}


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
@pytest.mark.parametrize("command", [("report", "--by", "team"), ("requests",)])
def test_nothing_was_spent(run: Run, command: tuple[str, ...], form: str) -> None:
    """
    A period without requests is answered, and the next step is said beside it.
    """
    result = run(*command, "--month", "2020-01", "--format", form)

    assert result.exit_code == 0, result.output
    assert "No requests in this period" in result.stderr
    assert "otel-llmcost doctor" in result.stderr


def test_rows_left_behind(run: Run, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Segments that this ledger's report cannot ship are warned about by every question.
    """
    journal = Journal(tmp_path / parse_dsn(dsn).fingerprint, ledger="other")
    row = request_row(a_request(77))
    journal.append("llm_requests", month_of(row), orjson.dumps(row))
    journal.close()
    run("requests", "--month", "2020-01")

    assert "segments for another ledger (other): 1, in" in caplog.text


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The commands that do something."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, (*path, name))


@pytest.mark.parametrize("path", tuple(leaves(cli)), ids=" ".join)
def test_help_shows_how(path: tuple[str, ...]) -> None:
    """
    The help of every command has an example of that very command.
    """
    shown = CliRunner().invoke(cli, [*path, "--help"]).stdout

    assert re.search(rf"(?m)^ {{4}}(\S.* )?otel-llmcost {' '.join(path)}\b", shown), shown
