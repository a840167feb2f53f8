"""
One public table of providers: every spelling seen in the wild, OpenTelemetry's name for it, and the name in the price data.

Rows are stored under OpenTelemetry's `gen_ai.provider.name` values (semantic-conventions-genai, `gen_ai.provider.name`),
others under their plain name. A spelling that is not in the table stays as given, stripped and lower-cased, and prices
as `unknown_provider`: guessing by "contains openai" is how Azure requests get OpenAI's prices elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["BY_SPELLING", "PROVIDERS", "Provider", "fold", "normalise_provider", "published_id"]


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider: `name` is stored on rows; `published` is its id in the price data ("" when it is not there)."""

    name: str
    published: str
    spellings: tuple[str, ...] = ()


PROVIDERS: Final = (
    Provider("anthropic", "anthropic", ("claude", "anthropic_api")),
    Provider(
        "aws.bedrock",
        "aws",
        ("aws", "bedrock", "aws_bedrock", "amazon_bedrock", "amazon", "bedrock_converse", "aws.bedrock_runtime"),
    ),
    Provider(
        "azure.ai.openai",
        "azure",
        ("azure", "azure_openai", "azureopenai", "azure.openai", "az.ai.openai", "azure_openai_responses"),
    ),
    Provider("azure.ai.inference", "azure", ("azure_ai", "azure_ai_inference", "az.ai.inference", "azure_ai_foundry")),
    Provider("cohere", "cohere", ("cohere_ai", "cohere_chat")),
    Provider("deepseek", "deepseek", ("deep_seek", "deepseek_ai")),
    Provider(
        "gcp.gemini",
        "google",
        ("google", "gemini", "google_gemini", "google.generative_ai", "google_genai", "google_ai_studio", "google_gla"),
    ),
    Provider("gcp.gen_ai", "google", ("gcp_gen_ai", "google_generative_ai")),
    Provider(
        "gcp.vertex_ai",
        "google",
        (
            "vertex_ai", "vertexai", "vertex", "google_vertex", "google_vertexai", "google_vertex_ai", "google.vertex",
            "gcp_vertex_ai", "vertex_ai_beta", "google_anthropic_vertex", "anthropic_vertex", "google.vertex.anthropic",
        ),
    ),
    Provider("groq", "groq", ("groq_cloud",)),
    Provider("ibm.watsonx.ai", "", ("watsonx", "ibm_watsonx", "watsonx_ai", "ibm")),
    Provider("mistral_ai", "mistral", ("mistral", "mistralai", "mistral.ai")),
    Provider("moonshot_ai", "moonshotai", ("moonshot", "moonshotai", "kimi")),
    Provider("openai", "openai", ("open_ai", "text_completion_openai", "openai_responses", "openai_chat")),
    Provider("perplexity", "perplexity", ("perplexity_ai", "pplx")),
    Provider("x_ai", "x-ai", ("xai", "x.ai", "grok")),
    # From here on: no OpenTelemetry value exists, so the plain name.
    Provider("arcee", "arcee", ("arcee_ai",)),
    Provider("avian", "avian"),
    Provider("baseten", "baseten"),
    Provider("cerebras", "cerebras"),
    Provider("cloudflare", "cloudflare", ("cloudflare_workers_ai", "workers_ai")),
    Provider("cursor", "cursor"),
    Provider("databricks", "databricks"),
    Provider("doubleword", "doubleword"),
    Provider("elevenlabs", "elevenlabs", ("eleven_labs",)),
    Provider("fireworks", "fireworks", ("fireworks_ai",)),
    Provider("github_copilot", "github-copilot", ("copilot",)),
    Provider("huggingface_cerebras", "huggingface_cerebras"),
    Provider("huggingface_fireworks", "huggingface_fireworks-ai", ("huggingface_fireworks_ai",)),
    Provider("huggingface_groq", "huggingface_groq"),
    Provider("huggingface_hyperbolic", "huggingface_hyperbolic"),
    Provider("huggingface_nebius", "huggingface_nebius"),
    Provider("huggingface_novita", "huggingface_novita"),
    Provider("huggingface_nscale", "huggingface_nscale"),
    Provider("huggingface_ovhcloud", "huggingface_ovhcloud"),
    Provider("huggingface_publicai", "huggingface_publicai"),
    Provider("huggingface_sambanova", "huggingface_sambanova"),
    Provider("huggingface_together", "huggingface_together"),
    Provider("meta", "meta", ("meta_llama", "llama_api")),
    Provider("minimax", "minimax", ("minimaxi",)),
    Provider("modal", "modal"),
    Provider("novita", "novita", ("novita_ai",)),
    Provider("openai_decisions", "openai-decisions"),
    Provider("openrouter", "openrouter", ("open_router", "openrouter.ai")),
    Provider("ovhcloud", "ovhcloud", ("ovh",)),
    Provider("quicksilverpro", "quicksilverpro"),
    Provider("together", "together", ("together_ai", "togetherai", "together.ai")),
    Provider("typesafe", "typesafe"),
    Provider("voyageai", "voyageai", ("voyage", "voyage_ai")),
    Provider("zai", "zai", ("z.ai", "z_ai", "zhipu_z_ai")),
    Provider("zhipuai", "zhipuai", ("zhipu", "bigmodel")),
)  # fmt: skip

_API_SUFFIXES: Final = (".chat", ".responses", ".messages", ".completion", ".embedding", ".image", ".generative_ai")
"""What the Vercel AI SDK appends to a provider: `openai.chat`, `anthropic.messages`, `azure-openai.responses`."""


def fold(text: str) -> str:
    """Give the form in which spellings are compared: stripped, lower-case, with `_` for `-` and spaces."""
    return text.strip().lower().replace("-", "_").replace(" ", "_")


BY_SPELLING: Final = MappingProxyType(
    {
        fold(text): provider
        for provider in reversed(PROVIDERS)  # the first row wins where a spelling belongs to two: `azure`, `google`
        for text in (provider.name, provider.published, *provider.spellings)
        if text
    }
)


def _find(text: str) -> Provider | None:
    folded = fold(text)
    if found := BY_SPELLING.get(folded):
        return found
    for suffix in _API_SUFFIXES:
        if folded.endswith(suffix):
            return BY_SPELLING.get(folded.removesuffix(suffix))
    return None


def normalise_provider(text: str) -> str:
    """Give OpenTelemetry's `gen_ai.provider.name` for any known spelling: `xai` -> `x_ai`, `OpenAI` -> `openai`."""
    found = _find(text)
    return found.name if found else text.strip().lower()


def published_id(text: str) -> str:
    """Give the provider's id in the published price data, or "" when that data does not know it."""
    found = _find(text)
    return found.published if found else ""
