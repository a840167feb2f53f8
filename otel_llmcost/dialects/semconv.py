"""
OpenTelemetry's GenAI semantic conventions, current and since 1.36, and by the general rule every emitter that follows them.

Source: https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/gen-ai-spans.md). Input totals SHOULD
include cached input; cache and modality values are subsets; reasoning is inside output. Names drifted
(`cache_creation` became `cache_write`, `gen_ai.system` became `gen_ai.provider.name`), so each total has its names in
order of preference: one is read, none is added.
"""

from __future__ import annotations

from typing import Final

from otel_llmcost.dialects.form import Form, Kind, build
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "OPERATIONS", "claims", "read", "read_form"]

OPERATIONS: Final[dict[str, tuple[Kind, str]]] = {
    "chat": ("request", "chat"),
    "generate_content": ("request", "generate_content"),
    "text_completion": ("request", "text_completion"),
    "embeddings": ("request", "embeddings"),
    "embedding": ("request", "embeddings"),
    # Semantic Kernel, https://github.com/microsoft/semantic-kernel (model_diagnostics)
    "chat.completions": ("request", "chat"),
    "chat.streaming_completions": ("request", "chat"),
    "text.completions": ("request", "text_completion"),
    "text.streaming_completions": ("request", "text_completion"),
    "invoke_agent": ("aggregate", "invoke_agent"),
    "invoke_workflow": ("aggregate", "invoke_workflow"),
    "plan": ("aggregate", "plan"),
    "fetch_response": ("free", "fetch_response"),
    "count_tokens": ("free", "count_tokens"),
}
"""What each `gen_ai.operation.name` is to a bill, and its name on rows. Others (execute_tool, retrieval, …) make no
model request."""

FORM: Final = Form(dialect="semconv")


def claims(span: SpanView) -> bool:
    """Tell whether the span names a GenAI operation."""
    return "gen_ai.operation.name" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read a span that follows the conventions; None for operations that make no model request."""
    return read_form(span, FORM)


def read_form(span: SpanView, form: Form) -> ModelCall | None:
    """Read a span that names a GenAI operation and writes the rest in `form`."""
    named = span.attributes.get("gen_ai.operation.name")
    found = OPERATIONS.get(named) if type(named) is str else None
    found = found or OPERATIONS.get(read_text(span.attributes, "gen_ai.operation.name"))
    if found is None:
        return None
    kind, operation = found
    return build(span, form, kind=kind, operation=operation)
