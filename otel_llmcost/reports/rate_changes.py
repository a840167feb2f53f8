"""
Which rates are in force, and which changed when, from the stored content of every rate that ever priced a request.

A rate follows another where provider, model and context (batch, tier, region, hours) are the same and it came into force
later, whatever source it is from. Limit: a price that its source corrected under the same date is no change here: nothing
says when it began to apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, cast

import orjson

from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.pricing.content import exact_text, unit_prices
from otel_llmcost.reports.dimensions import column_of, filter_parameters, source_for
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.spend import Measures

__all__ = ["KnownRate", "PriceChange", "RateChange", "RateInUse", "chains", "rate_changes", "rates_in_use"]

_TOKENS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_HUNDREDTH: Final = Decimal("0.01")
_EVER: Final = datetime.min.replace(tzinfo=UTC)
Model = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRate:
    """A rate with its content, as a request that it priced names it."""

    rate_id: str
    provider: str
    model: str
    source: str
    version: str
    effective_from: datetime | None
    """None: since launch."""
    effective_to: datetime | None
    """As its source said when it was last used; None: open."""
    content: Mapping[str, Any]

    @property
    def context(self) -> tuple[tuple[str, str], ...]:
        """What it is limited to; () is the list price."""
        hours = self.content.get("hours", "")
        return (*self.content.get("context", {}).items(), *([("hours", hours)] if hours else ()))

    @property
    def place(self) -> tuple[object, ...]:
        """What another rate must have in common with it to follow it."""
        return self.provider, self.model, self.context

    @property
    def began(self) -> datetime:
        """When it came into force, for sorting."""
        return self.effective_from or _EVER

    def prices(self, total_input: int = 0) -> dict[str, Fraction]:
        """Give what a unit of each count costs at this total input, discounts and uplifts included."""
        return unit_prices(self.content, total_input)

    def tiers(self) -> set[int]:
        """Give the total inputs above which other prices hold."""
        return {int(tier["above_total_input_tokens"]) for tier in self.content.get("tiers", ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """One unit price before and after; USD per 1M tokens, per call or per request, exact text; None: it had or has none."""

    count: str
    tier: int | None
    """The total input above which it holds; None below the first tier."""
    before: str | None
    after: str | None
    percent: Decimal | None
    """Rounded to hundredths; None where it cannot be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """A rate came into force and asks other prices than the one before it."""

    at: datetime
    rate: KnownRate
    rate_before: KnownRate
    prices: tuple[PriceChange, ...]
    percent: Decimal | None
    """
    How much more the model's tokens of the period cost at the new prices than at the old, cached and all, below the
    first tier. Where it had none, or they cost the same: the largest change of a unit price.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RateInUse:
    """A rate that priced requests of the period, and what they cost."""

    rate_id: str
    """"" for all that no rate priced."""
    rate: KnownRate | None
    """None where there is none, or where the ledger does not have its content."""
    until: datetime | None
    """When it ended: as its source says, or because another followed it; None: in force."""
    measures: Measures
    """Requests, those of them whose cost is a lower bound or not known, and cost; no other measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usage:
    """What a model was used for, in the counts that rollups have."""

    requests: int = 0
    cost_usd: Decimal = Decimal(0)
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


def chains(ledger: Answers, *, since: date | None = None, until: date | None = None) -> list[list[KnownRate]]:
    """
    Give the rates of one provider, model and context each, in the order in which they came into force; all of them, or
    those of the models with a rate that came into force in [since, until). Raises `LedgerError`.
    """
    found: dict[tuple[object, ...], dict[datetime, KnownRate]] = {}
    for rate in _rates(ledger, since.isoformat() if since else "", until.isoformat() if until else ""):
        found.setdefault(rate.place, {})[rate.began] = rate
    return [[chain[began] for began in sorted(chain)] for chain in found.values()]


