"""
Published list prices, from the data of genai-prices: which model a name means, and what it costs at an instant.

Only the data is used, not its calculator: that works in 70 us per request, drops charges that have no price, and prices
names it merely recognises. Where the data itself is known to be wrong, `cards/*.yaml` corrects it, dated and with reasons.
This module never imports genai-prices itself (160-300 ms, pydantic); `loading` does that in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.model import Unpriced
from otel_llmcost.pricing.content import REQUEST, Offer, Tier, instant_text
from otel_llmcost.pricing.context import Context
from otel_llmcost.pricing.names import candidates, snapshot_date, stands_around

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, MatchLogic, ModelInfo, ModelPrice, PriceVariant, Provider

__all__ = ["SOURCE", "Found", "Published"]

SOURCE: Final = "genai-prices"

_COUNT_OF: Final[Mapping[str, tuple[str, int]]] = {
    "input_mtok": ("input_tokens", 1),
    "cache_read_mtok": ("cached_input_tokens", 1),
    "cache_write_mtok": ("cache_write_tokens", 1),
    "cache_write_5m_mtok": ("cache_write_tokens", 1),
    "cache_write_1h_mtok": ("cache_write_1h_tokens", 1),
    "output_mtok": ("output_tokens", 1),
    "output_reasoning_mtok": ("reasoning_tokens", 1),
    "input_audio_mtok": ("audio_input_tokens", 1),
    "cache_audio_read_mtok": ("cached_audio_input_tokens", 1),
    "output_audio_mtok": ("audio_output_tokens", 1),
    "input_image_mtok": ("image_input_tokens", 1),
    "output_image_mtok": ("image_output_tokens", 1),
    "web_searches_kcount": ("web_search_calls", 1000),
    "storage_searches_kcount": ("file_search_calls", 1000),
    "code_executions_kcount": ("code_execution_calls", 1000),
    "requests_kcount": (REQUEST, 1000),
}
"""The data's price keys as our counts, and per how many of them the price is (tokens: per million, as ours)."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model of the data, how its name was met, and whether the asked provider lists it itself."""

    model: ModelInfo
    rule: str
    own: bool
    name: str
    """The form of the name that matched."""


@dataclass(frozen=True, slots=True)
class Published:
    """The published data of one version of genai-prices."""

    providers: Sequence[Provider]
    version: str

    def find(self, provider_id: str, model: str, asked: str) -> Found | Unpriced:
        """
        Find a model by name: the first match that leaves nothing over that could change the price.

        `provider_id` is the data's name of the provider, `asked` ours, for people.
        """
        provider = self._provider(provider_id)
        if provider is None:
            return Unpriced(reason="unknown_provider", detail=f"No prices are published for provider {asked!r}.")
        relatives = tuple(provider.fallback_model_providers or ())
        swallowed = ""
        for name, form_rule in candidates(model, provider_id, relatives):
            for seller in (provider, *filter(None, map(self._provider, relatives))):
                entry = next((entry for entry in seller.models if entry.match.is_match(name)), None)
                if entry is None:
                    continue
                if rule := _how(entry, name):
                    return Found(entry, form_rule or rule, seller is provider, name)
                swallowed = entry.id
                break
        return _not_found(asked, model, swallowed)

    def offer(self, provider: str, found: Found, context: Context, instant: int, minute: int) -> Offer | Unpriced:
        """Give the price at Unix seconds `instant`; `minute` is the minute of the week that selects daily windows."""
        launched = _launch(found)
        if launched and instant < _midnight(launched):
            detail = f"{found.model.id} is dated {launched}; the request is older. Check its timestamp and model."
            return Unpriced(reason="before_launch", detail=detail)
        standard, hours = _standard(found.model, instant, minute)
        prices = dict(_prices_of(standard))
        asked = context.published()
        if asked:
            variants = _variants(found, asked, instant, minute)
            if not _cover(variants, context):
                return _no_tier(found, context)
            for variant in reversed(variants):
                prices.update(_prices_of(variant.prices))
        if not prices:
            return self._free_or_unpriced(provider, found)
        base, tiers = _tiered(prices)
        if not base:
            detail = f"{found.model.id} is sold by units that tokens and calls do not express: {', '.join(prices)}."
            return Unpriced(reason="no_component_rate", detail=detail)
        return self._make(provider, found, base, tiers, context=context.as_text(), hours=hours)

    def share(
        self, provider: str, found: Found, context: Context, instant: int, minute: int, factor: Fraction
    ) -> Offer | None:
        """Give the standard price, times `factor` where the variant that the data dates later has its own price."""
        asked = context.published()
        variants = [v for v in found.model.price_variants or () if found.own and v.when.items() <= asked.items()]
        own = {
            _COUNT_OF[key][0] for variant in variants[-1:] for key, _ in _prices_of(variant.prices) if key in _COUNT_OF
        }
        standard, hours = _standard(found.model, instant, minute)
        base, tiers = _tiered(dict(_prices_of(standard)))
        if not own or not base:
            return None
        base = {name: usd * factor if name in own else usd for name, usd in base.items()}
        tiers = tuple(
            Tier(t.above, {name: usd * factor if name in own else usd for name, usd in t.prices.items()}) for t in tiers
        )
        return self._make(provider, found, base, tiers, context=context.as_text(), hours=hours)

    def boundaries(self, found: Found) -> set[int]:
        """Give the instants at which a price of this model may change, as Unix seconds."""
        dates = {_start_of(entry.constraint) for entry in _entries(found.model)}
        launched = _launch(found)
        if launched:
            dates.add(_midnight(launched))
        return {seconds for seconds in dates if seconds is not None}

    def windows(self, found: Found) -> set[int]:
        """Give the minutes of the day at which a price of this model may change."""
        constraints = [entry.constraint for entry in _entries(found.model)]
        edges = {_minute(edge) for constraint in constraints for edge in _window(constraint)}
        return {0, *edges} if edges else set()

    def _provider(self, provider_id: str) -> Provider | None:
        return next((provider for provider in self.providers if provider.id == provider_id), None)

    def _free_or_unpriced(self, provider: str, found: Found) -> Offer | Unpriced:
        if not found.model.id.endswith((":free", "-free")):
            detail = f"The price data lists {found.model.id} without a price. State it in a rate card, or `free: true`."
            return Unpriced(reason="unknown_model", detail=detail)
        zero = dict.fromkeys(("input_tokens", "output_tokens"), Fraction(0))
        return self._make(provider, found, zero, (), note="listed as free")

    def _make(
        self, provider: str, found: Found, prices: Mapping[str, Fraction], tiers: tuple[Tier, ...], **more: Any
    ) -> Offer:
        seller = next((p for p in self.providers if any(model is found.model for model in p.models)), None)
        comments = found.model.price_comments or ""
        checked = re.search(r"verified on (\d{4}-\d{2}-\d{2})", comments)
        links = (
            re.findall(r"https?://[^\s,;)]+[^\s,;).]", comments) or (seller.pricing_urls if seller else None) or [""]
        )
        return Offer(
            provider=provider,
            model=found.model.id,
            prices=prices,
            tiers=tiers,
            source=SOURCE,
            version=self.version,
            link=links[0],
            checked=checked.group(1) if checked else "",
            **more,
        )


