"""
One form for every emitter: under which attributes it writes what a call is, and the one way to read them into a call.

Emitters differ in names and in what they leave out, not in what a call is. So a dialect is a `Form` (names) and rows of
`EMITTERS` (what its totals mean and hide); only those that write JSON or need a rule of their own have code.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Final, Literal, NamedTuple, TypeAlias

from otel_llmcost.attributes import PRICE_ATTRIBUTES
from otel_llmcost.dialects.emitters import Emitter, emitter
from otel_llmcost.dialects.provider_usage import ProviderUsage
from otel_llmcost.dialects.reading import (
    MAX_TEXT,
    Names,
    disjoint,
    read_decimal,
    read_status,
    read_text,
    read_totals,
)
from otel_llmcost.dialects.sellers import ID_SELLERS, answerer, seller, sold
from otel_llmcost.model import Attributes, ModelCall, SpanView, Usage, maker

__all__ = ["CONVENTION_NAMES", "Form", "Kind", "build"]

Kind: TypeAlias = Literal["request", "aggregate", "free"]

CONVENTION_NAMES: Final[Names] = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "cached": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_cached_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
    ),
    "reasoning": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
    "audio_input": ("gen_ai.usage.audio.input_tokens",),
    "cached_audio": ("gen_ai.usage.audio.cache_read.input_tokens",),
    "audio_output": ("gen_ai.usage.audio.output_tokens",),
    "image_input": ("gen_ai.usage.image.input_tokens",),
    "image_output": ("gen_ai.usage.image.output_tokens",),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # compared and hashed by identity: it is part of keys
class Form:
    """The attributes of one dialect, each in order of preference: one is read, none is added to another."""

    dialect: str
    names: Names = field(default_factory=lambda: CONVENTION_NAMES)
    provider: tuple[str, ...] = ("gen_ai.provider.name", "gen_ai.system")
    request_model: tuple[str, ...] = ("gen_ai.request.model",)
    response_model: tuple[str, ...] = ("gen_ai.response.model",)
    response_id: tuple[str, ...] = ("gen_ai.response.id",)
    service_tier: tuple[str, ...] = (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "anthropic.response.service_tier",
    )
    base_url: tuple[str, ...] = ()
    """Where a URL says who was asked, if `server.address` does not."""
    cost: tuple[str, ...] = ("gen_ai.usage.cost",)
    """Where the emitter reports what it believes the call cost, in US dollars; 0 there means that it knows no price."""


_new_call: Final = maker(ModelCall)
_REQUESTED_TIER: Final = ("openai.request.service_tier", "gen_ai.openai.request.service_tier")
_OPENAI_LIFETIME: Final = "cache_write_12h_tokens"
_LIFETIMES: Final = {
    "anthropic": "cache_write_1h_tokens",
    "aws.bedrock": "cache_write_1h_tokens",
    "gcp.vertex_ai": "cache_write_1h_tokens",
    "openai": _OPENAI_LIFETIME,
    "azure.ai.openai": _OPENAI_LIFETIME,
}
"""Providers that sell more than one cache lifetime -> the count that is None where the emitter did not split them."""
_SHOWN_BY: Final = {
    "cached_input": frozenset({"cached"}),
    "cache_write": frozenset({"cache_write"}),
    "reasoning": frozenset({"reasoning", "thoughts"}),
    "audio": frozenset({"audio_input", "audio_output"}),
    "images": frozenset({"image_input", "image_output"}),
    "tool_calls": frozenset({"web_search_calls", "file_search_calls", "code_execution_calls"}),
    "region": frozenset[str](),
    "service_tier": frozenset[str](),
}
"""gap -> the totals that prove that the emitter does show it."""
_PLACE: Final = re.compile("[.:]")
"""In the first word of a Bedrock model: `us.anthropic.claude-…`, `arn:aws:bedrock:us-…`."""
_SCOPE_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known before a span is read: its emitter's row, and what of that its provider bills for this operation."""

    row: Emitter
    billed: frozenset[str]
    gaps: tuple[tuple[str, frozenset[str]], ...]
    """(gap, totals that prove that the emitter does show it)."""
    always: tuple[str, ...]
    mended: bool
    lifetime: str
    """The count that is None where the emitter did not split cache writes by lifetime; "" where there is only one."""
    in_prefix: bool
    """True where the beginning of a model's name says in which region it ran: Bedrock."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """Which of a form's attributes a span has: only those need to be looked at."""

    totals: Names
    has_cost: bool
    texts: Callable[[Attributes], tuple[object, ...]]
    """Gives the values that a `_Site` is read from."""


