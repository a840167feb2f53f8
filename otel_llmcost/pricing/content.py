"""
The content of a rate: unit prices as decimal text, and all that is needed to compute a cost from it years later.

```
{"currency": "USD",
 "unit": {"tokens": "USD per 1M tokens", "calls": "USD per call", "request": "USD per request"},
 "prices": {"input_tokens": "0.75", "cached_input_tokens": "0.075", "output_tokens": "4.5", "web_search_calls": "0.01"},
 "tiers": [{"above_total_input_tokens": 272000, "prices": {…}}],
 "billed_as": {"audio_input_tokens": "input_tokens"},
 "adjustments": [{"name": "Acme 15 % off", "factor": "0.85", "counts": "tokens"}],
 "context": {"batch": "true"}, "hours": "…", "source": "https://…", "checked": "2026-10-14", "effective_from": "…"}
```

A price that no decimal can hold (a GPU hour shared by nine million tokens) is a ratio: `"4/9"`. A tier replaces every
price once the total input (fresh, cached, written, audio and image tokens together) is above its bound. `billed_as`
names the count whose price a count without one of its own takes, as the providers' lists mean it: audio input on a
model without an audio price is billed as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from otel_llmcost.model import COUNTS, RateContent

__all__ = [
    "CALL_COUNTS",
    "INPUT_COUNTS",
    "MILLION",
    "PARENTS",
    "REQUEST",
    "Adjustment",
    "Offer",
    "Tier",
    "exact_text",
    "instant_text",
    "rate_content",
    "unit_prices",
]

MILLION: Final = 10**6
REQUEST: Final = "request"
"""The name, among counts, of the fee that every request pays once."""
CALL_COUNTS: Final = tuple(name for name in COUNTS if name.endswith("_calls"))
INPUT_COUNTS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "cache_write_12h_tokens",
    "audio_input_tokens",
    "cached_audio_input_tokens",
    "image_input_tokens",
)
"""Their sum is the total input that selects a tier."""
PARENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "cached_input_tokens": ("input_tokens",),
    "cache_write_tokens": ("input_tokens",),
    "cache_write_1h_tokens": ("cache_write_tokens", "input_tokens"),
    "audio_input_tokens": ("input_tokens",),
    "cached_audio_input_tokens": ("audio_input_tokens", "cached_input_tokens", "input_tokens"),
    "image_input_tokens": ("input_tokens",),
    "audio_output_tokens": ("output_tokens",),
    "image_output_tokens": ("output_tokens",),
}
"""Whose price a count takes when it has none: first found wins. Nothing stands in for a 12-hour write or a tool call."""

_UNIT: Final = {"tokens": "USD per 1M tokens", "calls": "USD per call", "request": "USD per request"}


@dataclass(frozen=True, slots=True)
class Tier:
    """Every price above a total input; `prices` is complete, not a difference."""

    above: int
    prices: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A factor on the unit prices: a discount or an uplift. `counts` is `tokens` or `all`."""

    name: str
    factor: Fraction
    counts: str = "tokens"
    source: str = ""
    discount: bool = False
    places: frozenset[str] = frozenset()
    """Of an uplift for a region: by what it knows the region, `region` or names of attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one source asks for one model, context and instant. Prices: USD per million tokens, per call, per request."""

    provider: str
    model: str
    prices: Mapping[str, Fraction]
    tiers: tuple[Tier, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    source: str
    version: str
    context: Mapping[str, str] = field(default_factory=dict)
    hours: str = ""
    link: str = ""
    checked: str = ""
    note: str = ""
    contract: bool = False
    """A negotiated price: discounts do not apply to it again."""


def exact_text(value: Fraction) -> str:
    """Write a fraction as the shortest exact decimal text, or as `numerator/denominator` where none exists."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def instant_text(seconds: int | None) -> str:
    """Write Unix seconds as an ISO instant in UTC; None as ""."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _texts(prices: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: exact_text(prices[name]) for name in (*COUNTS, REQUEST) if name in prices}


def _billed_as(prices: Mapping[str, Fraction]) -> dict[str, str]:
    missing = (name for name in COUNTS if name not in prices)
    found = ((name, next((parent for parent in PARENTS.get(name, ()) if parent in prices), "")) for name in missing)
    return {name: parent for name, parent in found if parent}


def rate_content(offer: Offer, start: int | None = None, end: int | None = None) -> RateContent:
    """
    Give the stored form of an offer that holds from Unix seconds `start` until `end` (None: since launch, open).

    The id is a hash of all but the version and the end: both may change later, without a change of the price.
    """
    content: dict[str, object] = {
        "currency": "USD",
        "unit": _UNIT,
        "provider": offer.provider,
        "model": offer.model,
        "rate_source": offer.source,
        "prices": _texts(offer.prices),
        "tiers": [{"above_total_input_tokens": tier.above, "prices": _texts(tier.prices)} for tier in offer.tiers],
        "billed_as": _billed_as(offer.prices),
        "adjustments": [
            {"name": a.name, "factor": exact_text(a.factor), "counts": a.counts, "source": a.source}
            for a in offer.adjustments
        ],
        "context": dict(sorted(offer.context.items())),
        "hours": offer.hours,
        "source": offer.link,
        "checked": offer.checked,
        "note": offer.note,
        "effective_from": instant_text(start),
    }
    content = {key: value for key, value in content.items() if value or key == "prices"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return RateContent(
        rate_id=f"{offer.provider}/{offer.model}#{digest[:12]}",
        provider=offer.provider,
        model=offer.model,
        source=offer.source,
        version=offer.version,
        effective_from=instant_text(start),
        effective_to=instant_text(end),
        content=content,
    )


def _tier_prices(content: Mapping[str, Any], total_input: int) -> Mapping[str, str]:
    tiers: Sequence[Mapping[str, Any]] = content.get("tiers", ())
    above = [tier for tier in tiers if total_input > int(tier["above_total_input_tokens"])]
    chosen = max(above, key=lambda tier: int(tier["above_total_input_tokens"])) if above else content
    prices: Mapping[str, str] = chosen["prices"]
    return prices


def unit_prices(content: Mapping[str, Any], total_input: int) -> dict[str, Fraction]:
    """Give what each count costs per unit (1M tokens, call, request) at this total input, adjustments included."""
    texts = _tier_prices(content, total_input)
    prices = {name: Fraction(text) for name, text in texts.items()}
    for name, parent in content.get("billed_as", {}).items():
        if name not in prices and parent in prices:
            prices[name] = prices[parent]
    for adjustment in content.get("adjustments", ()):
        factor = Fraction(adjustment["factor"])
        for name in prices:
            if adjustment["counts"] == "all" or name.endswith("_tokens"):
                prices[name] *= factor
    return prices
