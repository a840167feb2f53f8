"""
Rows and adjustments beside every rollup, month by month: totals to the picodollar, and a number that covers every cell.

The totals say how far off a rollup is; the number notices as well what leaves every total as it is, such as spend that
stands under another team. Limits: the sketch `action_ids` of spend_by_action_day is an estimate, and is not compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    While rows arrive, a rollup is behind its rows for as long as one insert takes: what differs is looked at again, up
    to three times, and counts as different only if it never agreed. Raises `LedgerError`.
    """
    wanted = tuple(rollups)
    found = _look(ledger, period, wanted)
    for _ in range(_LOOKS - 1):
        if not (doubtful := {(each.rollup, each.month) for each in found if not each.agrees}):
            break
        time.sleep(pause_seconds)
        again = {
            (each.rollup, each.month): each for each in _look(ledger, period, tuple({name for name, _ in doubtful}))
        }
        found = [again.get(key, each) if (key := (each.rollup, each.month)) in doubtful else each for each in found]
    return found


def _look(ledger: Answers, period: Period, rollups: tuple[str, ...]) -> list[RollupMonth]:
    days = {"since": period.since, "until": period.until}
    by_cost = _by_month(ledger.query("verify_rows_by_cost", days)) if BY_COST in rollups else {}
    rows = _by_month(ledger.query("verify_rows", days)) if {*rollups} - {BY_COST} else {}
    found: list[RollupMonth] = []
    for rollup in ROLLUPS:
        if rollup in rollups:
            expected, number = (by_cost, "fingerprint") if rollup == BY_COST else (rows, rollup)
            held = _by_month(ledger.query(f"verify_{rollup}", days))
            found += [
                _month(rollup, partition, expected.get(partition, {}), number, held.get(partition, {}))
                for partition in sorted({*expected, *held})
            ]
    return found


def _month(rollup: str, partition: str, rows: Sums, number: str, held: Sums) -> RollupMonth:
    measures = MEASURES[:1] if rollup == BY_COST else MEASURES
    sums, others = _sums(rows, measures), _sums(held, measures)
    agrees = sums == others and rows.get(number, 0) == held.get("fingerprint", 0)
    return RollupMonth(rollup=rollup, month=partition, rows=sums, held=others, agrees=agrees)


def _by_month(rows: Iterable[Sums]) -> dict[str, Sums]:
    return {str(row["month"]): row for row in rows}


def _sums(row: Sums, measures: Iterable[str]) -> dict[str, Decimal]:
    return {name: Decimal(str(row.get(name, 0))) for name in measures}
