"""
Rows and adjustments beside every rollup, month by month: totals to the picodollar, and a number that covers every cell.

The totals say how far off a rollup is; the number notices as well what leaves every total as it is, such as spend that
stands under another team. Limits: the sketch `action_ids` of spend_by_action_day is an estimate, and is not compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.period import Period, month

__all__ = ["MEASURES", "ROLLUPS", "RollupMonth", "compare", "days_of"]

ROLLUPS: Final[Mapping[str, str]] = {
    "spend_by_hour": "hour",
    "spend_by_customer_day": "day",
    "spend_by_action_day": "day",
    "spend_quantiles_by_day": "day",
}
"""Every rollup, and its column of time."""
BY_COST: Final = "spend_quantiles_by_day"
"""The one that counts requests by cost, and holds no money."""
MEASURES: Final = (
    "requests",
    "cost_usd",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
)
_LOOKS: Final = 3
Sums = Mapping[str, object]
Days = Mapping[str, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupMonth:
    """One month of one rollup, beside what the rows and adjustments of that month add up to."""

    rollup: str
    month: str
    """`YYYYMM`, a partition."""
    rows: Mapping[str, Decimal]
    """Sum by measure."""
    held: Mapping[str, Decimal]
    """What the rollup has instead."""
    agrees: bool
    """Whether every cell is as it should be, and not the totals alone."""

    @property
    def excess(self) -> dict[str, Decimal]:
        """What the rollup has too much, negative where it lacks something; only what is not zero."""
        found = {name: EXACT.subtract(self.held[name], self.rows[name]) for name in self.rows}
        return {name: amount for name, amount in found.items() if amount}


def days_of(partition: str) -> Period:
    """Give the days of a partition, `YYYYMM`. Raises `ReportError`."""
    return month(f"{partition[:4]}-{partition[4:]}")


def compare(
    ledger: Answers, period: Period, rollups: Iterable[str] = ROLLUPS, *, pause_seconds: float = 1.0
) -> list[RollupMonth]:
    """
    Compare every month of `period` with each of `rollups`.

    While rows arrive, a rollup is behind its rows for as long as one insert takes. So a month that differs is looked at
    again, cell by cell, and counts as different only if some cell is off by the same in three looks: inserts that are
    under way are never the same ones. Raises `LedgerError`.
    """
    days, wanted = {"since": period.since, "until": period.until}, list(rollups)
    found = sorted(
        (_month(row) for row in _ask(ledger, wanted, days, by_cell=False)),
        key=lambda each: (list(ROLLUPS).index(each.rollup), each.month),
    )
    return [
        each if each.agrees else replace(each, agrees=_was_moving(ledger, each, days, pause_seconds)) for each in found
    ]


def _was_moving(ledger: Answers, doubtful: RollupMonth, days: Days, pause_seconds: float) -> bool:
    """Tell whether no cell of a month is off by the same whenever it is looked at."""
    whole = days_of(doubtful.month)
    part = {"since": max(whole.since, days["since"]), "until": min(whole.until, days["until"])}
    steady: set[tuple[object, object]] | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(pause_seconds)
        rows = _ask(ledger, [doubtful.rollup], part, by_cell=True)
        off = {(row["cell"], row["difference"]) for row in rows}
        steady = off if steady is None else steady & off
        if not steady:
            return True
    return False


def _ask(ledger: Answers, rollups: list[str], days: Days, *, by_cell: bool) -> Iterator[Sums]:
    of_money = [name for name in rollups if name != BY_COST]
    if of_money:
        yield from ledger.query("verify_rollups", {**days, "by_cell": by_cell, "rollups": of_money})
    if BY_COST in rollups:
        yield from ledger.query("verify_quantiles", {**days, "by_cell": by_cell})


def _month(row: Sums) -> RollupMonth:
    rollup = str(row["rollup"])
    measures = MEASURES[:1] if rollup == BY_COST else MEASURES
    rows, held = ({name: Decimal(str(row[f"{side}_{name}"])) for name in measures} for side in ("rows", "held"))
    agrees = rows == held and not row["difference"]
    return RollupMonth(rollup=rollup, month=str(row["month"]), rows=rows, held=held, agrees=agrees)