_Told: TypeAlias = tuple[str, str, str, str]
"""What is known beside the attributes: the provider, the model and the tier, and what the response id begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What a span's texts say before any count: the same for all requests of one place in a program."""

    requested: str
    model: str
    provider: str
    tier: str
    known: _Known
    gaps: tuple[str, ...]
    """What the texts show to be hidden, beyond what the emitter always hides."""
    price_attributes: Mapping[str, str]


class _Count(NamedTuple):
    usage: Usage | None
    convention: str
    invalid: tuple[str, ...]
    gaps: tuple[str, ...]


def build(
    span: SpanView,
    form: Form,
    *,
    kind: Kind,
    operation: str,
    raw: ProviderUsage | None = None,
    provider: str = "",
    exclusive: bool = False,
) -> ModelCall:
    """
    Read a span that is known to show a call.

    Args:
        kind: what the call is to a bill.
        raw: the provider's own usage, where the span carries it: exact, so that no other name is read for counts.
        provider: who bills, where the dialect knows it better than the span's attributes.
        exclusive: input leaves cached tokens out, where the span tells it and not its emitter's row.
    """
    attributes = span.attributes
    shape = _shape(form, _names(form).intersection(attributes))
    response_id = (raw.response_id if raw else "") or read_text(attributes, *form.response_id)
    family = _id_family(response_id)
    told = (provider or raw.provider, raw.model, raw.service_tier, family) if raw else (provider, "", "", family)
    site = _site(span, form, shape, operation, told)
    status, error_type = read_status(span)
    if raw and (raw.usage or raw.invalid_usage):
        gaps = tuple(gap for gap in raw.gaps if gap in site.known.billed)
        count = _Count(raw.usage, "raw", raw.invalid_usage, gaps)
    else:
        count = _count(span, shape, site.known, exclusive)
    usage = count.usage
    if status != "success" and usage is not None and not any(usage.counts):
        usage = None  # some write zeros on failed calls; nobody counted anything
    return _new_call(
        dialect=form.dialect,
        kind=kind,
        operation=operation,
        provider=site.provider,
        model=site.model,
        request_model=site.requested,
        response_id=response_id,
        usage=usage,
        invalid_usage=count.invalid,
        usage_convention=count.convention if usage is not None else "",
        usage_gaps=_span_gaps(usage, count, site, operation),
        service_tier=site.tier,
        speed=raw.speed if raw else "",
        region=raw.region if raw else "",
        status=status,
        error_type=error_type,
        provider_cost_usd=_reported_cost(attributes, form, raw) if raw or shape.has_cost else None,
        resend_count=_resends(span),
        price_attributes=site.price_attributes,
    )


_CHAT: Final = "chatcmpl-"
_RESPONSE: Final = "resp_"
_ID_FAMILIES: Final = (_CHAT, _RESPONSE, *(beginning for beginning, _ in ID_SELLERS))
_APIS: Final = {_CHAT: "chat_completions", _RESPONSE: "responses"}


def _id_family(response_id: str) -> str:
    """Give how the response id begins, where that says by which API or by whom it was made."""
    for beginning in _ID_FAMILIES:
        if response_id.startswith(beginning):
            return beginning
    return ""


@functools.lru_cache(maxsize=64)
def _text_names(form: Form) -> tuple[str, ...]:
    """Name every attribute that a `_Site` is read from, in one order."""
    given = (*form.request_model, *form.response_model, *form.provider, *form.service_tier, *form.base_url)
    return tuple(dict.fromkeys((*given, *_REQUESTED_TIER, *PRICE_ATTRIBUTES, "openai.api.type")))


