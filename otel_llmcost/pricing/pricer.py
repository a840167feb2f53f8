"""
`Pricer`: usage in, exact cost out, with the reason why it can be trusted, or why there is none.

The first request of a model, tier and region compiles its prices (about a millisecond); the next ones are a table look-up,
a comparison with the last price change, and one multiply-add per count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.model import NO_USAGE, ModelCall, Price, Unpriced, Usage
from otel_llmcost.pricing.context import PUBLISHED_ATTRIBUTES, Context
from otel_llmcost.pricing.layers import DEPLOYMENT_MAP, DISCOUNT_PERCENT, Layers, Query, Resolution
from otel_llmcost.pricing.loading import Loading
from otel_llmcost.pricing.timeline import Charge, Timeline, unusable
from otel_llmcost.pricing.unloaded import PRICES_NOT_LOADED
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.pricing.card import Card
    from otel_llmcost.pricing.commitments import FixedCost
    from otel_llmcost.pricing.listing import RateRow

__all__ = ["Pricer"]

_Key = tuple[str, str, str | None, bool, str | None, str | None, tuple[str, ...]]

_MAX_TIMELINES: Final = 4096
"""Names come from the wild: a table that is full starts over. Unknown names are kept too, they are asked as often."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHIPPED_ATTRIBUTES: Final = ("server.address", "anthropic.inference_geo", "gen_ai.request.inference_geo")
"""The attributes that our own cards read; a card may add others."""


