"""
The nouns of the house: frozen, typed, free of OpenTelemetry, ClickHouse and I/O.

A span becomes a `SpanView`; a dialect reads it into a `ModelCall`; pricing answers `Priced` or `Unpriced`; the meter
puts them together with the `Owner` and the `Attempt` into a `Request`, the row of `llm_requests`. Corrections are
`Adjustment`s. Money inside is integer picodollars (1e-12 USD); outside it is `Decimal` or decimal text, never a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation
from typing import Final, Literal, TypeAlias

from otel_llmcost.frozen import changer, maker

__all__ = [
    "COMPONENTS",
    "COUNTS",
    "EXACT",
    "INITIAL",
    "MAX_COST_PICOUSD",
    "MAX_COUNT",
    "NONE",
    "NO_OWNER",
    "NO_USAGE",
    "PICO",
    "TOKEN_COUNTS",
    "UNATTRIBUTED",
    "Adjustment",
    "Attempt",
    "AttributeValue",
    "Attributes",
    "Duplicate",
    "ModelCall",
    "Owner",
    "Price",
    "Priced",
    "RateContent",
    "Request",
    "SpanView",
    "Unpriced",
    "Usage",
    "changer",
    "maker",
    "picousd_text",
]

EXACT: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
"""Where money is added and rounded: never in the context of the caller's thread, which may have six digits."""
PICO: Final = 10**12
MAX_COUNT: Final = 2**53
"""A count at or above this is invalid: JSON readers and rollup sums stay exact below it."""
MAX_COST_PICOUSD: Final = 10**6 * PICO
"""One request never costs a million dollars; a rollup of 1e20 such rows would be needed to overflow a sum."""

UNATTRIBUTED: Final = "(unattributed)"
"""Stored where an owner is missing: an explicit value, because an empty string reads as "all" in dashboards."""
NONE: Final = "(none)"
"""Stored where a request belongs to no business action."""

AttributeValue: TypeAlias = object
Attributes: TypeAlias = Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    Billable counts that never overlap: every token is in exactly one field, except `reasoning_tokens`.

    `None` means that nobody reported the count; it is never the same as 0. Counts are plain integers, 0 <= n < 2**53;
    anything else is kept as it came and answered by pricing with `Unpriced(reason="invalid_usage")`.
    """

    input_tokens: int | None = None
    """Fresh text input: no cached, no cache-write, no audio, no image tokens."""
    cached_input_tokens: int | None = None
    """Input read from the provider's cache (text)."""
    cache_write_tokens: int | None = None
    """Input written to the cache with the provider's default lifetime (Anthropic 5 minutes, OpenAI 30 minutes)."""
    cache_write_1h_tokens: int | None = None
    cache_write_12h_tokens: int | None = None
    output_tokens: int | None = None
    """Text output, reasoning included."""
    audio_input_tokens: int | None = None
    """Fresh audio input."""
    cached_audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    web_search_calls: int | None = None
    file_search_calls: int | None = None
    code_execution_calls: int | None = None
    reasoning_tokens: int | None = None
    """The one "of which": reasoning inside `output_tokens`, priced apart only where a provider does."""

    @property
    def counts(self) -> tuple[int | None, ...]:
        """The counts in the order of `COUNTS`, written out because they are asked for five times a span."""
        return (
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.cache_write_12h_tokens,
            self.output_tokens,
            self.audio_input_tokens,
            self.cached_audio_input_tokens,
            self.audio_output_tokens,
            self.image_input_tokens,
            self.image_output_tokens,
            self.web_search_calls,
            self.file_search_calls,
            self.code_execution_calls,
            self.reasoning_tokens,
        )


COUNTS: Final = tuple(field.name for field in fields(Usage))
"""The vocabulary of usage, in one order everywhere: Python, JSON, columns."""
TOKEN_COUNTS: Final = tuple(name for name in COUNTS if name.endswith("_tokens") and name != "reasoning_tokens")
NO_USAGE: Final = Usage()

COMPONENTS: Final = ("input", "cached_input", "cache_write", "output", "audio", "image", "tool", "request")
"""The parts of a cost; column `<component>_cost_usd`. They always sum to `cost_usd`, to the picodollar."""


