"""
Which price holds: published data, then our corrections, then the user's rate cards, then contracts. Later wins.

A `Resolution` answers for one provider, model and context at any instant. It is the slow path: `timeline` asks it once
per span of time between two changes, and compiles the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from otel_llmcost.model import Unpriced
from otel_llmcost.pricing.card import Card, Factor, Match, Rate, When
from otel_llmcost.pricing.content import Adjustment, Offer, instant_text
from otel_llmcost.pricing.context import Context
from otel_llmcost.pricing.names import candidates
from otel_llmcost.pricing.published import Found, Published
from otel_llmcost.providers import normalise_provider, published_id

__all__ = ["DEPLOYMENT_MAP", "DISCOUNT_PERCENT", "Layers", "Query", "Quote", "Resolution"]

DEPLOYMENT_MAP: Final = "deployment_map"
"""Attribute: deployment names to models, a mapping or its JSON text."""
DISCOUNT_PERCENT: Final = "discount_percent"
"""Attribute: a negotiated discount on token prices, decimal text; it replaces a contract's."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: provider and model as they were written, and the context."""

    provider: str
    model: str
    context: Context


@dataclass(frozen=True, slots=True)
class Quote:
    """The price that is paid, the list price beside it, and how the model name was met."""

    offer: Offer
    listed: Offer
    rule: str


@dataclass(frozen=True, slots=True)
class Layers:
    """All sources of prices, in the order in which later ones win."""

    published: Published
    cards: tuple[Card, ...]