class Pricer:
    """
    Prices requests. Construction returns at once: published prices load in a thread, `cards` are added to them.

    Rate cards win over published prices, contracts over rate cards, and of two of a kind the later one. With
    `corrections=False` the published data is used as it is, known faults included.
    """

    _default: Pricer | None = None

    def __init__(self, cards: Iterable[Card] = (), *, corrections: bool = True) -> None:
        self._cards = tuple(sorted(cards, key=lambda card: card.contract))
        self._corrections = corrections
        self._layers: Layers | None = None
        self._timelines: dict[_Key, Timeline] = {}
        self._attributes_kept: dict[tuple[tuple[str, object], ...], tuple[str, ...]] = {}
        own = {key for card in self._cards for key in card.attribute_keys()}
        names = (*_SHIPPED_ATTRIBUTES, *PUBLISHED_ATTRIBUTES, DEPLOYMENT_MAP, DISCOUNT_PERCENT, *own)
        self._attribute_names = tuple(sorted(set(names)))
        Loading.shared()

    @classmethod
    def default(cls) -> Pricer:
        """Give the process's pricer over published prices and our corrections."""
        if cls._default is None:
            cls._default = cls()
        return cls._default

    @classmethod
    def from_settings(cls, settings: Settings) -> Pricer:
        """Give a pricer that also reads the settings' rate cards. Raises `RateCardError`."""
        return cls.from_files(settings.rate_cards) if settings.rate_cards else cls.default()

    @classmethod
    def from_files(cls, paths: Iterable[Path]) -> Pricer:
        """Give a pricer that also reads these rate cards and contracts. Raises `RateCardError`."""
        from otel_llmcost.pricing.reading import read_card  # PyYAML is only loaded for those who have cards

        return cls([read_card(path) for path in paths])

    def wait(self, seconds: float = 60) -> bool:
        """
        Wait for the published prices; False: not within `seconds`.

        For commands and batch work, which would rather be late than unpriced. A request never waits longer than 2 s.
        """
        return Loading.shared().wait(seconds)

    def price(
        self,
        *,
        provider: str,
        model: str,
        usage: Usage,
        at: datetime,
        service_tier: str | None = None,
        batch: bool = False,
        speed: str | None = None,
        region: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Price:
        """
        Price one request that started `at` (aware). Bad usage is `Unpriced`; a naive `at` raises `ValueError`.

        The usage is taken as all that is billed: a count that is `None` is not billed here, as the output of an
        embedding is not. Only reasoning without the output that contains it says that something is missing: the price
        is then `partial`, `output_unknown`. (What a span leaves out, the meter judges: it knows who wrote the span.)
        """
        offset = at.utcoffset()
        if offset is None:
            raise ValueError(
                f"at={at.isoformat()} has no time zone, and rates change at UTC instants; use datetime.now(UTC)"
            )
        since = at - _EPOCH
        key = (provider, model, service_tier, batch, speed, region, self._attributes(attributes))
        return self._price(key, usage, since.days * 86400 + since.seconds)

    def price_call(self, call: ModelCall, start_unix_ns: int) -> Price:
        """Price what a dialect read from a span that started at `start_unix_ns`."""
        if call.invalid_usage:
            detail = f"{', '.join(call.invalid_usage)}: not a count. The emitter wrote it so."
            return Unpriced(reason="invalid_usage", detail=detail)
        key = (
            call.provider,
            call.model,
            call.service_tier,
            call.batch,
            call.speed,
            call.region,
            self._repeated(call.price_attributes),
        )
        return self._price(key, call.usage or NO_USAGE, start_unix_ns // 1_000_000_000)

    def timeline(
        self,
        provider: str,
        model: str,
        service_tier: str | None = None,
        batch: bool = False,
        speed: str | None = None,
        region: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Timeline | Unpriced:
        """Give the compiled prices of a model over time; `Unpriced` only while prices are not loaded."""
        key = (provider, model, service_tier, batch, speed, region, self._attributes(attributes))
        return self._timelines.get(key) or self._build(key)

    def rates(self, provider: str | None = None, model: str | None = None, at: datetime | None = None) -> list[RateRow]:
        """List what holds at an instant (default: now), with every context that has its own price."""
        from otel_llmcost.pricing.listing import rows  # for commands: an application does not pay for it at start

        layers = self._loaded()
        return [] if layers is None else list(rows(self, layers, provider, model, at or datetime.now(UTC)))

    def attributes_read(self, provider: str, model: str) -> frozenset[str]:
        """Name the attributes that a rate card's price of this model depends on, at whatever time; loaded prices only."""
        layers = self._loaded()
        return frozenset() if layers is None else Resolution(layers, Query(provider, model, Context())).attributes()

    def fixed_costs(self, start: datetime, end: datetime) -> Iterator[FixedCost]:
        """Give the fixed part of every commitment in [start, end), one row per UTC day. Both must be aware."""
        from otel_llmcost.pricing.commitments import fixed_costs

        return fixed_costs(self._cards, start, end)

    def _price(self, key: _Key, usage: Usage, seconds: int) -> Price:
        counts = usage.counts
        timeline = self._timelines.get(key) or self._build(key)
        found = timeline.at(seconds) if type(timeline) is Timeline else timeline
        if type(found) is Charge:
            return found.price(counts)
        return unusable(counts) or found  # type: ignore[return-value]  # an Unpriced; mypy does not narrow by type()

    def _attributes(self, attributes: Mapping[str, object] | None) -> tuple[str, ...]:
        if not attributes:
            return ()
        return tuple([_text(attributes.get(name)) for name in self._attribute_names])

    def _repeated(self, attributes: Mapping[str, object]) -> tuple[str, ...]:
        """Give `_attributes` of what repeats with every request of one call site."""
        if not attributes:
            return ()
        items = tuple(attributes.items())
        try:
            known = self._attributes_kept.get(items)
        except TypeError:  # a mapping, as a deployment map may be
            return self._attributes(attributes)
        if known is None:
            known = self._attributes(attributes)
            if all(type(value) is str for value in attributes.values()):  # True equals 1, but is not written so
                if len(self._attributes_kept) >= _MAX_TIMELINES:
                    self._attributes_kept = {}
                self._attributes_kept[items] = known
        return known

    def _loaded(self) -> Layers | None:
        if self._layers is None and (loaded := Loading.shared().result()):
            self._layers = Layers(loaded.published, (*(loaded.corrections if self._corrections else ()), *self._cards))
        return self._layers

    def _build(self, key: _Key) -> Timeline | Unpriced:
        layers = self._loaded()
        if layers is None:
            return Unpriced(reason=PRICES_NOT_LOADED, detail=f"Prices are not there. {Loading.shared().failure}")
        provider, model, service_tier, batch, speed, region, values = key
        attributes = {name: value for name, value in zip(self._attribute_names, values, strict=False) if value}
        context = Context.read(service_tier, batch, speed, region, attributes)
        timeline = Timeline.build(Resolution(layers, Query(provider, model, context)))
        if len(self._timelines) >= _MAX_TIMELINES:
            self._timelines = {}  # replaced, not emptied: other threads may be reading it, and no lock survives a fork
        self._timelines[key] = timeline
        return timeline


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(dict(value), sort_keys=True, default=str) if isinstance(value, Mapping) else str(value)
