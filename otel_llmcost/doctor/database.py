"""The database itself: its version and clock, whether it remembers enough inserts, and who sends rows to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, cast

from otel_llmcost.doctor.finding import Finding
from otel_llmcost.ledger import Answers, Dsn
from otel_llmcost.ledger.tables import Tables, read_tables, tables_to_ask_for
from otel_llmcost.reports.gaps import GapReport
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.settings import Settings

__all__ = ["database_findings", "shipping_findings"]

_SKEW_SECONDS: Final = 60.0
_LINK: Final = "docs/reliability.md#when-numbers-disagree"
Row = Mapping[str, object]


def database_findings(ledger: Answers, place: Dsn, gaps: GapReport) -> Iterator[Finding]:
    """Ask the engine about itself, and whether the hour rollup has the bill of the rows of the period of `gaps`."""
    before = datetime.now(UTC)
    (about,) = ledger.query("doctor_server")
    after = datetime.now(UTC)
    yield _clock(about, place, before, after)
    yield from _windows(read_tables(ledger.query("tables_that_remember", {"tables": tables_to_ask_for()})))
    yield _quick_check(ledger, gaps.period)


def _clock(about: Row, place: Dsn, before: datetime, after: datetime) -> Finding:
    now = cast("datetime", about["now"])
    ahead = max((now - after).total_seconds(), 0.0) - max((before - now).total_seconds(), 0.0)
    text = f"ClickHouse {about['version']}"
    if abs(ahead) <= _SKEW_SECONDS:
        return Finding(severity="ok", subject="engine", what=f"{text}, its clock and this machine's agree")
    side = "ahead of" if ahead > 0 else "behind"
    return Finding(
        severity="warning",
        subject="clock",
        what=f"{text}: the clock of {place} is {abs(ahead):,.0f} s {side} this machine's, and this one dates requests",
        fix="Set both by NTP: the instant of a request selects its rate and its day.",
    )


def _windows(tables: Tables) -> Iterator[Finding]:
    for table in tables.forgetful:
        yield Finding(
            severity="problem",
            subject=f"table {table.name}",
            what=f"{table}, too few to know a repeated one: nothing is shipped until it remembers more",
            fix="Set this; what a retry may have counted twice before, `otel-llmcost verify` says.",
            snippet=table.remedy,
            link=_LINK,
        )
    if tables.stored and not tables.forgetful:
        what = f"{len(tables.stored)} tables know a repeated insert"
        yield Finding(severity="ok", subject="exactly once", what=what)


def _quick_check(ledger: Answers, period: Period) -> Finding:
    """Compare two numbers of the period: what `verify` does for every cell."""
    days = {"since": period.since, "until": period.until}
    months = ledger.query("verify_rollups", {**days, "by_cell": False, "rollups": ["spend_by_hour"]})
    (requests, cost), (rows, rows_cost) = (
        (
            sum(int(str(row[f"{side}_requests"])) for row in months),
            sum_usd(Decimal(str(row[f"{side}_cost_usd"])) for row in months),
        )
        for side in ("held", "rows")
    )
    if (requests, cost) == (rows, rows_cost):
        fix = "otel-llmcost verify compares every cell of every rollup, and looks for what was charged twice."
        return Finding(severity="ok", subject="rollups", what="spend_by_hour has the total of the rows", fix=fix)
    return Finding(
        severity="problem",
        subject="rollups",
        what=f"spend_by_hour has ${exact_usd(cost)} of {requests:,} requests, the rows ${exact_usd(rows_cost)} of "
        f"{rows:,}",
        fix="If rows are arriving, ask again; else `otel-llmcost verify` says what differs, and `repair` puts it right.",
        link=_LINK,
    )


def shipping_findings(place: Dsn, settings: Settings) -> Iterator[Finding]:
    """Say who sends the rows to the ledger."""
    if place.kind == "http" and settings.ship:
        fix = "Beyond about 20 processes, let `otel-llmcost ship` do it: set OTEL_LLMCOST_SHIP=false in them."
        yield Finding(severity="ok", subject="shipping", what="each process ships its own rows", fix=fix)
    elif place.kind == "http":
        yield Finding(
            severity="ok",
            subject="shipping",
            what="OTEL_LLMCOST_SHIP=false: applications only write, and `otel-llmcost ship` must run on this machine",
        )
    else:
        yield Finding(
            severity="ok", subject="shipping", what="`otel-llmcost serve`, or any command that asks, ships the rows"
        )
