"""Spend over time as a stacked chart: the top values of a dimension, the rest as one, and what nobody owns hatched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from otel_llmcost.dashboard.charts import Bars, Mark, Series, Spark
from otel_llmcost.dashboard.page import Asked
from otel_llmcost.model import NONE, UNATTRIBUTED
from otel_llmcost.reports import Period, Report, spend
from otel_llmcost.reports.money import add, sum_usd
from otel_llmcost.reports.spend import OTHER

__all__ = ["COLOURS", "Timeline", "buckets_of", "timeline", "timeline_of"]

COLOURS: Final = 7
"""As many as there are colours."""
Usd: TypeAlias = Literal["cost_usd", "wasted_cost_usd", "cache_savings_usd"]
"""A measure in US dollars."""
_NOBODY: Final = (UNATTRIBUTED, NONE)
"""Not values, but the lack of one: hatched, above all others."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A measure of each value of a dimension over time, in the order of their cost."""

    buckets: tuple[str, ...]
    values: Mapping[str, tuple[Decimal, ...]]
    partial: str
    """The bucket that is not over yet, or ""."""

    def look(self, key: str) -> str:
        """Name the colour of a value; "other" for those without one."""
        if key in _NOBODY:
            return "nobody"
        coloured = self._coloured()
        return f"s{coloured.index(key)}" if key in coloured else "other"

    def spark(self, key: str) -> Spark:
        """Give a value's own line, without the time that is not over yet."""
        return Spark(
            tuple(
                value
                for bucket, value in zip(self.buckets, self.values.get(key, ()), strict=False)
                if bucket != self.partial
            )
        )

    def chart(
        self, asked: Asked, *, name: str, title: str, links: Mapping[str, str], marks: Iterable[Mark] = ()
    ) -> Bars:
        """Draw it; `links`: value -> where its name in the legend leads."""
        view, shown = asked.view, set(self.buckets)
        return Bars(
            name=name,
            title=title,
            buckets=self.buckets,
            series=[Series(key, self.look(key), values, links.get(key, "")) for key, values in self._stacked().items()],
            links={bucket: view.link(**view.within(bucket)) for bucket in self.buckets},
            partial=self.partial,
            marks=[mark for mark in marks if mark.bucket in shown],
        )

    def _coloured(self) -> list[str]:
        return [name for name in self.values if name not in (OTHER, *_NOBODY)][:COLOURS]

    def _stacked(self) -> dict[str, tuple[Decimal, ...]]:
        """Fold what has no colour into one, from the ground up: colours, the rest, what nobody owns."""
        coloured = self._coloured()
        stacked = {key: self.values[key] for key in coloured}
        rest = [values for key, values in self.values.items() if key not in (*coloured, *_NOBODY)]
        if rest:
            stacked[OTHER] = tuple(map(sum_usd, zip(*rest, strict=True)))
        return stacked | {key: self.values[key] for key in _NOBODY if key in self.values}


def timeline(asked: Asked, dimension: str, *, top: int = COLOURS, measure: Usd = "cost_usd") -> Timeline:
    """
    Ask for a measure by a dimension over the time of the view: the `top` values that cost most, and the rest as one.

    Raises `ReportError` and `LedgerError`.
    """
    view = asked.view
    found = spend(
        asked.ledger,
        (dimension, view.bucket),
        since=view.period.since,
        until=view.period.until,
        where=view.where,
        top=top,
    )
    return timeline_of(asked, found, measure=measure)


def timeline_of(asked: Asked, found: Report, *, measure: Usd = "cost_usd") -> Timeline:
    """Make the lines of a report by a dimension and the time of the view."""
    view = asked.view
    buckets = tuple(buckets_of(view.period, view.bucket))
    places = {bucket: place for place, bucket in enumerate(buckets)}
    values: dict[str, list[Decimal]] = {}
    for row in found.rows:
        key, bucket = row.key
        line = values.setdefault(key, [Decimal(0)] * len(buckets))
        line[places[bucket]] = add(line[places[bucket]], getattr(row.measures, measure))
    now = _bucket_of(asked.now, view.bucket)
    lines = {key: tuple(line) for key, line in values.items()}
    return Timeline(buckets, lines, now if now in places else "")


def buckets_of(period: Period, bucket: str) -> Iterator[str]:
    """Name every hour, day or month of a period, as reports name them."""
    day = period.since
    while day < period.until:
        if bucket == "hour":
            yield from (f"{day} {hour:02}:00" for hour in range(24))
        elif bucket == "day":
            yield day.isoformat()
        elif day.day == 1 or day == period.since:
            yield day.isoformat()[:7]
        day += timedelta(days=1)


def _bucket_of(now: datetime, bucket: str) -> str:
    day: date = now.date()
    return {"hour": f"{now:%Y-%m-%d %H}:00", "day": day.isoformat(), "month": day.isoformat()[:7]}[bucket]
