"""
What a report for people says beside each cost: how it changed against as much time before, and its days as small bars.

Only for a report by one dimension that is no time. Limit: bars are drawn for the hundred values that cost most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from otel_llmcost.cli._output import Column, terminal_width
from otel_llmcost.cli._text import spark
from otel_llmcost.dashboard.wording import delta
from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports import Comparison, Measures, Period, Report, compare, spend
from otel_llmcost.reports.dimensions import TIMES, column_of
from otel_llmcost.reports.money import add, sum_usd, usd

__all__ = ["NO_TRENDS", "Trends", "trends_of"]

_CHANGE: Final = Column("Change", right=True, keep=6)
_WIDE: Final = 100
"""A narrower terminal has no room for bars beside the figures."""
_BARS: Final = 31
"""A month has a bar for each day."""
_FEWEST_DAYS: Final = 3
_DRAWN: Final = 100
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Trends:
    """The columns that a report gets, their cells by the value of the dimension (None: the total), and what explains them."""

    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    texts: tuple[Mapping[str | None, str], ...] = field(default=())
    """One for each column."""

    def cells(self, key: str | None) -> list[str]:
        """Give the cells of one row."""
        return [texts.get(key, "") for texts in self.texts]


NO_TRENDS: Final = Trends()


def trends_of(ledger: Answers, found: Report, *, top: int | None, bars: bool) -> Trends:
    """
    Ask for what is beside the figures of `found`, which keeps `top` values; `bars`: draw them if the terminal is wide.

    Raises `LedgerError`.
    """
    if len(found.by) != 1 or column_of(found.by[0]) in TIMES or not found.rows:
        return NO_TRENDS
    columns, texts, notes = [], [], []
    now = datetime.now(UTC)
    compared = _compared(ledger, found, now, top)
    if compared is not None:
        columns.append(_CHANGE)
        texts.append(_changes(compared))
        notes = _notes(compared, {row.key[0] for row in found.rows})
    days = _whole_days(found.period, now.date())
    if bars and (terminal_width() or 0) >= _WIDE and len(days) >= _FEWEST_DAYS:
        each = -(-len(days) // _BARS)
        columns.append(Column("By day" if each == 1 else f"By {each} days", keep=0))
        texts.append(_bars(ledger, found, days, each, top))
    return Trends(tuple(columns), tuple(notes), tuple(texts))


def _compared(ledger: Answers, found: Report, now: datetime, top: int | None) -> Comparison | None:
    """Compare with the period before; None where there is none, or nothing was spent in it."""
    try:
        compared = compare(ledger, found.by[0], period=found.period, now=now, where=found.where, top=top)
    except ReportError:  # it would begin before 1970
        return None
    return compared if compared.total_before.requests else None


def _changes(compared: Comparison) -> dict[str | None, str]:
    changes: dict[str | None, str] = {row.key: _change(row.measures, row.before) for row in compared.rows}
    return changes | {None: _change(compared.total, compared.total_before)}


def _change(now: Measures, before: Measures) -> str:
    if any(each.unpriced_requests and not each.cost_usd for each in (now, before)):
        return "not known"
    found = delta(now.cost_usd, before.cost_usd)
    if found.share is None or found.direction == "same":
        return "new" if found.direction == "up" else "="
    return f"{'+' if found.direction == 'up' else '-'}{found.text}"


def _notes(compared: Comparison, shown: set[str]) -> list[str]:
    """Say what the change is against, and name what was paid for then and is not in the table."""
    if compared.before_until == datetime.combine(compared.before.until, datetime.min.time(), UTC):
        notes = [f"Change: against {compared.before}."]
    else:
        until = f"{compared.before_until:%Y-%m-%d %H:%M}"
        notes = [f"Change: against {compared.before.since} to {until} UTC, as long as this period so far."]
    gone = [row for row in compared.rows if row.key not in shown and row.before.cost_usd]
    gone.sort(key=lambda row: row.before.cost_usd, reverse=True)
    if gone:
        names = ", ".join(row.key for row in gone[:_NAMED])
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        notes.append(f"Spent then and not now: {names}{more}, {usd(sum_usd(row.before.cost_usd for row in gone))}.")
    return notes


def _whole_days(period: Period, today: date) -> list[date]:
    """Give the days that are over: a bar of half a day would look like a fall."""
    until = min(period.until, today)
    return [period.since + timedelta(days=number) for number in range(max(0, (until - period.since).days))]


def _bars(ledger: Answers, found: Report, days: list[date], each: int, top: int | None) -> dict[str | None, str]:
    """Draw the cost of each value, and of all, a bar for so many days; the last bar ends with the last day."""
    dimension = found.by[0]
    asked = spend(
        ledger, (dimension, "day"), since=days[0], until=days[-1] + timedelta(days=1), where=found.where,
        top=min(top or _DRAWN, _DRAWN),
    )  # fmt: skip
    count = len(days) // each  # a bar of fewer days than the others would look like a rise
    places = {day.isoformat(): number // each for number, day in enumerate(days[-count * each :])}
    lines: dict[str | None, list[Decimal]] = {}
    for row in asked.rows:
        key, day = row.key
        for name in (key, None) if day in places else ():
            line = lines.setdefault(name, [Decimal(0)] * count)
            line[places[day]] = add(line[places[day]], row.measures.cost_usd)
    return {key: spark(line) for key, line in lines.items()}
