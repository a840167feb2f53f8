"""
LiteLLM's OpenTelemetry callback: by default, with the semantic-convention opt-in, and V2.

Source: https://github.com/BerriAI/litellm (litellm/integrations/opentelemetry.py); seen with 1.106.2. The default writes
the whole usage as Python text, on a span of its own or on the application's parent span. `raw_gen_ai_request` children
repeat it and are not read. An answer from LiteLLM's own cache is free, though it has a cost attribute.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, Kind, build
from otel_llmcost.dialects.provider_usage import read_usage
from otel_llmcost.dialects.raw import MAX_JSON, at, parse_json, parse_repr
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.dialects.sellers import seller
from otel_llmcost.dialects.semconv import OPERATIONS as CONVENTIONS
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "OPERATIONS", "claims", "read"]

OPERATIONS: Final[dict[str, tuple[Kind, str]]] = CONVENTIONS | {
    "completion": ("request", "chat"),
    "acompletion": ("request", "chat"),
    "responses": ("request", "chat"),
    "aresponses": ("request", "chat"),
    "anthropic_messages": ("request", "chat"),
    "atext_completion": ("request", "text_completion"),
    "aembedding": ("request", "embeddings"),
    "image_generation": ("request", "image_generation"),
    "aimage_generation": ("request", "image_generation"),
}
"""LiteLLM's names for its call types, beside the conventions' own."""

FORM: Final = Form(dialect="litellm", cost=("gen_ai.cost.total_cost", "litellm.cost.total"))
_INVENTED: Final = re.compile(r"(?:chatcmpl-|resp_)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""Ids that LiteLLM makes up where a provider's response has another shape: they link to no other span."""


def claims(span: SpanView) -> bool:
    """Tell whether LiteLLM wrote on the span, its own or the application's."""
    return "litellm.call_id" in span.attributes or span.scope_name == "litellm"


def read(span: SpanView) -> ModelCall | None:
    """Read a LiteLLM span; None for spans that make no model request."""
    attributes = span.attributes
    found = OPERATIONS.get(read_text(attributes, "gen_ai.operation.name"))
    if found is None:
        return None
    kind, operation = found
    usage = parse_repr(attributes.get("metadata.usage_object"))
    call = build(
        span,
        FORM,
        kind="free" if kind == "request" and _from_cache(span) else kind,
        operation=operation,
        raw=read_usage(usage) if usage else None,
        provider=_provider(span),
    )
    if _INVENTED.fullmatch(call.response_id):
        return replace(call, response_id="")
    return call


def _from_cache(span: SpanView) -> bool:
    hidden = span.attributes.get("hidden_params")
    if not isinstance(hidden, str) or len(hidden) > MAX_JSON or '"cache_key": "' not in hidden:
        return False
    return bool(at(parse_json(hidden)).get("cache_key"))


def _provider(span: SpanView) -> str:
    named = read_text(span.attributes, "gen_ai.provider.name", "gen_ai.system")
    return named or seller("", "", read_text(span.attributes, "litellm.provider.model"))
