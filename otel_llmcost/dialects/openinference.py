"""
OpenInference (Arize): `openinference.span.kind` gates, and `output.value` is often the provider's whole response.

Source: https://github.com/Arize-ai/openinference (spec/semantic_conventions.md); seen with the openai, anthropic,
bedrock, google-genai, langchain, litellm, openai-agents and pydantic-ai instrumentations. All of their totals are
inclusive. From a response body only usage, ids, tier and item types are read; with outputs hidden the attributes remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, Kind, build
from otel_llmcost.dialects.provider_usage import ProviderUsage, read_response, read_usage
from otel_llmcost.dialects.raw import at, parse_json
from otel_llmcost.dialects.reading import read_text, read_totals
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "SPAN_KINDS", "claims", "read"]

SPAN_KINDS: Final[dict[str, tuple[Kind, str]]] = {"LLM": ("request", "chat"), "EMBEDDING": ("request", "embeddings")}
"""What each `openinference.span.kind` is to a bill. Others (CHAIN, AGENT, TOOL, …) make no model request of their own."""

_COUNT: Final = "llm.token_count."
FORM: Final = Form(
    dialect="openinference",
    names={
        "input": (_COUNT + "prompt",),
        "output": (_COUNT + "completion",),
        "cached": (_COUNT + "prompt_details.cache_read", _COUNT + "prompt_details.cache_input"),
        "cache_write": (_COUNT + "prompt_details.cache_write",),
        "reasoning": (_COUNT + "completion_details.reasoning",),
        "audio_input": (_COUNT + "prompt_details.audio",),
        "audio_output": (_COUNT + "completion_details.audio",),
    },
    provider=("llm.provider", "llm.system"),
    request_model=("llm.request.model_name",),
    response_model=("llm.response.model_name", "llm.model_name", "embedding.model_name"),
    response_id=(),
    service_tier=(),
    cost=("llm.cost.total",),
)
_SEARCHES: Final = {"web_search_calls": ("web_search_requests",)}


def claims(span: SpanView) -> bool:
    """Tell whether the span says what kind of OpenInference span it is."""
    return "openinference.span.kind" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read an OpenInference span; None for spans that make no model request."""
    found = SPAN_KINDS.get(read_text(span.attributes, "openinference.span.kind"))
    if found is None:
        return None
    kind, operation = found
    raw = _response(parse_json(span.attributes.get("output.value")))
    if _was_fetched(span):
        kind, operation = "free", "fetch_response"
    call = build(span, FORM, kind=kind, operation=operation, raw=raw)
    if raw is None and "metadata" in span.attributes:
        return _with_searches(call, parse_json(span.attributes["metadata"]))
    return call


def _was_fetched(span: SpanView) -> bool:
    # Fetching a stored response looks like making one, but nothing was asked with it.
    return span.name == "Response" and span.attributes.get("llm.invocation_parameters") == "{}"


def _response(body: Mapping[str, object] | None) -> ProviderUsage | None:
    if body is None:
        return None
    if "generations" in body:
        return _langchain(body)
    if not body.keys() & {"usage", "usage_metadata", "usageMetadata"}:
        body = at(body, "raw")  # LlamaIndex wraps the response
    read = read_response(body) if body else None
    return read if read and (read.usage or read.invalid_usage) else None


def _langchain(body: Mapping[str, object]) -> ProviderUsage | None:
    """Read LangChain's result: the provider's own usage where it kept it, else its normalised one."""
    message = at(body, "generations", 0, 0, "message", "kwargs")
    told = at(message, "response_metadata")
    usage = at(told, "token_usage") or at(told, "usage") or at(message, "usage_metadata")
    read = read_usage(usage)
    if read.usage is None and not read.invalid_usage:
        return None
    return replace(
        read,
        model=read_text(told, "model_name", "model"),
        response_id=read_text(told, "id"),
        service_tier=read.service_tier or read_text(told, "service_tier"),
    )


def _with_searches(call: ModelCall, metadata: Mapping[str, object] | None) -> ModelCall:
    # The Anthropic instrumentation keeps what its token counts have no name for.
    searches, _ = read_totals(at(metadata, "server_tool_use"), _SEARCHES)
    if not searches or call.usage is None:
        return call
    gaps = tuple(gap for gap in call.usage_gaps if gap != "tool_calls")
    return replace(call, usage=replace(call.usage, **searches), usage_gaps=gaps)