def rate_changes(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> tuple[RateChange, ...]:
    """
    Find the rates that came into force in a period and ask other prices than before, newest first.

    With `where`, filters as of `spend`: only of models with such charges in the period. Raises `ReportError`, `LedgerError`.
    """
    changed = chains(ledger, since=period.since, until=period.until)
    used = _usage(ledger, period, where or {}) if changed else {}
    found = [
        change
        for chain in changed
        for before, after in pairwise(chain)
        if period.since <= after.began.date() < period.until
        and ((chain[0].provider, chain[0].model) in used or not where)
        and (change := _change(before, after, used.get((after.provider, after.model), _Usage()))) is not None
    ]
    return tuple(sorted(found, key=lambda each: (-each.at.timestamp(), each.rate.rate_id)))


def rates_in_use(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> tuple[RateInUse, ...]:
    """
    List the rates that priced the requests of a period, most costly first; they sum to all spend, with filters as of `spend`.

    Raises `ReportError`, `LedgerError`.
    """
    bound = {"since": period.since, "until": period.until, **filter_parameters(where or {})}
    known = {rate.rate_id: rate for rate in _rates(ledger, "", "")}
    starts: dict[tuple[object, ...], list[datetime]] = {}
    for rate in known.values():
        starts.setdefault(rate.place, []).append(rate.began)
    found = []
    for row in cast("list[dict[str, Any]]", ledger.query("spend_of_rates", bound)):
        rate_id = row.pop("rate_id")
        rate_used = known.get(rate_id)
        until = _end(rate_used, starts[rate_used.place]) if rate_used else None
        found.append(RateInUse(rate_id=rate_id, rate=rate_used, until=until, measures=Measures(**row)))
    return tuple(sorted(found, key=lambda each: (each.measures.cost_usd.copy_negate(), each.rate_id)))


def _end(rate: KnownRate, starts: Iterable[datetime]) -> datetime | None:
    followed = (start for start in starts if start > rate.began)
    return min((*([rate.effective_to] if rate.effective_to else []), *followed), default=None)


def _rates(ledger: Answers, changed_since: str, changed_until: str) -> list[KnownRate]:
    bound = {"changed_since": changed_since, "changed_until": changed_until}
    return [_known(row) for row in ledger.query("rates_known", bound)]


def _known(row: Mapping[str, object]) -> KnownRate:
    texts = {name: str(row[name]) for name in ("rate_id", "provider", "model", "source", "version")}
    start, end = (_instant(str(row[name])) for name in ("effective_from", "effective_to"))
    return KnownRate(**texts, effective_from=start, effective_to=end, content=orjson.loads(str(row["content"])))


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _usage(ledger: Answers, period: Period, where: Mapping[str, str]) -> dict[Model, _Usage]:
    source = source_for(["day", "provider", "model", *map(column_of, where)]).table
    bound = {"source": source, "since": period.since, "until": period.until, **filter_parameters(where)}
    rows = cast("list[dict[str, Any]]", ledger.query("spend_of_models", bound))
    return {(row.pop("provider"), row.pop("model")): _Usage(**row) for row in rows}


def _change(before: KnownRate, after: KnownRate, used: _Usage) -> RateChange | None:
    prices = tuple(_price_changes(before, after))
    if not prices:
        return None
    return RateChange(
        at=after.began, rate=after, rate_before=before, prices=prices, percent=_headline(before, after, prices, used)
    )


def _price_changes(before: KnownRate, after: KnownRate) -> Iterator[PriceChange]:
    for tier in (None, *sorted(before.tiers() | after.tiers())):
        old, new = (rate.prices(0 if tier is None else tier + 1) for rate in (before, after))
        for count in {**old, **new}:
            was, now = old.get(count), new.get(count)
            if was != now:
                yield PriceChange(
                    count=count,
                    tier=tier,
                    before=None if was is None else exact_text(was),
                    after=None if now is None else exact_text(now),
                    percent=_percent(was, now),
                )


def _headline(before: KnownRate, after: KnownRate, prices: Iterable[PriceChange], used: _Usage) -> Decimal | None:
    old, new = before.prices(), after.prices()
    counts = [count for count in _TOKENS if count in old and count in new]
    costs = [sum((table[count] * int(getattr(used, count)) for count in counts), Fraction(0)) for table in (old, new)]
    if costs[0] > 0 and costs[0] != costs[1]:
        return _percent(costs[0], costs[1])
    percents = [change.percent for change in prices if change.percent is not None]
    return max(percents, key=abs, default=None)


def _percent(was: Fraction | None, now: Fraction | None) -> Decimal | None:
    if not was or now is None:
        return None
    change = (now - was) / was * 100
    return EXACT.quantize(EXACT.divide(Decimal(change.numerator), Decimal(change.denominator)), _HUNDREDTH)