def _not_found(provider: str, model: str, swallowed: str) -> Unpriced:
    if swallowed and not model.startswith("ft:"):
        detail = f"{model!r} only begins like {swallowed!r}; its price is unknown. Give it a price or an alias in a rate card."
        return Unpriced(reason="wildcard_match", detail=detail)
    if "application-inference-profile" in model:
        detail = f"{model!r} hides its model. Map it to one in the `deployments` of a contract."
    elif provider.startswith("azure."):
        detail = (
            f"{model!r} is not a model of Azure: if it is a deployment name, map it in the `deployments` of a contract."
        )
    elif model.startswith("ft:"):
        detail = f"No fine-tune price is published for the base of {model!r}. State it in a rate card."
    else:
        detail = f"No price is published for {model!r} of {provider!r}. State it in a rate card."
    return Unpriced(reason="unknown_model", detail=detail)


def _no_tier(found: Found, context: Context) -> Unpriced:
    dates = sorted(
        instant_text(start)[:10]
        for variant in found.model.price_variants or ()
        if (start := _start_of(variant.constraint)) is not None
        and all(context.published().get(key) == value for key, value in variant.when.items())
    )
    since = f" Its published price begins on {dates[0]}." if dates and found.own else ""
    detail = (
        f"No {context.words()} price is published for {found.model.id} at that time.{since} State it in a rate card."
    )
    return Unpriced(reason="no_tier_rate", detail=detail)


def _leaves(clause: MatchLogic, text: str) -> Iterator[tuple[str, int, int]]:
    """Give (kind, start, end) of each leaf clause that matches, in the text."""
    parts = getattr(clause, "or_", None) or getattr(clause, "and_", None)
    if parts:
        for part in parts:
            if part.is_match(text):
                yield from _leaves(part, text)
        return
    ((kind, literal),) = vars(clause).items()
    if kind == "regex":
        found = re.search(literal, text)
        if found and found.end() > found.start():  # a pure look-ahead says what is not, never what is
            yield kind, found.start(), found.end()
        return
    start = text.rfind(literal.lower()) if kind == "ends_with" else text.find(literal.lower())
    yield kind, start, start + len(literal)


