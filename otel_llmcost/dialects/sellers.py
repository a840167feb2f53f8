"""
Who bills a request, and what they sell: public tables, because instrumentations name the client's maker or themselves.

OpenAI's and Anthropic's clients talk to many providers, so the host decides where a span shows it. Frameworks write
their own name as the provider; then the model's name tells, and only where it can mean one seller.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from otel_llmcost.providers import BY_SPELLING, fold, normalise_provider

__all__ = ["FRAMEWORKS", "HOST_PROVIDERS", "ID_SELLERS", "MAKERS", "SOLD", "answerer", "seller", "sold"]

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
"""Host suffix -> who really bills."""

ID_SELLERS: Final = (("gen-", "openrouter"),)
"""Beginning of a response id -> who answered, for models with a vendor in front: OpenAI's client at OpenRouter."""

_CLIENTS_OF_MANY: Final = frozenset({"openai", "anthropic"})

FRAMEWORKS: Final = frozenset(
    {
        "", "strands-agents", "langchain", "langgraph", "litellm", "microsoft.agent_framework", "crewai", "haystack",
        "llama_index", "llamaindex", "spring_ai", "pydantic-ai", "vercel", "gcp.vertex.agent", "semantic_kernel", "unknown",
    }
)  # fmt: skip
"""Names that instrumentations write as the provider, but that nobody gets a bill from."""

MAKERS: Final = (
    ("arn:aws", "aws.bedrock"),
    ("us.", "aws.bedrock"),
    ("eu.", "aws.bedrock"),
    ("apac.", "aws.bedrock"),
    ("global.", "aws.bedrock"),
    ("anthropic.", "aws.bedrock"),
    ("amazon.", "aws.bedrock"),
    ("meta.", "aws.bedrock"),
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("chatgpt-", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "gcp.gemini"),
    ("grok-", "x_ai"),
    ("deepseek-", "deepseek"),
    ("mistral-", "mistral_ai"),
    ("codestral-", "mistral_ai"),
    ("command-", "cohere"),
)
"""Beginning of a model's name -> its maker, for spans that name no seller at all."""

_CACHE: Final = frozenset({"cached_input", "cache_write", "cache_write_ttl"})
_TEXT: Final = frozenset({"cached_input", "reasoning", "output"})
_OPENAI: Final = _CACHE | _TEXT | {"audio", "images", "tool_calls", "service_tier"}
_GEMINI: Final = _TEXT | {"audio", "images", "tool_calls", "service_tier"}

SOLD: Final[Mapping[str, frozenset[str]]] = {
    "openai": _OPENAI,
    "azure.ai.openai": _OPENAI | {"region"},
    # No tier: Anthropic's priority is capacity paid ahead, and the list price of a request is the same.
    "anthropic": _CACHE | _TEXT | {"tool_calls", "region"},
    "aws.bedrock": _CACHE | _TEXT | {"service_tier", "region"},
    "gcp.gemini": _GEMINI,
    "gcp.gen_ai": _GEMINI,
    "gcp.vertex_ai": _GEMINI | _CACHE | {"region"},
    "x_ai": _TEXT | {"images", "tool_calls"},
    "openrouter": _TEXT | {"cache_write", "tool_calls"},
}
"""What each provider charges for beyond plain input, in the vocabulary of `usage_gaps`: only that can be missing."""

_EMBEDDED: Final = frozenset({"service_tier", "region", "images"})
_CHAT_COMPLETIONS: Final = frozenset({"tool_calls"})


@functools.lru_cache(maxsize=1024)
def sold(provider: str, operation: str, api: str) -> frozenset[str]:
    """Give what `provider` charges for by this operation and API; tools are billed by OpenAI's Responses API alone."""
    quantities = SOLD.get(provider, _TEXT)
    if operation == "embeddings":
        return quantities & _EMBEDDED
    return quantities - _CHAT_COMPLETIONS if api == "chat_completions" else quantities


@functools.lru_cache(maxsize=1024)
def seller(named: str, host: str, model: str) -> str:
    """Give the provider that bills: the host's for a client of many, the model's maker where only software is named."""
    provider = normalise_provider(named)
    if provider in FRAMEWORKS:
        return _maker(model) or provider
    if provider not in _CLIENTS_OF_MANY or not host:
        return provider
    host = host.lower().rstrip(".")
    return next((bills for suffix, bills in HOST_PROVIDERS if host.endswith(suffix)), provider)


def answerer(provider: str, response_id: str, model: str) -> str:
    """Give who answered, where the response id shows it; else `provider`."""
    if provider in _CLIENTS_OF_MANY and "/" in model:
        return next((bills for prefix, bills in ID_SELLERS if response_id.startswith(prefix)), provider)
    return provider


def _maker(model: str) -> str:
    vendor, slash, _ = model.partition("/")
    if slash:
        known = BY_SPELLING.get(fold(vendor))
        return known.name if known else ""
    model = model.lower()
    return next((maker for prefix, maker in MAKERS if model.startswith(prefix)), "")
