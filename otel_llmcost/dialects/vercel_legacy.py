"""
The Vercel AI SDK's own spans (`LegacyOpenTelemetry`, and all there was before version 7): `ai.operationId` gates.

Source: https://github.com/vercel/ai (packages/ai/src/telemetry); seen with 7.0.173. `.doGenerate`, `.doStream` and
`.doEmbed` are the model requests; the spans around them repeat the sums. Input is inclusive since its details are
written; before, Anthropic's and Bedrock's totals were passed on. `providerMetadata` holds their own usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, Kind, build
from otel_llmcost.dialects.provider_usage import ProviderUsage, read_response
from otel_llmcost.dialects.raw import at, parse_json
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.model import ModelCall, SpanView
from otel_llmcost.providers import normalise_provider

__all__ = ["FORM", "OPERATION_IDS", "claims", "read"]

OPERATION_IDS: Final[dict[str, tuple[Kind, str]]] = {
    "ai.generateText.doGenerate": ("request", "chat"),
    "ai.streamText.doStream": ("request", "chat"),
    "ai.generateObject.doGenerate": ("request", "chat"),
    "ai.streamObject.doStream": ("request", "chat"),
    "ai.embed.doEmbed": ("request", "embeddings"),
    "ai.embedMany.doEmbed": ("request", "embeddings"),
    "ai.generateText": ("aggregate", "chat"),
    "ai.streamText": ("aggregate", "chat"),
    "ai.generateObject": ("aggregate", "chat"),
    "ai.streamObject": ("aggregate", "chat"),
    "ai.embed": ("aggregate", "embeddings"),
    "ai.embedMany": ("aggregate", "embeddings"),
}
"""What each `ai.operationId` is to a bill. Others (`ai.toolCall`, …) make no model request."""

FORM: Final = Form(
    dialect="vercel_legacy",
    names={
        "input": ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        "output": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
        "cached": ("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
        "cache_write": ("ai.usage.inputTokenDetails.cacheWriteTokens",),
        "reasoning": ("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
    },
    provider=("ai.model.provider", "gen_ai.system"),
    request_model=("gen_ai.request.model", "ai.model.id"),
    response_model=("ai.response.model", "gen_ai.response.model"),
    response_id=("ai.response.id", "gen_ai.response.id"),
)
_PASSED_ON: Final = frozenset({"anthropic", "aws.bedrock"})
_DETAILED: Final = "ai.usage.inputTokenDetails.noCacheTokens"


def claims(span: SpanView) -> bool:
    """Tell whether the span names an operation of the AI SDK."""
    return "ai.operationId" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read an AI SDK span; None for spans that make no model request."""
    attributes = span.attributes
    found = OPERATION_IDS.get(read_text(attributes, "ai.operationId"))
    if found is None:
        return None
    kind, operation = found
    provider = normalise_provider(read_text(attributes, *FORM.provider))
    exclusive = provider in _PASSED_ON and _DETAILED not in attributes
    # An outer span repeats the last step's metadata beside the sum of all steps.
    metadata = parse_json(attributes.get("ai.response.providerMetadata")) if kind == "request" else None
    call = build(span, FORM, kind=kind, operation=operation, raw=_raw(metadata), provider=provider, exclusive=exclusive)
    if tier := read_text(at(metadata, "openai"), "serviceTier"):
        gaps = tuple(gap for gap in call.usage_gaps if gap != "service_tier")
        return replace(call, service_tier=tier, usage_gaps=gaps)
    return call


def _raw(metadata: Mapping[str, object] | None) -> ProviderUsage | None:
    for maker in ("anthropic", "google", "vertex"):
        held = at(metadata, maker)
        if held and (read := read_response(held)).usage:
            return read
    return None
