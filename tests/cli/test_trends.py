"""What `report` says beside a cost: how it changed, and its days as bars, on terminals that have the room."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from otel_llmcost.cli import _output, _trends, cli
from otel_llmcost.ledger import connect
from otel_llmcost.reports import Period, compare, spend

OCTOBER = ("--month", "2026-10")
BARS = "▁▂▃▄▅▆▇█"


def table(*arguments: str) -> dict[str, str]:
    """Run `report`; give its lines by their first word."""
    result = CliRunner().invoke(cli, ["report", *arguments])
    assert result.exit_code == 0, result.output
    return {line.split()[0]: line for line in result.stdout.splitlines() if line}


@pytest.fixture
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of so many columns."""
    width: int = request.param
    for module in (_output, _trends):
        monkeypatch.setattr(module, "terminal_width", lambda **_stream: width)
    return width


@pytest.mark.parametrize("terminal", [140], indirect=True)
def test_bars_are_of_days(company: str, terminal: int) -> None:
    """
    A month has a bar for each of its days, two months for every two, and each is of as many days as the others.
    """
    for period, title, count in (
        (OCTOBER, "By day", 31),
        (("--since", "2026-09-02", "--until", "2026-11-03"), "By 2 days", 31),
    ):
        lines = table("--by", "team", *period)
        bars = {key: "".join(re.findall(f"[{BARS}]", lines[key])) for key in ("docs", "support", "Total")}

        assert title in lines["Team"]
        assert len(bars["Total"]) >= count - 1
        assert set(bars["docs"]) > {"█"}


@pytest.mark.parametrize("terminal", [140], indirect=True)
def test_bars_are_what_was_spent_each_day(company: str, terminal: int) -> None:
    """
    With a bar for each day, its height is the day's cost.
    """
    with connect(company) as ledger:
        days = spend(ledger, ["day"], since=datetime(2026, 10, 1).date(), until=datetime(2026, 10, 11).date()).rows  # noqa: DTZ001
    most = max(row.measures.cost_usd for row in days)
    expected = "".join(BARS[min(7, int(row.measures.cost_usd / most * 8))] for row in days)

    assert expected in table("--by", "team", "--since", "2026-10-01", "--until", "2026-10-11")["Total"]


@pytest.mark.parametrize("terminal", [60, 99], indirect=True)
def test_bars_go_first(company: str, terminal: int) -> None:
    """
    On a narrower terminal there are no bars, without a word about them; the change stays.
    """
    lines = table("--by", "team", *OCTOBER)

    assert not set("".join(lines.values())) & set(BARS)
    assert "Change" in lines["Team"]
    assert "By " not in CliRunner().invoke(cli, ["report", "--by", "team", *OCTOBER]).stderr


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_a_pipe_has_the_change_and_no_bars(company: str, form: str) -> None:
    """
    Piped text has no bars, and says what the change is against.
    """
    printed = CliRunner().invoke(cli, ["report", "--by", "team", *OCTOBER, "--format", form]).stdout

    assert not set(printed) & set(BARS)
    assert "Change: against 2026-09-01 to 2026-09-30 UTC." in printed


def test_the_change_is_that_of_the_comparison(company: str) -> None:
    """
    Each change is the cost of the period over the cost of the one before; what ended is named with its cost.
    """
    lines = table("--by", "feature", *OCTOBER)
    with connect(company) as ledger:
        october = Period(datetime(2026, 10, 1).date(), datetime(2026, 11, 1).date())  # noqa: DTZ001
        compared = compare(ledger, "feature", period=october, now=datetime.now(UTC))

    for row in compared.rows:
        if row.measures.requests:
            times = row.measures.cost_usd / row.before.cost_usd - 1
            assert f" {100 * times:+.1f}%" in lines[row.key]
    assert lines["Spent"] == "Spent then and not now: prototype, $0.093."


@pytest.mark.parametrize("by", ["day", "month", "team,feature"])
def test_time_and_pairs_have_no_change(company: str, by: str) -> None:
    """
    A report by time, or by two dimensions, has no change.
    """
    assert not [line for line in table("--by", by, *OCTOBER).values() if "Change" in line]


def test_where_nothing_was_spent_before_nothing_changed(company: str) -> None:
    """
    With nothing spent in the period before there is no column of `new`.
    """
    assert "Change" not in "".join(table("--by", "team", "--month", "2026-09").values())
    assert "Change" not in "".join(table("--by", "team", "--since", "1970-01-01").values())


def test_a_running_period_is_compared_with_as_much_time(company: str) -> None:
    """
    A period that goes on is compared up to the same instant of the one before, which is said.
    """
    today = datetime.now(UTC).date()
    days = (today - datetime(2026, 10, 20).date()).days  # noqa: DTZ001
    lines = table("--by", "team", "--since", f"{days}d")

    if "Change:" in lines:  # while the month before still has requests
        end = today + timedelta(days=1) - timedelta(days=days)
        assert re.search(
            rf"to {end - timedelta(days=1)} \d\d:\d\d UTC, as long as this period so far", lines["Change:"]
        )


def test_top_folds_what_changed(company: str) -> None:
    """
    With --top, what is folded changed as one.
    """
    lines = table("--by", "team", "--top", "1", *OCTOBER)

    assert re.search(r"[+-]\d+\.\d%", lines["(other)"])