class Resolution:
    """The price of one query at any instant."""

    def __init__(self, layers: Layers, query: Query) -> None:
        self._layers = layers
        self._context = query.context
        self._model = query.model.strip()
        self._provider = normalise_provider(query.provider)
        self._source_id = published_id(query.provider)
        if self._provider == "litellm" and "/" in self._model:  # LiteLLM writes the provider into the model
            vendor, _, self._model = self._model.partition("/")
            self._provider, self._source_id = normalise_provider(vendor), published_id(vendor)
        self._found: dict[str, Found | Unpriced] = {}
        self._attribute_map = _deployment_map(query.context.attributes.get(DEPLOYMENT_MAP, ""))

    def at(self, instant: int, minute: int) -> Quote | Unpriced:
        """Answer for Unix seconds `instant`; `minute` is the minute of the week, for hour-of-week prices."""
        model, renamed = self._rename(instant)
        found = self._find(model)
        names = self._names(model, found)
        paid: Offer | Unpriced = self._published(found, names, instant, minute)
        listed, rule = paid, renamed or (found.rule if isinstance(found, Found) else "")
        for card in self._layers.cards:
            if chosen := self._choose(card, names, instant, minute):
                rate, how = chosen
                paid = self._offer(card, rate, model, found)
                rule = rule or how
            paid = self._adjust(paid, card, names, instant)
            if not card.contract:
                listed = paid
        if isinstance(paid, Unpriced):
            return self._near_miss(names, instant) or paid
        paid = self._discount_attribute(paid)
        if isinstance(paid, Unpriced):
            return paid
        return Quote(paid, listed if isinstance(listed, Offer) else paid, rule or "exact")

    def instants(self) -> list[int]:
        """Give every instant at which the answer may change, ascending."""
        edges: set[int] = set()
        for card in self._layers.cards:
            for dated in card.dated():
                if dated.provider == self._provider:
                    edges |= dated.span.edges()
            edges |= {launch.instant for launch in card.launches if launch.provider == self._provider}
        for found in self._all_found(edges):
            edges |= self._layers.published.boundaries(found)
        return sorted(edges)

    def minutes(self) -> list[int]:
        """Give every minute of the week at which the answer may change, ascending; empty: it never does."""
        daily: set[int] = set()
        for found in self._all_found(()):
            daily |= self._layers.published.windows(found)
        weekly = {day * 1440 + minute for day in range(7) for minute in daily}
        names = {name for model in self._targets() for name in self._names(model, self._find(model))}
        for card in self._layers.cards:
            for rate in card.rates:
                if rate.hours and rate.provider == self._provider and any(rate.match.rule(name) for name in names):
                    weekly |= {edge % 10080 for window in rate.hours for edge in window} | {0}
        return sorted(weekly)

    def attributes(self) -> frozenset[str]:
        """Name every attribute that a card's price for it asks for, at whatever time."""
        names = {name for model in self._targets() for name in self._names(model, self._find(model))}
        whens: list[When] = []
        for card in self._layers.cards:
            whens += [each.when for each in card.rates if each.provider == self._provider and _meets(each.match, names)]
            whens += [each.when for each in card.backdated if each.provider == self._provider]
            for factor in card.factors:
                if factor.provider in (self._provider, "") and (factor.match is None or _meets(factor.match, names)):
                    whens += factor.when
        return frozenset(key for when in whens for key in when.attributes)

    def _targets(self) -> list[str]:
        renames = (rename.names.get(self._model.lower()) for card in self._layers.cards for rename in card.renames)
        return [*filter(None, renames), self._attribute_map.get(self._model.lower(), self._model), self._model]

    def _all_found(self, _edges: Iterable[int]) -> Iterator[Found]:
        return (found for model in self._targets() if isinstance(found := self._find(model), Found))

    def _rename(self, instant: int) -> tuple[str, str]:
        asked = self._model.lower()
        if asked in self._attribute_map:
            return self._attribute_map[asked], "deployment"
        for card in reversed(self._layers.cards):
            for rename in reversed(card.renames):
                if rename.provider == self._provider and asked in rename.names and rename.span.holds(instant):
                    return rename.names[asked], rename.rule
        return self._model, ""

    def _find(self, model: str) -> Found | Unpriced:
        if model not in self._found:
            if not self._source_id:
                detail = f"{self._provider!r} is not a provider with published prices. Give it prices in a rate card."
                self._found[model] = Unpriced(reason="unknown_provider", detail=detail)
            else:
                self._found[model] = self._layers.published.find(self._source_id, model, self._provider)
        return self._found[model]

    def _names(self, model: str, found: Found | Unpriced) -> tuple[str, ...]:
        forms = [name for name, _ in candidates(model, self._source_id)]
        known = [found.model.id.lower()] if isinstance(found, Found) else []
        return tuple(dict.fromkeys((model.lower(), *forms, *known)))

    def _published(
        self, found: Found | Unpriced, names: tuple[str, ...], instant: int, minute: int
    ) -> Offer | Unpriced:
        if isinstance(found, Unpriced):
            return found
        for card in self._layers.cards:
            for launch in card.launches:
                met = launch.provider == self._provider and any(launch.match.rule(name) for name in names)
                if met and instant < launch.instant:
                    return Unpriced(reason="before_launch", detail=f"{found.model.id} did not exist at that time.")
        offer = self._layers.published.offer(self._provider, found, self._context, instant, minute)
        if isinstance(offer, Offer) or offer.reason != "no_tier_rate":
            return offer
        return self._backdated(found, instant, minute) or offer

    def _backdated(self, found: Found, instant: int, minute: int) -> Offer | None:
        for card in self._layers.cards:
            for rule in card.backdated:
                if rule.provider == self._provider and rule.when.covers(self._context) and rule.span.holds(instant):
                    offer = self._layers.published.share(
                        self._provider, found, self._context, instant, minute, rule.factor
                    )
                    if offer:
                        return replace(offer, source=card.source, version=card.version, link=rule.link)
        return None

    def _choose(self, card: Card, names: tuple[str, ...], instant: int, minute: int) -> tuple[Rate, str] | None:
        met = [
            (rate, how)
            for rate in card.rates
            if rate.provider == self._provider
            and (how := next(filter(None, map(rate.match.rule, names)), ""))
            and rate.applies(self._context, instant, minute)
        ]
        # More conditions win, then an exact name over a pattern, then the one written last.
        return max(
            enumerate(met),
            key=lambda entry: (entry[1][0].when.size(), bool(entry[1][0].hours), entry[1][1] == "exact", entry[0]),
            default=(0, None),
        )[1]

    def _near_miss(self, names: tuple[str, ...], instant: int) -> Unpriced | None:
        """Explain a card that knows the model, but not this tier or this time."""
        known = [
            rate
            for card in self._layers.cards
            for rate in card.rates
            if rate.provider == self._provider and any(rate.match.rule(name) for name in names)
        ]
        if any(rate.span.holds(instant) and not rate.when.covers(self._context) for rate in known):
            detail = (
                f"No {self._context.words()} price is known for {names[0]}. Add a rate with that `when` to the card."
            )
            return Unpriced(reason="no_tier_rate", detail=detail)
        starts = [rate.span.start for rate in known]
        if starts and all(start is not None and instant < start for start in starts):
            detail = (
                f"The rates of {names[0]} begin on {instant_text(min(filter(None, starts)))}; the request is older."
            )
            return Unpriced(reason="before_launch", detail=detail)
        return None

    def _offer(self, card: Card, rate: Rate, model: str, found: Found | Unpriced) -> Offer:
        return Offer(
            provider=self._provider,
            model=found.model.id if isinstance(found, Found) else model,
            prices=rate.prices,
            tiers=rate.tiers,
            source=card.source,
            version=card.version,
            context=rate.when.as_text(),
            hours=rate.hours_text,
            link=rate.link,
            checked=rate.checked,
            note=rate.note,
            contract=card.contract,
        )

    def _adjust(self, offer: Offer | Unpriced, card: Card, names: tuple[str, ...], instant: int) -> Offer | Unpriced:
        if isinstance(offer, Unpriced):
            return offer
        met = [factor for factor in card.factors if self._meets(factor, names, instant)]
        uplifts = [factor for factor in met if factor.kind == "uplift"]
        discounts = [factor for factor in met if factor.kind == "discount" and not offer.contract]
        # An agreement states the whole uplift of a region: it replaces what a layer below asks for the same region.
        places = _places(when for factor in uplifts for when in factor.when if when.holds(self._context))
        kept = tuple(a for a in offer.adjustments if not (discounts and a.discount) and a.places.isdisjoint(places))
        added = tuple(_adjustment(factor) for factor in (*uplifts, *discounts[-1:]))
        return replace(offer, adjustments=(*kept, *added)) if added else offer

    def _meets(self, factor: Factor, names: tuple[str, ...], instant: int) -> bool:
        return (
            factor.provider in (self._provider, "")
            and factor.span.holds(instant)
            and (factor.match is None or any(factor.match.rule(name) for name in names))
            and (not factor.when or any(when.holds(self._context) for when in factor.when))
        )

    def _discount_attribute(self, offer: Offer) -> Offer | Unpriced:
        text = self._context.attributes.get(DISCOUNT_PERCENT, "")
        if not text:
            return offer
        percent = _percent(text)
        if percent is None:
            detail = f"{DISCOUNT_PERCENT}={text!r} is not a percentage; write 0 to 100, as in 12.5"
            return Unpriced(reason="invalid_usage", detail=detail)
        kept = tuple(adjustment for adjustment in offer.adjustments if not adjustment.discount)
        mine = Adjustment(f"{text.strip()} % off (attribute)", 1 - percent / 100, discount=True)
        return replace(offer, adjustments=(*kept, mine), contract=True)


def _meets(match: Match, names: Iterable[str]) -> bool:
    return any(map(match.rule, names))


def _adjustment(factor: Factor) -> Adjustment:
    if factor.kind == "discount":
        return Adjustment(factor.name, factor.factor, factor.counts, factor.link, discount=True)
    return Adjustment(factor.name, factor.factor, factor.counts, factor.link, places=_places(factor.when))


def _places(whens: Iterable[When]) -> frozenset[str]:
    return frozenset(place for when in whens for place in when.places())


def _percent(text: str) -> Fraction | None:
    whole, _, places = text.strip().partition(".")
    if not (whole.isdecimal() and len(whole) <= 3 and (places.isdecimal() or not places) and len(places) <= 20):
        return None
    percent = Fraction(text.strip().rstrip("."))
    return percent if percent <= 100 else None


def _deployment_map(text: str) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        pairs = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(pairs, dict):
        return {}
    return {str(name).strip().lower(): model for name, model in pairs.items() if isinstance(model, str)}
