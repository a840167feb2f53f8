"""
OpenTelemetry's GenAI semantic conventions, current and since 1.36, and by the general rule every emitter that follows them.

Source: https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/gen-ai-spans.md). Input totals SHOULD
include cached input; cache and modality values are subsets; reasoning is inside output. Names drifted
(`cache_creation` became `cache_write`, `gen_ai.system` became `gen_ai.provider.name`), so each total has its names in
order of preference: one is read, none is added.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

from otel_llmcost.attributes import PRICE_ATTRIBUTES
from otel_llmcost.dialects.emitters import emitter, provider_at
from otel_llmcost.dialects.reading import Names, disjoint, read_decimal, read_status, read_text, read_totals
from otel_llmcost.model import ModelCall, SpanView, Usage
from otel_llmcost.providers import normalise_provider

__all__ = ["NAMES", "OPERATIONS", "claims", "read", "read_named"]

OPERATIONS: Final[dict[str, Literal["request", "aggregate", "free"]]] = {
    "chat": "request",
    "generate_content": "request",
    "text_completion": "request",
    "embeddings": "request",
    "embedding": "request",
    "invoke_agent": "aggregate",
    "invoke_workflow": "aggregate",
    "plan": "aggregate",
    "fetch_response": "free",
    "count_tokens": "free",
}
"""What each `gen_ai.operation.name` is to a bill. Others (execute_tool, retrieval, …) make no model request."""

NAMES: Final[Names] = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "cached": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
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

_TIER: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier",
)
_REQUESTED_TIER: Final = ("openai.request.service_tier", "gen_ai.openai.request.service_tier")
_WRITE_LIFETIMES: Final = frozenset({"anthropic", "openai", "aws.bedrock", "gcp.vertex_ai", "azure.ai.openai"})
"""Providers that sell more than one cache lifetime, at different prices."""
_ANSWERING: Final = frozenset({"chat", "generate_content", "text_completion"})


def claims(span: SpanView) -> bool:
    """Tell whether the span names a GenAI operation."""
    return "gen_ai.operation.name" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read a span that follows the conventions; None for operations that make no model request."""
    return read_named(span, dialect="semconv", names=NAMES)


def read_named(span: SpanView, *, dialect: str, names: Names) -> ModelCall | None:
    """Read a span of the `gen_ai.*` family whose totals are under `names`."""
    attributes = span.attributes
    operation = read_text(attributes, "gen_ai.operation.name")
    if (kind := OPERATIONS.get(operation)) is None:
        return None
    provider = normalise_provider(read_text(attributes, "gen_ai.provider.name", "gen_ai.system"))
    provider = provider_at(provider, read_text(attributes, "server.address"))
    known = emitter(span.scope_name, provider, read_text(attributes, "openai.api.type"))
    totals, invalid = read_totals(attributes, names)
    usage, convention, impossible = disjoint(totals, exclusive=known.exclusive)
    status, error_type = read_status(span)
    requested = read_text(attributes, "gen_ai.request.model")
    return ModelCall(
        dialect=dialect,
        kind=kind,
        operation="embeddings" if operation == "embedding" else operation,
        provider=provider,
        model=read_text(attributes, "gen_ai.response.model") or requested,
        request_model=requested,
        response_id=read_text(attributes, "gen_ai.response.id"),
        usage=usage if totals else None,
        invalid_usage=invalid + impossible,
        usage_convention=convention if totals else "",
        usage_gaps=_gaps(span, known.gaps, usage, (provider, operation)),
        service_tier=read_text(attributes, *_TIER),
        status=status,
        error_type=error_type,
        provider_cost_usd=_provider_cost(span),
        resend_count=_resends(span),
        price_attributes=_price_attributes(span),
    )


def _gaps(span: SpanView, gaps: tuple[str, ...], usage: Usage, asked_of: tuple[str, str]) -> tuple[str, ...]:
    attributes = span.attributes
    provider, operation = asked_of
    if usage.cache_write_tokens and usage.cache_write_1h_tokens is None and provider in _WRITE_LIFETIMES:
        gaps += ("cache_write_ttl",)
    if usage.input_tokens is not None and usage.output_tokens is None and operation in _ANSWERING:
        gaps += ("output",)  # an abandoned stream: what was billed for its answer is not known
    asked = read_text(attributes, *_REQUESTED_TIER)
    if asked not in ("", "auto", "default") and not read_text(attributes, *_TIER) and "service_tier" not in gaps:
        gaps += ("service_tier",)
    return gaps


def _provider_cost(span: SpanView) -> Decimal | None:
    # semantic-conventions-genai#443: only source=provider is the provider's own amount, and only dollars are ours.
    attributes = span.attributes
    if read_text(attributes, "gen_ai.usage.cost.source") != "provider":
        return None
    if read_text(attributes, "gen_ai.usage.cost.currency") not in ("", "USD"):
        return None
    return read_decimal(attributes, "gen_ai.usage.cost.amount")


def _resends(span: SpanView) -> int:
    count = span.attributes.get("http.request.resend_count")
    return count if type(count) is int and 0 < count < 2**16 else 0


def _price_attributes(span: SpanView) -> dict[str, str]:
    found = {name: str(value) for name in PRICE_ATTRIBUTES if (value := span.attributes.get(name)) is not None}
    for name in PRICE_ATTRIBUTES:
        if name not in found and (value := span.resource.get(name)) is not None:
            found[name] = str(value)
    return found
