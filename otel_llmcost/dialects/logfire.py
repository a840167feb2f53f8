"""
Logfire: the provider's own usage as JSON in `gen_ai.usage.raw`; a stream's usage is on a second, zero-length span.

Source: https://github.com/pydantic/logfire (`_internal/integrations/llm_providers`, `openai_agents.py`); seen with 5.2.0.
`gen_ai.usage.input_tokens` is inclusive, and not needed. Some model spans have no operation name: in agents' chat mode
they name the model asked for, and fetching a stored response names none. Turn and task spans repeat usage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, Kind, build
from otel_llmcost.dialects.provider_usage import ProviderUsage, read_response, read_usage
from otel_llmcost.dialects.raw import parse_json
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.dialects.semconv import OPERATIONS
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "SCOPES", "claims", "read"]

SCOPES: Final = ("logfire.",)
FORM: Final = Form(dialect="logfire", response_id=("gen_ai.response.id", "response_id"), cost=("operation.cost",))
_DAY_S: Final = 86_400


def claims(span: SpanView) -> bool:
    """Tell whether the span names a provider: the scope is known."""
    return "gen_ai.system" in span.attributes or "gen_ai.operation.name" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read a Logfire span; None for spans that make no model request."""
    found = _operation(span)
    if found is None:
        return None
    kind, operation = found
    call = build(span, FORM, kind=kind, operation=operation, raw=_raw(span))
    return replace(call, stream_began_unix_ns=began) if (began := _stream_began(span)) else call


def _operation(span: SpanView) -> tuple[Kind, str] | None:
    attributes = span.attributes
    if named := read_text(attributes, "gen_ai.operation.name"):
        return OPERATIONS.get(named)
    if read_text(attributes, "gen_ai.request.model"):
        return "request", "chat"
    return ("free", "fetch_response") if read_text(attributes, "gen_ai.response.id") else None


def _stream_began(span: SpanView) -> int:
    """Give when the stream began that a log span tells the end and the usage of; 0 for any other span."""
    took = span.attributes.get("duration")
    if span.attributes.get("logfire.span_type") != "log" or not isinstance(took, float) or not 0 <= took < _DAY_S:
        return 0
    return span.start_unix_ns - int(took * 10**9)


def _raw(span: SpanView) -> ProviderUsage | None:
    """Give the provider's usage: of the whole response, of the raw usage, or as the agents library copied it."""
    attributes = span.attributes
    body = parse_json(attributes.get("response"))
    if body and (read := read_response(body)).usage:
        return read
    for name in ("gen_ai.usage.raw", "usage"):
        if (usage := parse_json(attributes.get(name))) and (read := read_usage(usage)).usage:
            return read
    return None
