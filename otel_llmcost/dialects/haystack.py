"""
Haystack: no attribute counts tokens; with content tracing on, a component's output says what its provider said.

Source: https://github.com/deepset-ai/haystack (haystack/tracing, components/generators); seen with 3.4.0. Only `meta` of
replies and of the component is read. Without content tracing the requests are rows without usage. Pipelines repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from otel_llmcost.dialects.form import Form, build
from otel_llmcost.dialects.provider_usage import ProviderUsage, read_usage
from otel_llmcost.dialects.raw import at, parse_json
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["COMPONENTS", "EXCLUSIVE", "FORM", "claims", "read"]

COMPONENTS: Final = (
    ("AzureOpenAI", "azure.ai.openai"),
    ("OpenAI", "openai"),
    ("Anthropic", "anthropic"),
    ("AmazonBedrock", "aws.bedrock"),
    ("GoogleGenAI", "gcp.gemini"),
    ("GoogleAIGemini", "gcp.gemini"),
    ("VertexAI", "gcp.vertex_ai"),
    ("Mistral", "mistral_ai"),
    ("Cohere", "cohere"),
    ("OpenRouter", "openrouter"),
    ("TogetherAI", "together"),
)
"""Beginning of a component's type -> who bills; for types that end in `Generator` or `Embedder`."""

EXCLUSIVE: Final = frozenset({"anthropic", "aws.bedrock"})
"""Providers whose totals Haystack renames to OpenAI's names, and leaves exclusive."""

FORM: Final = Form(dialect="haystack", names={}, provider=(), cost=())
_ENDINGS: Final = {
    "Generator": "chat",
    "Responses": "chat",
    "TextEmbedder": "embeddings",
    "DocumentEmbedder": "embeddings",
}


def claims(span: SpanView) -> bool:
    """Tell whether the span names a Haystack component."""
    return "haystack.component.type" in span.attributes


def read(span: SpanView) -> ModelCall | None:
    """Read a component that calls a model; None for any other."""
    component = read_text(span.attributes, "haystack.component.type")
    operation = next((name for ending, name in _ENDINGS.items() if component.endswith(ending)), "")
    provider = next((bills for start, bills in COMPONENTS if component.startswith(start)), "")
    if not operation or not provider:
        return None
    raw = _raw(parse_json(span.attributes.get("haystack.component.output")), provider)
    return build(span, FORM, kind="request", operation=operation, raw=raw, provider=provider)


def _raw(output: Mapping[str, object] | None, provider: str) -> ProviderUsage | None:
    for meta in _metas(output or {}):
        usage = at(meta, "usage")
        if usage:
            read = read_usage(usage, exclusive=provider in EXCLUSIVE or None)
            return replace(read, model=read_text(meta, "model"), response_id=read_text(meta, "id"))
    return None


def _metas(output: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield at(output, "meta")
    yield at(output, "meta", 0)
    yield at(output, "replies", 0, "meta")
    yield at(output, "replies", 0, "_meta")
