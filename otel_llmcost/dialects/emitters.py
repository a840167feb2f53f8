"""
What is known about each instrumentation, as data: whose input totals exclude cached tokens, and what each cannot show.

Decided by (scope, provider), never by arithmetic: "cache is larger than input, so it is exclusive" fails when much
fresh input meets little cache. Measured by running each emitter; the first matching row wins.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

__all__ = ["EMITTERS", "HOST_PROVIDERS", "Emitter", "emitter", "provider_at"]


@dataclass(frozen=True, slots=True)
class Emitter:
    """One row: for spans whose scope begins with `scope` and whose provider is `provider` ("" is any)."""

    scope: str
    provider: str = ""
    api: str = ""
    """`openai.api.type`, where an emitter differs by API ("" is any)."""
    exclusive: bool = False
    """True where the input total does not contain cached and written tokens."""
    gaps: tuple[str, ...] = ()
    """What this emitter never shows for this provider (vocabulary: DESIGN §5)."""


EMITTERS: Final = (
    # opentelemetry-instrumentation-genai-openai >= 1.1 (opentelemetry-python-genai). Tool calls only show in content.
    Emitter("opentelemetry.instrumentation.genai.openai", api="responses", gaps=("tool_calls",)),
    Emitter("opentelemetry.instrumentation.genai.openai"),
    # opentelemetry-instrumentation-genai-anthropic
    Emitter("opentelemetry.instrumentation.genai.anthropic", gaps=("tool_calls", "service_tier", "region")),
    # The Anthropic SDK's own spans, anthropic >= 2 (anthropic-sdk-python, `_otel`).
    Emitter("com.anthropic.sdk", gaps=("tool_calls", "region")),
    # opentelemetry-instrumentation-openai-v2 and genai-openai 1.0: cache is invisible, audio and reasoning too.
    Emitter(
        "opentelemetry.util.genai.handler", "openai", gaps=("cached_input", "cache_write", "reasoning", "audio", "images")
    ),
    Emitter(
        "opentelemetry.instrumentation.openai_v2", gaps=("cached_input", "cache_write", "reasoning", "audio", "images")
    ),
    # Bedrock's own totals are exclusive, and these pass them on (docs.aws.amazon.com, Converse TokenUsage).
    Emitter("opentelemetry.instrumentation.genai.bedrock", exclusive=True, gaps=("reasoning", "service_tier")),
    Emitter("opentelemetry.instrumentation.botocore", exclusive=True, gaps=("reasoning", "service_tier")),
    # opentelemetry-instrumentation-google-genai: tool-use prompts are dropped from the input total.
    Emitter("opentelemetry.instrumentation.google_genai", gaps=("tool_calls", "service_tier")),
    Emitter(""),
)
"""Public: an emitter that is not listed follows the conventions (input is inclusive, nothing is known to be missing)."""

HOST_PROVIDERS: Final = (
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.openai"),
    ("openrouter.ai", "openrouter"),
    ("api.x.ai", "x_ai"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.fireworks.ai", "fireworks"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".amazonaws.com", "aws.bedrock"),
)
"""Public: host suffix -> who really bills. OpenAI's and Anthropic's clients talk to many providers; their
instrumentations name the client's maker."""

_CLIENTS_OF_MANY: Final = frozenset({"openai", "anthropic"})


@functools.lru_cache(maxsize=1024)
def emitter(scope: str, provider: str, api: str) -> Emitter:
    """Find what is known about an instrumentation scope for one provider and API."""
    return next(
        row
        for row in EMITTERS
        if scope.startswith(row.scope) and row.provider in ("", provider) and row.api in ("", api)
    )


@functools.lru_cache(maxsize=1024)
def provider_at(provider: str, host: str) -> str:
    """Give the provider that bills: the host's, where a client of many providers was pointed elsewhere."""
    if provider not in _CLIENTS_OF_MANY or not host:
        return provider
    host = host.lower().rstrip(".")
    return next((bills for suffix, bills in HOST_PROVIDERS if host.endswith(suffix)), provider)
