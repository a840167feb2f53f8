"""
Which spans are GenAI already when they start: what a sampler needs, before any usage is known.

OpenTelemetry's own instrumentations set their attributes at the start; most others set them at the end, and are known by
their scope, some by the span's name. Too much is better than too little: a span that turns out to be no model call
costs a recording, one that is missed costs its price. LiteLLM's attributes on the application's own span, and emitters
that nobody listed, cannot be known: `OTEL_LLMCOST_RECORD_ALL` is for them.
"""

from __future__ import annotations

import functools
from typing import Final

from otel_llmcost.dialects import GATE_KEYS, anthropic_sdk, claude_code, logfire, openlit, openllmetry
from otel_llmcost.dialects.forms import FORMS
from otel_llmcost.model import Attributes

__all__ = ["GENAI_SCOPES", "START_KEYS", "START_NAMES", "is_genai_at_start"]

START_KEYS: Final = GATE_KEYS | {"gen_ai.provider.name", "gen_ai.request.model"}
"""Attributes that only GenAI spans start with."""

GENAI_SCOPES: Final = (
    *anthropic_sdk.SCOPES,
    *logfire.SCOPES,
    *openlit.SCOPES,
    *openllmetry.SCOPES,
    *(scope for scopes, _ in FORMS for scope in scopes),
    "litellm",
    "openinference.",
    "opentelemetry.instrumentation.genai.",
    "opentelemetry.instrumentation.google_genai",
    "opentelemetry.instrumentation.openai_v2",
    "opentelemetry.instrumentation.botocore.bedrock-runtime",
    "opentelemetry.util.genai",
)
"""Public: beginnings of the scope names of instrumentations that do nothing but GenAI."""

START_NAMES: Final = (
    ("ai", "ai.", ("internal",)),
    ("haystack", "haystack.component.run", ("internal",)),
    ("", claude_code.NAME, ("internal", "client")),
)
"""Public: (scope, beginning of the span's name, kinds) where the scope alone says too little."""

_SCOPE_CHARACTERS: Final = 128


def is_genai_at_start(name: str, kind: str, attributes: Attributes | None, scope: str) -> bool:
    """
    Tell whether a span that starts is, or may become, a model call.

    Args:
        kind: internal, server, client, producer or consumer.
        attributes: those it starts with.
        scope: the name of its instrumentation scope.
    """
    if attributes and not attributes.keys().isdisjoint(START_KEYS):
        return True
    if _is_genai_scope(scope[:_SCOPE_CHARACTERS]):
        return True
    return any(
        known in ("", scope) and kind in kinds and name.startswith(begins) for known, begins, kinds in START_NAMES
    )


@functools.lru_cache(maxsize=1024)
def _is_genai_scope(scope: str) -> bool:
    return scope.startswith(GENAI_SCOPES)
