"""`otel-llmcost top`: what it says is what was spent, and the terminal and the ledger are everybody's again afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_llmcost import ClickHouseSpanExporter, Settings, attributed, record_request
from otel_llmcost.cli import cli
from otel_llmcost.ledger import Ledger, connect
from otel_llmcost.reports.lately import MOST_STEPS, Window, lately
from otel_llmcost.reports.money import sum_usd
from tests.cli.conftest import DRAFT, SUMMARY
from tests.cli.terminal import COMMAND, HOME, Terminal
from tests.clickhouse_double import ClickHouseDouble
from tests.server.processes import Serve

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
HOSTILE = "\x1b[2J<script>名" + "x" * 300
TEAMS = ("support", "docs", HOSTILE, None)


def record(exporter: ClickHouseSpanExporter) -> None:
    """A request every minute of the last two hours, of one team after another, and one that nobody can price."""
    for minute in range(120):
        with attributed(team=TEAMS[minute % 4], customer_id=f"customer-{minute % 9}"):
            record_request(
                provider="openai", model="gpt-5.4-mini" if minute else "house-model-7b", exporter=exporter,
                usage=DRAFT if minute % 2 else SUMMARY, at=NOW - timedelta(minutes=minute, seconds=1),
                status="timeout" if minute % 10 == 3 else "success",
            )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseDouble]:
    """A ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(scope="module")