@functools.lru_cache(maxsize=64)
def _names(form: Form) -> frozenset[str]:
    """Name every attribute that makes a difference to a `_Shape`."""
    return frozenset(
        (*_text_names(form), *form.cost, _COST_SOURCE, *(name for names in form.names.values() for name in names))
    )


@functools.lru_cache(maxsize=1024)
def _shape(form: Form, present: frozenset[str]) -> _Shape:
    totals = {total: tuple(name for name in names if name in present) for total, names in form.names.items()}
    texts = [name for name in _text_names(form) if name in present]
    return _Shape(
        totals={total: names for total, names in totals.items() if names},
        has_cost=not present.isdisjoint((_COST_SOURCE, *form.cost)),
        # `itemgetter` reads all at once, but gives no tuple for a single name, and there is none for no name.
        texts=itemgetter(*texts) if len(texts) > 1 else lambda attributes: tuple(attributes[name] for name in texts),
    )


_SITES_KEPT: Final = 1024
_sites: dict[object, _Site] = {}
_PRICE_NAMES: Final = frozenset(PRICE_ATTRIBUTES)


def _site(span: SpanView, form: Form, shape: _Shape, operation: str, told: _Told) -> _Site:
    """Give what the texts say, remembered by these very texts."""
    texts = shape.texts(span.attributes)
    if not _PRICE_NAMES.isdisjoint(span.resource):
        texts += tuple([span.resource.get(name, "") for name in PRICE_ATTRIBUTES])
    key = (shape, operation, span.scope_name[:_SCOPE_CHARACTERS], span.scope_version[:32], told, texts)
    try:
        known = _sites.get(key)
    except TypeError:  # a value that cannot be part of a key, and is no text
        return _read_site(span, form, operation, told)
    if known is None:
        known = _read_site(span, form, operation, told)
        # Text alone is remembered: it equals no value of another type, as True equals 1. What is too long is read anew.
        if all(type(text) is str and len(text) <= MAX_TEXT for text in texts):
            if len(_sites) >= _SITES_KEPT:
                _sites.clear()  # simpler than a queue of uses, without a lock, and filled again within a few requests
            _sites[key] = known
    return known


def _read_site(span: SpanView, form: Form, operation: str, told: _Told) -> _Site:
    attributes, (provider, model, tier, id_family) = span.attributes, told
    requested = read_text(attributes, *form.request_model)
    model = model or read_text(attributes, *form.response_model) or requested
    named = provider or read_text(attributes, *form.provider)
    provider = answerer(seller(named, _host(attributes, form), model), id_family, requested or model)
    api = read_text(attributes, "openai.api.type") or _APIS.get(id_family, "")
    tier = tier or read_text(attributes, *form.service_tier)
    known = _known(span.scope_name[:_SCOPE_CHARACTERS], span.scope_version[:32], provider, operation, api)
    gaps: list[str] = []
    if not tier and read_text(attributes, *_REQUESTED_TIER) not in ("", "auto", "default"):
        gaps.append("service_tier")
    if known.in_prefix and not _PLACE.search(model.partition("-")[0]):
        gaps.append("region")  # the model's prefix says where it ran, and this emitter cut it off
    return _Site(
        requested=requested,
        model=model,
        provider=provider,
        tier=tier,
        known=known,
        gaps=tuple(gaps),
        price_attributes=_price_attributes(span),
    )


def _host(attributes: Attributes, form: Form) -> str:
    host = read_text(attributes, "server.address")
    if not host and form.base_url:
        return read_text(attributes, *form.base_url).partition("://")[2].partition("/")[0].partition(":")[0]
    return host


