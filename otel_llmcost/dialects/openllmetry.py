"""
OpenLLMetry (Traceloop), current names and those before 0.50, of which a few instrumentations remain.

Source: https://github.com/traceloop/openllmetry (packages/opentelemetry-semantic-conventions-ai); seen with 0.40.14 and
0.62.4. The old ones have no operation name but `llm.request.type`. Fetching a stored response looks like making one,
but for the model that nobody asked for. The vendor is cut off from the model that answered, which OpenRouter prices by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import CONVENTION_NAMES, Form, Kind, build
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.dialects.semconv import read_form
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["FORM", "REQUEST_TYPES", "SCOPES", "claims", "read"]

SCOPES: Final = ("@traceloop/", *(
    f"opentelemetry.instrumentation.{package}"
    for package in (
        "openai.v", "anthropic", "langchain", "google_generativeai", "vertexai", "bedrock", "openai_agents", "cohere",
        "mistralai", "groq", "together", "ollama", "replicate", "watsonx", "sagemaker", "alephalpha", "llamaindex",
        "writer", "haystack", "crewai", "agno",
    )
))  # fmt: skip
"""Of Python packages and of JavaScript's."""

REQUEST_TYPES: Final[dict[str, tuple[Kind, str]]] = {
    "chat": ("request", "chat"),
    "completion": ("request", "text_completion"),
    "embedding": ("request", "embeddings"),
}
"""What each `llm.request.type` is to a bill. Others (rerank, unknown) count no tokens."""

FORM: Final = Form(
    dialect="openllmetry",
    names={**CONVENTION_NAMES, "all": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens")},
    base_url=("gen_ai.openai.api_base",),
)


def claims(span: SpanView) -> bool:
    """Tell whether the span says what it asks a model for, in the current or the old way."""
    return "gen_ai.operation.name" in span.attributes or "llm.request.type" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read an OpenLLMetry span; None for spans that make no model request."""
    if "gen_ai.operation.name" not in span.attributes:
        found = REQUEST_TYPES.get(read_text(span.attributes, "llm.request.type"))
        return build(span, FORM, kind=found[0], operation=found[1]) if found else None
    call = read_form(span, FORM)
    if call is not None and span.name == "openai.response" and _was_fetched(span):
        return replace(call, kind="free", operation="fetch_response")
    if call is not None and call.provider == "openrouter" and call.request_model.endswith(f"/{call.model}"):
        return replace(call, model=call.request_model)
    return call


def _was_fetched(span: SpanView) -> bool:
    return (
        span.scope_name.startswith("opentelemetry.instrumentation.openai.v")
        and "gen_ai.request.model" not in span.attributes
    )
