"""
What is the same for all requests of one place in a program, and is therefore read once: names and texts.

A `Form` says under which attributes a dialect writes what a call is. Which of them a span has is its `Shape`; what their
texts say, with the scope and what is known about the emitter, is a `Site`. Only counts, ids and failures differ from
span to span (`form`). Tables are bounded, and remember text alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Literal, TypeAlias

from otel_llmcost.attributes import PRICE_ATTRIBUTES
from otel_llmcost.dialects.emitters import Emitter, emitter
from otel_llmcost.dialects.reading import MAX_TEXT, Names, read_text
from otel_llmcost.dialects.sellers import ID_SELLERS, answerer, seller, sold
from otel_llmcost.model import Attributes, ModelCall, SpanView

__all__ = [
    "CONVENTION_NAMES",
    "COST_SOURCE",
    "OPENAI_LIFETIME",
    "RESENDS",
    "Form",
    "Kind",
    "Known",
    "Shape",
    "Site",
    "Told",
    "hidden",
    "id_family",
    "shape_of",
    "site_of",
]

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

COST_SOURCE: Final = "gen_ai.usage.cost.source"
ERROR_TYPE: Final = "error.type"
RESENDS: Final = "http.request.resend_count"


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


_REQUESTED_TIER: Final = ("openai.request.service_tier", "gen_ai.openai.request.service_tier")
OPENAI_LIFETIME: Final = "cache_write_12h_tokens"
_LIFETIMES: Final = {
    "anthropic": "cache_write_1h_tokens",
    "aws.bedrock": "cache_write_1h_tokens",
    "gcp.vertex_ai": "cache_write_1h_tokens",
    "openai": OPENAI_LIFETIME,
    "azure.ai.openai": OPENAI_LIFETIME,
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
class Known:
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
class Shape:
    """Which of a form's attributes a span has: only those need to be looked at."""

    totals: Names
    has_cost: bool
    has_error: bool
    has_resends: bool
    texts: Callable[[Attributes], tuple[object, ...]]
    """Gives the values that a `Site` is read from."""


Kind: TypeAlias = Literal["request", "aggregate", "free"]
Made: TypeAlias = tuple[Kind, str]
"""What the call is to a bill, and its operation."""
Told: TypeAlias = tuple[str, str, str, str]
"""What is known beside the attributes: the provider, the model and the tier, and what the response id begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a span's texts say before any count: the same for all requests of one place in a program."""

    call: ModelCall
    """As far as the texts say it: without counts, id and failure."""
    known: Known
    gaps: tuple[str, ...]
    """What the texts show to be hidden, beyond what the emitter always hides."""
    gaps_of_whole: tuple[str, ...]
    """What the emitter hides on a span where every total of its shape can be read."""


_CHAT: Final = "chatcmpl-"
_RESPONSE: Final = "resp_"
_ID_FAMILIES: Final = (_CHAT, _RESPONSE, *(beginning for beginning, _ in ID_SELLERS))
_APIS: Final = {_CHAT: "chat_completions", _RESPONSE: "responses"}


def id_family(response_id: str) -> str:
    """Give how the response id begins, where that says by which API or by whom it was made."""
    for beginning in _ID_FAMILIES:
        if response_id.startswith(beginning):
            return beginning
    return ""


@functools.lru_cache(maxsize=64)
def _text_names(form: Form) -> tuple[str, ...]:
    """Name every attribute that a `Site` is read from, in one order."""
    given = (*form.request_model, *form.response_model, *form.provider, *form.service_tier, *form.base_url)
    return tuple(dict.fromkeys((*given, *_REQUESTED_TIER, *PRICE_ATTRIBUTES, "openai.api.type")))


@functools.lru_cache(maxsize=64)
def _names(form: Form) -> frozenset[str]:
    """Name every attribute that makes a difference to a `Shape`."""
    return frozenset(
        (
            *(*_text_names(form), *form.cost, COST_SOURCE, ERROR_TYPE, RESENDS),
            *(name for names in form.names.values() for name in names),
        )
    )


_SHAPES_KEPT: Final = 1024
_MAX_NAMES: Final = 64
_MAX_NAMES_TEXT: Final = 4096
_shapes: dict[tuple[object, ...], Shape] = {}