def picousd_text(picousd: int) -> str:
    """Write integer picodollars as the shortest exact decimal text: 11550000000 -> "0.01155"."""
    if 0 < picousd < PICO:  # nearly every amount of one request
        return ("0." + str(picousd).zfill(12)).rstrip("0")
    if picousd < 0:
        return "-" + picousd_text(-picousd)
    digits = str(picousd).zfill(13)
    return f"{digits[:-12]}.{digits[-12:]}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateContent:
    """The full content of a rate, as stored in `llm_rates`, so that a row is explained years later."""

    rate_id: str
    """`provider/model#hash-of-the-content`."""
    provider: str
    model: str
    source: str
    """`genai-prices`, `otel-llmcost` (our corrections of it), `card:<name>` or `contract:<name>`."""
    version: str
    """Version of that source: of the package, or the sha256 prefix of the file."""
    effective_from: str
    """ISO instant UTC, or "" for "since launch"."""
    effective_to: str
    content: Mapping[str, object]
    """JSON-ready: unit prices as decimal text, tiers, context, discounts, the source's link and date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """
    A cost, exact to the picodollar, and why it can be trusted.

    `status` is `partial` when a billed count had no published rate: then the cost is a lower bound and
    `missing_rates` names those counts.
    """

    status: Literal["priced", "partial"]
    cost_picousd: int
    list_cost_picousd: int
    """What the published list price would have been, before the user's contract."""
    components: tuple[tuple[str, int], ...]
    """(component, picodollars), only those not zero; they sum to `cost_picousd`."""
    cache_savings_picousd: int
    """What caching saved against fresh input at the same rate; negative where writes cost more than reads saved."""
    rate: RateContent
    match_rule: str
    """How the model name met the rate: exact, alias, snapshot, prefix, deployment, …"""
    missing_rates: tuple[str, ...] = ()
    reason: str | None = None
    """`no_tool_rate`, `no_component_rate` or `output_unknown` (an abandoned stream) or `input_unknown` when
    partial."""

    @property
    def cost_usd(self) -> Decimal:
        """The cost in US dollars."""
        return Decimal(picousd_text(self.cost_picousd))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """No cost is known. Never the same as 0."""

    reason: str
    """unknown_provider, unknown_model, before_launch, no_tier_rate, wildcard_match, invalid_usage, no_usage or
    prices_not_loaded."""
    detail: str = ""
    """One sentence for a person: what was seen, and what would make it priced."""
    status: Literal["unpriced", "provider_reported"] = "unpriced"


Price: TypeAlias = Priced | Unpriced


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanView:
    """One ended span as data, from the SDK or from OTLP. Ids are lower-case hex."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    """internal, server, client, producer or consumer."""
    start_unix_ns: int
    end_unix_ns: int
    attributes: Attributes
    resource: Attributes
    scope_name: str
    scope_version: str
    status_code: Literal["unset", "ok", "error"]
    exception_type: str | None = None
    """Type of the last recorded exception event; its message and stack are never read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """What a dialect reads from a span: the call as the provider would bill it, and how sure that is."""

    dialect: str
    kind: Literal["request", "aggregate", "free"]
    """`request` is billed; an `aggregate` repeats the requests below it; `free` is never billed (fetch, cache hit)."""
    operation: str
    provider: str
    """OpenTelemetry's `gen_ai.provider.name` value, or the plain name that the span gave."""
    model: str
    """The model that answered, else the one asked for; "" when the span names none."""
    request_model: str = ""
    response_id: str = ""
    usage: Usage | None = None
    """None: the span says nothing about usage."""
    invalid_usage: tuple[str, ...] = ()
    """`attribute=value` of every count that is not a count."""
    usage_convention: str = ""
    """`inclusive`, `exclusive` or `raw`: what the span's input total meant."""
    usage_gaps: tuple[str, ...] = ()
    """What this emitter cannot show for this provider (docs/usage-gaps.md)."""
    service_tier: str = ""
    batch: bool = False
    speed: str = ""
    region: str = ""
    status: Literal["success", "error", "timeout", "cancelled"] = "success"
    error_type: str = ""
    provider_cost_usd: Decimal | None = None
    """A cost that the emitter or provider reported: kept beside ours, never mixed."""
    resend_count: int = 0
    """Resends inside the client library, as `http.request.resend_count` tells."""
    stream_began_unix_ns: int = 0
    """When the stream began whose usage this span reports, if that is all it does (Logfire): the request itself is an
    earlier span of the same instrumentation and model, without usage or id, beside it, which ended just before then."""
    price_attributes: Mapping[str, str] = field(default_factory=dict)
    """The attributes that can change a price (`server.address`, `cloud.region`, …), as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who a request belongs to. `None` is a missing owner: stored as `(unattributed)`, or `(none)` for actions."""

    team: str | None = None
    feature: str | None = None
    customer_id: str | None = None
    environment: str | None = None
    action: str | None = None
    action_id: str | None = None
    request_id: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    """Where it came from: `baggage`, `resource`, `attributes`, `record`, joined by `+`; "" when nothing was given."""


NO_OWNER: Final = Owner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Which try this was at the same piece of work."""

    kind: Literal["initial", "retry", "fallback"] = "initial"
    number: int = 1
    source: Literal["", "declared", "inferred"] = ""
    wasted: bool = False
    """True when this retry or fallback followed a request that was itself charged."""


INITIAL: Final = Attempt()
"""The first try, as far as anyone knows: one object, which comparing by identity finds first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One billable model request: one row of `llm_requests`, keyed by (trace_id, span_id)."""

    span: SpanView
    call: ModelCall
    owner: Owner
    price: Price
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A span that shows a request which another span already carries: never billed, never a row."""

    span: SpanView
    call: ModelCall
    of_trace_id: str
    of_span_id: str
    reason: str
    """response_id, ancestry, totals, same_span, aggregate, free or gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """
    A signed, explained row that corrects a charge: `sign` -1 takes a request's numbers back under its own dimensions,
    +1 adds the better ones. `of_trace_id` and `of_span_id` name the row of `llm_requests` that it corrects.
    """

    request: Request
    sign: Literal[-1, 1]
    of_trace_id: str
    of_span_id: str
    reason: str
