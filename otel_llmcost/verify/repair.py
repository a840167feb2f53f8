"""
Repair: charges too many are taken back by adjustments, those that ended before the prices were there get theirs, and
rollups that differ are built anew; no row is ever edited.

`plan` tells exactly what `carry_out` will do, with the money. Each step can be interrupted and the whole run again: what
is done is not found again. Limits: a ledger that nobody else changes meanwhile; shippers of other machines may go on, and
what they add while a month is built anew is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from otel_llmcost.errors import LedgerError
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.connection import read_sql
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.settings import Settings
from otel_llmcost.verify.duplicates import (
    COPY,
    CORRECTION,
    Duplicates,
    TakeBack,
    find_copies,
    find_corrections,
    find_shared_responses,
)
from otel_llmcost.verify.outcomes import RepeatedBatch, find_repeated_outcomes, outcome_steps, take_outcomes_back
from otel_llmcost.verify.rebuild import rebuild_rollup
from otel_llmcost.verify.repricing import Sum, price_later, reprice, sums
from otel_llmcost.verify.rollups import ROLLUPS, RollupMonth, compare
from otel_llmcost.verify.takeback import take_back
from otel_llmcost.verify.verification import EVER, excess_text

__all__ = ["Plan", "carry_out", "plan", "steps"]

_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a repair will do."""

    period: Period
    copies: Duplicates
    corrections: Duplicates
    responses: Duplicates
    outcomes: tuple[RepeatedBatch, ...]
    """Outcomes that a restored journal stored again."""
    unloaded: tuple[Sum, ...]
    """Charges without a price because none was loaded, by what a repair makes of them."""
    differing: tuple[RollupMonth, ...]
    """Months of rollups that are not what their rows say."""
    marked: Mapping[str, datetime]
    """Months whose rollups are marked, each with its last mark."""

    def rebuilds(self) -> list[tuple[str, str]]:
        """Give (rollup, month) of everything that is built anew, the marked months whole."""
        wanted = {(each.rollup, each.month) for each in self.differing}
        wanted |= {(rollup, month) for month in self.marked for rollup in ROLLUPS}
        return sorted(wanted, key=lambda each: (each[1], list(ROLLUPS).index(each[0])))

    def __bool__(self) -> bool:
        twice = self.copies.charges + self.corrections.charges + self.responses.charges
        return bool(twice or self.outcomes or self.is_pricing or self.differing or self.marked)

    @property
    def is_pricing(self) -> bool:
        """Whether there are charges that get their price now."""
        return any(not each.is_left for each in self.unloaded)


def plan(
    ledger: Ledger, period: Period = EVER, *, settings: Settings | None = None, pause_seconds: float = 1.0
) -> Plan:
    """Look for everything in `period` that a repair can put right. Raises `LedgerError` and, as pricing does, `RateCardError`."""
    copies = find_copies(ledger, period, limit=_AT_ONCE)
    corrections = find_corrections(ledger, period, limit=_AT_ONCE)
    responses = find_shared_responses(ledger, period, [*copies.take_backs, *corrections.take_backs])
    others = [*copies.take_backs, *corrections.take_backs, *responses.take_backs]
    months = {"first": f"{period.since:%Y%m}", "last": f"{period.last:%Y%m}"}
    marked: dict[str, datetime] = {}
    for row in ledger.query("verify_marks", months):
        marked_at = cast("datetime", row["last_marked_at"])
        marked[str(row["month"])] = max(marked_at, marked.get(str(row["month"]), marked_at))
    return Plan(
        period=period,
        copies=copies,
        corrections=corrections,
        responses=responses,
        outcomes=find_repeated_outcomes(ledger, period),
        unloaded=sums(price_later(ledger, period, settings=settings, others=others)),
        differing=tuple(each for each in compare(ledger, period, pause_seconds=pause_seconds) if not each.agrees),
        marked=marked,
    )


def steps(planned: Plan) -> Iterator[str]:
    """Say in a line each what the repair does, with the money."""
    for found in (planned.copies, planned.corrections, planned.responses):
        for each in found.take_backs:
            yield f"{'give' if _was_taken_too_often(each) else 'take'} back {_charge(each)}"
        if (more := found.charges - len(found.take_backs)) > 0:
            yield f"take back {more:,} more"
        if found.charges:
            yield f"together {found.charges:,} charges, ${exact_usd(found.cost_usd)}"
    yield from outcome_steps(planned.outcomes)
    yield from map(str, planned.unloaded)
    told = {(each.rollup, each.month): excess_text(each) for each in planned.differing}
    for rollup, month in planned.rebuilds():
        yield f"build {rollup} of {month} anew: it {told.get((rollup, month), 'is marked, and agrees with its rows')}"


def carry_out(
    ledger: Ledger, planned: Plan, *, settings: Settings | None = None, pause_seconds: float = 1.0
) -> Iterator[str]:
    """Do what was planned, step by step, saying each when it is done. Raises `LedgerError`; then run it again."""
    yield from _take_all_back(ledger, planned.period, planned.copies, find_copies, "copies of rows")
    yield from _take_all_back(ledger, planned.period, planned.corrections, find_corrections, "corrections")
    responses = planned.responses
    if any(each.charges > len(each.take_backs) for each in (planned.copies, planned.corrections)):
        responses = find_shared_responses(ledger, planned.period)  # planned without what was too much to list
    if responses.take_backs:
        take_back(ledger, responses.take_backs)
        yield f"taken back: {responses.charges:,} charges for responses that another row charges"
    yield from take_outcomes_back(ledger, planned.outcomes)
    if planned.is_pricing:
        stored = reprice(ledger, price_later(ledger, planned.period, settings=settings))
        yield f"priced later: {stored:,} requests that had no price because none was loaded"
    for rollup, month in planned.rebuilds():
        rebuild_rollup(ledger, rollup, month, settings=settings, pause_seconds=pause_seconds)
        yield f"built anew: {rollup} of {month}"
    for month, last in planned.marked.items():
        until = {"month": month, "until": last.astimezone(UTC)}
        ledger.command(read_sql("queries", "close_marks"), until, what=f"say that {month} is repaired")
        yield f"no longer marked: {month}"


def _take_all_back(
    ledger: Ledger, period: Period, found: Duplicates, find: Callable[..., Duplicates], what: str
) -> Iterator[str]:
    while found.take_backs:
        take_back(ledger, found.take_backs)
        yield f"taken back: {len(found.take_backs):,} {what}"
        before, found = found.charges, find(ledger, period, limit=_AT_ONCE)
        if found.charges >= before:
            raise LedgerError(
                f"{what} that were taken back are still found: {found.charges}. A replica may lag behind, or a journal is "
                "being replayed: run this again"
            )


def _was_taken_too_often(each: TakeBack) -> bool:
    return each.reason == COPY and each.sign == 1


def _charge(each: TakeBack) -> str:
    charge = each.charge
    too_often = _was_taken_too_often(each)
    usd = each.cost_usd.copy_negate() if too_often and each.cost_usd is not None else each.cost_usd
    cost = "cost not known" if usd is None else f"${exact_usd(usd)}"
    reasons = {COPY: "a second row of one span", CORRECTION: "a correction that was stored again"}
    why = reasons.get(each.reason, f"its response is charged by {' '.join(each.kept)}")
    why = "it was taken back more often than it was charged" if too_often else why
    return (
        f"{cost} of {charge['timestamp']:%Y-%m-%d %H:%M:%S} UTC, team {charge['team']}, customer {charge['customer_id']}, "
        f"service {charge['service_name']}, {charge['model']}, span {charge['trace_id']} {charge['span_id']}: {why}"
    )