def _how(entry: ModelInfo, name: str) -> str:
    """Tell how a matching name met the model: exact, alias, snapshot or prefix; "" when it was merely swallowed."""
    if name == entry.id.lower():
        return "exact"
    if name.startswith("ft:") and not entry.id.startswith("ft:"):
        return ""  # the data gives ft:gpt-4-0613 the price of gpt-4 itself
    rules = []
    for kind, start, end in _leaves(entry.match, name):
        if (start, end) == (0, len(name)):
            rules.append(
                "alias"
                if kind == "equals" and not snapshot_date(name)
                else "snapshot"
                if kind != "contains"
                else "alias"
            )
        elif stands_around(name[:start], name[start:end], name[end:]):
            rules.append("region_prefix" if start else "snapshot" if snapshot_date(name) else "prefix")
    order = ("alias", "snapshot", "prefix", "region_prefix")
    return min(rules, key=order.index, default="")


def _entries(model: ModelInfo) -> list[ConditionalPrice | PriceVariant]:
    conditional = list(model.prices) if isinstance(model.prices, list) else []
    return [*conditional, *(model.price_variants or ())]


def _start_of(constraint: object) -> int | None:
    start: date | None = getattr(constraint, "start_date", None)
    return None if start is None else _midnight(start.isoformat())


def _midnight(day: str) -> int:
    """Give the Unix seconds of a day's beginning in UTC."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def _window(constraint: object) -> tuple[time, ...]:
    """Give the start and end of a daily window, or nothing."""
    start, end = getattr(constraint, "start_time", None), getattr(constraint, "end_time", None)
    return (start, end) if isinstance(start, time) and isinstance(end, time) else ()


def _minute(edge: time) -> int:
    if edge.tzinfo not in (None, UTC) and edge.utcoffset():
        raise ValueError(f"a daily window at {edge} is not in UTC")
    return edge.hour * 60 + edge.minute


def _active(constraint: object, instant: int, minute: int) -> bool:
    start = _start_of(constraint)
    if start is not None:
        return instant >= start
    if not (window := _window(constraint)):
        return True
    first, last, now = _minute(window[0]), _minute(window[1]), minute % 1440
    return first <= now < last if first <= last else now >= first or now < last


def _standard(model: ModelInfo, instant: int, minute: int) -> tuple[ModelPrice, str]:
    """Choose as the data means it: the last active price wins; without one, the first."""
    if not isinstance(model.prices, list):
        return model.prices, ""
    chosen = next(
        (entry for entry in reversed(model.prices) if _active(entry.constraint, instant, minute)), model.prices[0]
    )
    windows = [entry for entry in model.prices if _window(entry.constraint)]
    words = "" if not windows else _window_words(chosen.constraint) or "all other hours"
    return chosen.prices, words


def _window_words(constraint: object) -> str:
    window = _window(constraint)
    return f"{window[0]:%H:%M}-{window[1]:%H:%M} UTC" if window else ""


def _variants(found: Found, asked: Mapping[str, str], instant: int, minute: int) -> list[PriceVariant]:
    # What a provider sells for another (Azure: OpenAI's models) is listed at its standard price only.
    return [
        variant
        for variant in (found.model.price_variants or () if found.own else ())
        if _active(variant.constraint, instant, minute)
        and all(asked.get(key) == value for key, value in variant.when.items())
    ]


def _cover(variants: Iterable[PriceVariant], context: Context) -> bool:
    """Tell whether one variant with prices speaks for everything about the request that is not standard."""
    return any(
        context.required() <= variant.when.keys() and any(_prices_of(variant.prices)) for variant in variants
    ) or (not context.required())


def _prices_of(prices: ModelPrice) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in vars(prices).items() if value is not None and not key.startswith("_"))


def _tiered(prices: Mapping[str, Any]) -> tuple[dict[str, Fraction], tuple[Tier, ...]]:
    known = {key: value for key, value in prices.items() if key in _COUNT_OF}
    starts = sorted({tier.start for value in known.values() for tier in getattr(value, "tiers", ())})
    base = {_COUNT_OF[key][0]: _at(key, value, -1) for key, value in known.items()}
    tiers = (
        Tier(start, {_COUNT_OF[key][0]: _at(key, value, start) for key, value in known.items()}) for start in starts
    )
    return base, tuple(tiers)


def _at(key: str, value: Any, start: int) -> Fraction:
    amount: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if start >= tier.start:
            amount = tier.price
    return Fraction(amount) / _COUNT_OF[key][1]


def _literals(clause: MatchLogic) -> Iterator[str]:
    for part in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from _literals(part)
    yield from (value for value in vars(clause).values() if isinstance(value, str))


def _launch(found: Found) -> str:
    """Give the date that a model's own names prove it launched, `YYYY-MM-DD`, or "": prices then have no beginning."""
    if asked := snapshot_date(found.name):
        return asked
    dates = (snapshot_date(text) for text in (found.model.id, *_literals(found.model.match)))
    return min(filter(None, dates), default="")
