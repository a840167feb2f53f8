"""
OpenLIT: Anthropic's totals are passed on exclusive, Gemini's output leaves thoughts out, streams without usage are guessed.

Source: https://github.com/openlit/openlit (sdk/python/src/openlit/instrumentation); seen with 1.45.0. All of that is in
`EMITTERS`; its cost of 0 means no price, and ignores caching. Tools of the Responses API are one list of names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.dialects.semconv import read_form
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "SCOPES", "TOOLS", "claims", "read"]

SCOPES: Final = ("openlit.",)
FORM: Final = Form(dialect="openlit")
TOOLS: Final = {
    "web_search": "web_search_calls",
    "file_search": "file_search_calls",
    "code_interpreter": "code_execution_calls",
}
"""Names in `openai.response.built_in_tools`, one for each call."""


def claims(span: SpanView) -> bool:
    """Tell whether the span names a GenAI operation: the scope is known."""
    return "gen_ai.operation.name" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read an OpenLIT span; None for spans that make no model request."""
    call = read_form(span, FORM)
    if call is None or call.usage is None or "openai.response.built_in_tools" not in span.attributes:
        return call
    used = [name.strip() for name in read_text(span.attributes, "openai.response.built_in_tools").split(",")]
    calls = {count: used.count(name) for name, count in TOOLS.items() if name in used}
    gaps = tuple(gap for gap in call.usage_gaps if gap != "tool_calls")
    return replace(call, usage=replace(call.usage, **calls), usage_gaps=gaps)
