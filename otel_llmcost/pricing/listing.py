"""Lists rates: what holds for a provider, a model or everything, at an instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from otel_llmcost.model import RateContent, Unpriced
from otel_llmcost.pricing.layers import Layers
from otel_llmcost.pricing.timeline import Timeline
from otel_llmcost.providers import PROVIDERS, Provider, normalise_provider

if TYPE_CHECKING:
    from otel_llmcost.pricing.pricer import Pricer

__all__ = ["RateRow", "rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """One rate that holds, or the reason why none does."""

    provider: str
    model: str
    context: str
    """`standard`, or what differs: `batch`, `service_tier=flex`, …"""
    rate: RateContent | None
    match_rule: str = ""
    reason: str = ""
    detail: str = ""


def rows(pricer: Pricer, layers: Layers, provider: str | None, model: str | None, at: datetime) -> Iterator[RateRow]:
    """Give the standard rate of each model, then each context that has a price of its own."""
    seconds = int(at.timestamp())
    for name, listed in _models(layers, provider, model):
        for context in _contexts(layers, name, listed):
            row = _row(pricer, name, listed, context, seconds)
            if row.rate is not None or not context:
                yield row


def _models(layers: Layers, provider: str | None, model: str | None) -> Iterator[tuple[str, str]]:
    wanted = normalise_provider(provider) if provider else ""
    if wanted and model:
        yield wanted, model
        return
    seen: set[tuple[str, str]] = set()
    own = {rate.provider for card in layers.cards for rate in card.rates} - {entry.name for entry in PROVIDERS}
    for entry in (*PROVIDERS, *(Provider(name, "") for name in sorted(own))):
        if wanted and entry.name != wanted:
            continue
        sellers = [seller for seller in layers.published.providers if seller.id == entry.published]
        names = [listed.id for seller in sellers for listed in seller.models]
        names += [
            n for card in layers.cards for rate in card.rates if rate.provider == entry.name for n in rate.match.names
        ]
        for name in names:
            if (not model or model.lower() in name.lower()) and (entry.published or entry.name, name) not in seen:
                seen.add((entry.published or entry.name, name))
                yield entry.name, name


def _contexts(layers: Layers, provider: str, model: str) -> Iterator[dict[str, object]]:
    yield {}
    for tier in ("flex", "priority", "fast"):
        yield {"service_tier": tier}
    yield {"batch": True}
    yield {"speed": "fast"}
    own = {rate.when.service_tier for card in layers.cards for rate in card.rates if rate.provider == provider}
    for tier in sorted(own - {"", "flex", "priority", "fast"}):
        yield {"service_tier": tier}


def _row(pricer: Pricer, provider: str, model: str, context: dict[str, object], seconds: int) -> RateRow:
    words = ", ".join(name if value is True else f"{name}={value}" for name, value in context.items()) or "standard"
    timeline = pricer.timeline(provider, model, **context)  # type: ignore[arg-type]  # keys are its parameters
    found = timeline.at(seconds) if isinstance(timeline, Timeline) else timeline
    if isinstance(found, Unpriced):
        return RateRow(
            provider=provider, model=model, context=words, rate=None, reason=found.reason, detail=found.detail
        )
    return RateRow(provider=provider, model=model, context=words, rate=found.rate.content, match_rule=found.rule)
