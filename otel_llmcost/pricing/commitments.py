"""The fixed part of commitments and provisioned throughput: dated rows of its own, never spread over requests."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from otel_llmcost.model import PICO
from otel_llmcost.pricing.card import Card, Commitment

__all__ = ["FixedCost", "fixed_costs"]

_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCost:
    """What one commitment costs on one UTC day."""

    day: date
    provider: str
    models: str
    name: str
    source: str
    version: str
    cost_picousd: int


def fixed_costs(cards: Iterable[Card], start: datetime, end: datetime) -> Iterator[FixedCost]:
    """
    Give one row per commitment and UTC day that [start, end) touches; a part of a day costs its share.

    Days are differences of a running total that is rounded to the picodollar, so that they sum exactly to the whole:
    a year of a monthly price is twelve times that price.
    """
    if start.utcoffset() is None or end.utcoffset() is None:
        raise ValueError("start and end need a time zone; use datetime(..., tzinfo=UTC)")
    first, last = int(start.timestamp()), int(end.timestamp())
    for card in cards:
        for commitment in card.commitments:
            for day, cost in _days(commitment, first, last):
                yield FixedCost(
                    day=day,
                    provider=commitment.provider,
                    models=commitment.models,
                    name=commitment.name,
                    source=card.source,
                    version=card.version,
                    cost_picousd=cost,
                )


def _days(commitment: Commitment, first: int, last: int) -> Iterator[tuple[date, int]]:
    span = commitment.span
    start = first if span.start is None else max(first, span.start)
    end = last if span.end is None else min(last, span.end)
    if commitment.every == "once":
        if span.start is not None and first <= span.start < last:
            yield datetime.fromtimestamp(span.start, UTC).date(), int(Fraction(commitment.usd) * PICO)
        return
    total, rounded = Fraction(0), 0
    while start < end:
        day = datetime.fromtimestamp(start, UTC)
        midnight = int((day.replace(hour=0, minute=0, second=0) + timedelta(days=1)).timestamp())
        stop = min(midnight, end)
        total += _per_day(commitment, day) * Fraction(stop - start, _DAY) * PICO
        yield day.date(), round(total) - rounded
        rounded, start = round(total), stop


def _per_day(commitment: Commitment, day: datetime) -> Fraction:
    usd = Fraction(commitment.usd)
    if commitment.every == "hour":
        return usd * 24
    return usd if commitment.every == "day" else usd / monthrange(day.year, day.month)[1]