def busy(server: ClickHouseDouble, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The DSN of a ledger with those two hours."""
    dsn, journal = server.dsn("busy"), tmp_path_factory.mktemp("journal")
    environment = {"OTEL_LLMCOST_JOURNAL_DIR": str(journal)}
    assert CliRunner().invoke(cli, ["schema", "apply", "--dsn", dsn], env=environment).exit_code == 0
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=dsn, journal_dir=journal, ship=False, metrics=False))
    record(exporter)
    exporter.shutdown()
    assert CliRunner().invoke(cli, ["ship", "--once", "--dsn", dsn], env=environment).exit_code == 0
    return dsn


@pytest.fixture
def ledger(busy: str) -> Iterator[Ledger]:
    """That ledger, open."""
    with connect(busy) as opened:
        yield opened


@pytest.fixture
def embedded(tmp_path: Path) -> str:
    """The DSN of an embedded ledger whose application has written those two hours, and ended."""
    dsn = f"chdb://{tmp_path / 'ledger'}"
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=dsn, metrics=False))
    record(exporter)
    exporter.shutdown()
    return dsn


def test_rows_and_steps_sum_to_the_total(ledger: Ledger) -> None:
    """
    The rows sum to the total, each row's steps to its cost, and what is folded is in (other).
    """
    found = lately(ledger, "customer", window=Window.of(HOUR, NOW), top=3)

    assert [row.key for row in found.rows][-1] == "(other)"
    assert len(found.rows) == 4
    assert sum_usd(row.measures.cost_usd for row in found.rows) == found.total.measures.cost_usd
    assert all(sum_usd(row.steps) == row.measures.cost_usd for row in (*found.rows, found.total))
    assert found.total.measures.requests == sum(row.measures.requests for row in found.rows)


def test_the_total_is_that_of_the_rows_behind_it(ledger: Ledger) -> None:
    """
    An hour has the requests that began in it, at their cost; what is wasted and what is not known are counted.
    """
    window = Window(since=NOW - HOUR, now=NOW, step_seconds=120)
    found = lately(ledger, "team", window=window).total

    draft, summary = Decimal("0.01155"), Decimal("0.0114")  # minutes 1, 3, … 59, and 2, 4, … 58
    assert found.measures.cost_usd == 30 * draft + 29 * summary
    assert (found.measures.requests, found.measures.unpriced_requests) == (60, 1)
    assert found.measures.wasted_cost_usd == 6 * draft
    assert found.requests_per_minute == 1
    assert found.usd_per_minute == (2 * draft + 2 * summary) / 5


def test_filters_narrow(ledger: Ledger) -> None:
    """
    `where` keeps the charges with this value.
    """
    found = lately(ledger, "customer", window=Window.of(HOUR, NOW), where={"team": "docs"})
    every = {row.key: row.measures for row in lately(ledger, "team", window=Window.of(HOUR, NOW)).rows}

    assert found.total.measures == every["docs"]


@pytest.mark.parametrize("minutes", [1, 15, 60, 61, 600, 1440, 7 * 1440])
def test_a_window_begins_with_a_whole_step(minutes: int) -> None:
    """
    A window is as long as was asked for and at most a step longer, and its steps stay where they are as time goes by.
    """
    asked, step = timedelta(minutes=minutes), timedelta(seconds=1)
    now = datetime(2026, 10, 31, 23, 59, 58, tzinfo=UTC)
    windows = [Window.of(asked, now + number * step) for number in range(4)]

    for window in windows:
        length = timedelta(seconds=window.step_seconds)
        assert asked <= window.now - window.since < asked + length
        assert window.since.timestamp() % window.step_seconds == 0
        assert MOST_STEPS // 3 <= window.steps <= MOST_STEPS + 1


@pytest.mark.parametrize("minute", [1, 29, 30, 31, 601, 1439])
def test_today_begins_at_midnight(minute: int) -> None:
    """
    `--since today` begins at midnight UTC, at any time of the day.
    """
    midnight = datetime(2026, 10, 31, tzinfo=UTC)
    now = midnight + timedelta(minutes=minute, seconds=7)

    assert Window.of(now - midnight, now).since == midnight


def test_once_prints_one_picture(busy: str) -> None:
    """
    In a pipe there is one picture: sums, every team, the newest requests, and no sign that a terminal would obey.
    """
    result = CliRunner().invoke(cli, ["top", "--once", "--since", "3h", "--dsn", busy])

    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    assert "120 requests" in result.stdout
    assert "1 of unknown cost, in no sum" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines() if line]
    assert {"support", "docs", "(unattributed)", "Total"} <= {line[0] for line in lines}
    newest = next(number for number, line in enumerate(lines) if line[0] == "Newest")
    assert lines[newest + 1][0] == f"{NOW - timedelta(seconds=1):%H:%M:%S}"
    assert len(lines) == newest + 6


def test_an_hour_without_requests_says_what_next(busy: str) -> None:
    """
    Where nothing was spent, the picture names the command that may tell why.
    """
    result = CliRunner().invoke(cli, ["top", "--once", "--where", "team=nobody", "--dsn", busy])

    assert (result.exit_code, "otel-llmcost doctor" in result.stdout) == (0, True), result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "tem"), "Did you mean 'team'?"),
        (("--by", "day"), "choose another dimension"),
        (("--since", "soon"), "15m, 1h, 2d or today"),
        (("--since", "30d"), "otel-llmcost report --since 30d"),
        (("--where", "support"), "DIMENSION=VALUE"),
        (("--every", "0"), "0.2<=x"),
    ],
)
def test_wrong_usage(busy: str, arguments: tuple[str, ...], said: str) -> None:
    """
    Wrong usage ends with 2 and says what there is.
    """
    result = CliRunner().invoke(cli, ["top", *arguments, "--dsn", busy])

    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_no_ledger_is_made_by_watching_it(tmp_path: Path) -> None:
    """
    A path without a ledger is said to be none, and stays without one.
    """
    result = CliRunner().invoke(cli, ["top", "--dsn", f"chdb://{tmp_path / 'nowhere'}"])

    assert (result.exit_code, "start the application first" in result.stderr) == (1, True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("columns", "lines"), [(40, 12), (60, 24), (200, 50)])
def test_a_picture_fits_its_terminal(busy: str, columns: int, lines: int) -> None:
    """
    The picture is refreshed, is no wider and no higher than the terminal, q ends it with 0, and all is as before.
    """
    with Terminal("top", "--every", "0.2", "--since", "3h", "--dsn", busy, columns=columns, lines=lines) as terminal:
        terminal.wait_for(HOME, times=3)
        terminal.press("q")
        code = terminal.ended()

        assert code == 0, terminal.text
        assert terminal.is_as_before()
        assert max(map(len, terminal.frame)) <= columns
        assert len(terminal.frame) <= lines
        assert terminal.frame[1].startswith("Cost ≥ $")
        assert terminal.frame[-1] == "Every 0.2 s; q ends it."


def test_ctrl_c_ends_it(busy: str) -> None:
    """
    Ctrl-C ends it with 130, all as before, and no stack.
    """
    with Terminal("top", "--every", "0.2", "--dsn", busy) as terminal:
        terminal.wait_for(HOME, times=2)
        terminal.press("\x03")

        assert terminal.ended() == 130
        assert terminal.is_as_before()
        assert "Traceback" not in terminal.text


def test_a_signal_gives_the_terminal_back(busy: str) -> None:
    """
    SIGTERM ends it with 143, and all is as before.
    """
    with Terminal("top", "--every", "0.2", "--dsn", busy) as terminal:
        terminal.wait_for(HOME, times=2)
        os.kill(terminal.process, signal.SIGTERM)

        assert terminal.ended() == 143
        assert terminal.is_as_before()


@pytest.mark.parametrize("how", ["option", "environment"])
def test_headings_are_bold_unless_unwanted(busy: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Headings are bold; not with --no-color, nor with any NO_COLOR in the environment.
    """
    with Terminal("top", "--dsn", busy) as terminal:
        terminal.wait_for("\x1b[1m")
    if how == "environment":
        monkeypatch.setenv("NO_COLOR", "please")
    with Terminal("top", "--dsn", busy, *(["--no-color"] if how == "option" else [])) as terminal:
        terminal.wait_for("q ends it")

        assert "\x1b[1m" not in terminal.text


def test_who_watches_an_embedded_ledger_serves_it(embedded: str) -> None:
    """
    While it watches a ledger that nobody serves, what was journaled is shipped and another command is answered.
    """
    with Terminal("top", "--every", "0.2", "--since", "3h", "--dsn", embedded) as terminal:
        terminal.wait_for("120 requests")
        asked = [*COMMAND, "report", "--by", "team", "--since", "2d", "--format", "csv", "--dsn", embedded]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        terminal.press("q")

        assert terminal.ended() == 0
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "support,30," in answer.stdout


def test_a_ledger_that_goes_away_is_asked_again(embedded: str) -> None:
    """
    When the process that serves the ledger ends, the picture stays, with the reason, and is new again soon after.
    """
    with Serve(embedded) as serving, Terminal("top", "--every", "0.2", "--since", "3h", "--dsn", embedded) as terminal:
        terminal.wait_for("120 requests")
        serving.kill()
        terminal.wait_for("As it was; asked again every 0.2 s")
        told = terminal.frame
        pictures = terminal.text.count("Every 0.2 s; q ends it.")
        terminal.wait_for("Every 0.2 s; q ends it.", times=pictures + 2)
        terminal.press("Q")

        assert terminal.ended() == 0
    assert any(line.startswith("Total") for line in told)
    assert re.search(r"process \d+, which serves .* went away .*: ask again$", " ".join(told))