@functools.lru_cache(maxsize=1024)
def _known(scope: str, version: str, provider: str, operation: str, api: str) -> _Known:
    row = emitter(scope, version, provider)
    billed = sold(provider, operation, api)
    return _Known(
        row=row,
        billed=billed,
        gaps=tuple((gap, _SHOWN_BY[gap]) for gap in row.gaps if gap in billed),
        always=tuple(gap for gap in row.always if gap in billed),
        mended=bool(row.thoughts or row.false_zeros),
        lifetime=_LIFETIMES.get(provider, ""),
        in_prefix=provider == "aws.bedrock",
    )


def _count(span: SpanView, shape: _Shape, known: _Known, exclusive: bool) -> _Count:
    totals, invalid = read_totals(span.attributes, shape.totals)
    row = known.row
    if row.counted and _streamed(span) and row.counted not in span.attributes:
        totals = {}  # the emitter's own guess: nobody reported usage
    if known.mended:
        _mend(totals, row)
    gaps = tuple([gap for gap, shown_by in known.gaps if shown_by.isdisjoint(totals)]) + known.always
    if row.finish and totals and span.status_code != "error" and row.finish not in span.attributes:
        gaps += ("output",)
    usage, convention, impossible = disjoint(totals, exclusive=exclusive or row.exclusive)
    return _Count(usage if totals else None, convention, invalid + impossible, gaps)


def _mend(totals: dict[str, int], known: Emitter) -> None:
    for total in known.false_zeros:
        if totals.get(total) == 0:
            del totals[total]
    if known.thoughts == "beside" and "reasoning" in totals:
        totals["thoughts"] = totals.pop("reasoning")
    elif known.thoughts == "total" and "output" in totals and "reasoning" not in totals:
        rest = totals.get("all", 0) - totals.get("input", 0) - totals["output"]
        if rest > 0:
            totals["thoughts"] = rest


def _streamed(span: SpanView) -> bool:
    return span.attributes.get("gen_ai.request.stream") is True


def _span_gaps(usage: Usage | None, count: _Count, site: _Site, operation: str) -> tuple[str, ...]:
    """Give what this one span hides, beyond what its emitter always does."""
    gaps, known = count.gaps, site.known
    if site.tier and "service_tier" in gaps:
        gaps = tuple(gap for gap in gaps if gap != "service_tier")
    extra: tuple[str, ...] = ()
    if usage is not None:
        if usage.cache_write_tokens and known.lifetime and getattr(usage, known.lifetime) is None:
            # OpenAI's own usage leaves the split out where there is only the default; a copy of it leaves it out always.
            extra = () if count.convention == "raw" and known.lifetime == _OPENAI_LIFETIME else ("cache_write_ttl",)
        if usage.output_tokens is None and usage.input_tokens is not None and operation != "embeddings":
            extra += ("output",)  # an abandoned stream: what was billed for its answer is not known
    if not extra and not site.gaps:
        return gaps
    return gaps + tuple(gap for gap in (*extra, *site.gaps) if gap in known.billed and gap not in gaps)


_COST_SOURCE: Final = "gen_ai.usage.cost.source"


def _reported_cost(attributes: Attributes, form: Form, raw: ProviderUsage | None) -> Decimal | None:
    if raw and raw.provider_cost_usd is not None:
        return raw.provider_cost_usd
    # semantic-conventions-genai#443: only source=provider is the provider's own amount, and only dollars are ours.
    if _COST_SOURCE in attributes:
        given = read_text(attributes, _COST_SOURCE), read_text(attributes, "gen_ai.usage.cost.currency")
        if given in (("provider", ""), ("provider", "USD")):
            return read_decimal(attributes, "gen_ai.usage.cost.amount")
    return read_decimal(attributes, *form.cost) or None


def _resends(span: SpanView) -> int:
    count = span.attributes.get("http.request.resend_count")
    return count if type(count) is int and 0 < count < 2**16 else 0


def _price_attributes(span: SpanView) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in PRICE_ATTRIBUTES:
        value = span.attributes.get(name)
        if value is None:
            value = span.resource.get(name)
        if isinstance(value, str) and value:
            found[name] = value[:MAX_TEXT]
    return found