def shape_of(form: Form, attributes: Attributes) -> Shape:
    """Give which attributes of `form` a span has, remembered by the names of all that it has."""
    if len(attributes) > _MAX_NAMES:  # one for each message: seldom the same again
        return _shape(form, _names(form).intersection(attributes))
    key = (form, *attributes)
    known = _shapes.get(key)
    if known is None:
        known = _shape(form, _names(form).intersection(attributes))
        if sum(map(len, attributes)) <= _MAX_NAMES_TEXT:
            if len(_shapes) >= _SHAPES_KEPT:
                _shapes.clear()
            _shapes[key] = known
    return known


@functools.lru_cache(maxsize=1024)
def _shape(form: Form, present: frozenset[str]) -> Shape:
    totals = {total: tuple(name for name in names if name in present) for total, names in form.names.items()}
    texts = [name for name in _text_names(form) if name in present]
    return Shape(
        totals={total: names for total, names in totals.items() if names},
        has_cost=not present.isdisjoint((COST_SOURCE, *form.cost)),
        has_error=ERROR_TYPE in present,
        has_resends=RESENDS in present,
        # `itemgetter` reads all at once, but gives no tuple for a single name, and there is none for no name.
        texts=itemgetter(*texts) if len(texts) > 1 else lambda attributes: tuple(attributes[name] for name in texts),
    )


_SITES_KEPT: Final = 1024
_sites: dict[object, Site] = {}
_PRICE_NAMES: Final = frozenset(PRICE_ATTRIBUTES)


def site_of(span: SpanView, form: Form, shape: Shape, made: Made, told: Told) -> Site:
    """Give what the texts say, remembered by these very texts."""
    texts = shape.texts(span.attributes)
    if not _PRICE_NAMES.isdisjoint(span.resource):
        texts += tuple([span.resource.get(name, "") for name in PRICE_ATTRIBUTES])
    key = (shape, made, span.scope_name[:_SCOPE_CHARACTERS], span.scope_version[:32], told, texts)
    try:
        known = _sites.get(key)
    except TypeError:  # a value that cannot be part of a key, and is no text
        return _read_site(span, form, shape, made, told)
    if known is None:
        known = _read_site(span, form, shape, made, told)
        # Text alone is remembered: it equals no value of another type, as True equals 1. What is too long is read anew.
        if all(type(text) is str and len(text) <= MAX_TEXT for text in texts):
            if len(_sites) >= _SITES_KEPT:
                _sites.clear()  # simpler than a queue of uses, without a lock, and filled again within a few requests
            _sites[key] = known
    return known


def _read_site(span: SpanView, form: Form, shape: Shape, made: Made, told: Told) -> Site:
    attributes, (kind, operation), (provider, model, tier, id_family) = span.attributes, made, told
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
    call = ModelCall(
        dialect=form.dialect,
        kind=kind,
        operation=operation,
        provider=provider,
        model=model,
        request_model=requested,
        service_tier=tier,
        price_attributes=_price_attributes(span),
    )
    return Site(call=call, known=known, gaps=tuple(gaps), gaps_of_whole=hidden(known, shape.totals))


def hidden(known: Known, shown: Collection[str]) -> tuple[str, ...]:
    """Name what the emitter hides on a span that shows these totals."""
    return tuple([gap for gap, shown_by in known.gaps if shown_by.isdisjoint(shown)]) + known.always


def _host(attributes: Attributes, form: Form) -> str:
    host = read_text(attributes, "server.address")
    if not host and form.base_url:
        return read_text(attributes, *form.base_url).partition("://")[2].partition("/")[0].partition(":")[0]
    return host


@functools.lru_cache(maxsize=1024)
def _known(scope: str, version: str, provider: str, operation: str, api: str) -> Known:
    row = emitter(scope, version, provider)
    billed = sold(provider, operation, api)
    return Known(
        row=row,
        billed=billed,
        gaps=tuple((gap, _SHOWN_BY[gap]) for gap in row.gaps if gap in billed),
        always=tuple(gap for gap in row.always if gap in billed),
        mended=bool(row.thoughts or row.false_zeros),
        lifetime=_LIFETIMES.get(provider, ""),
        in_prefix=provider == "aws.bedrock",
    )


def _price_attributes(span: SpanView) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in PRICE_ATTRIBUTES:
        value = span.attributes.get(name)
        if value is None:
            value = span.resource.get(name)
        if isinstance(value, str) and value:
            found[name] = value[:MAX_TEXT]
    return found
