"""
What each gap does to a cost, and what to do about each instrumentation that has one: two public tables.

A remedy shows more than before on some span of the request; which span is then charged, charging decides (fewer gaps
win), so that adding an instrumentation beside another never bills a request twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["GAPS", "REMEDIES", "Gap", "Remedy", "remedy"]


@dataclass(frozen=True, slots=True)
class Gap:
    """One word of `usage_gaps`."""

    effect: str
    """What it does to the cost of a request."""
    every: bool = False
    """Whether it may touch every ordinary request: not only those with audio, tools, another tier and so on."""
    costs: bool = True
    """Whether it can change a cost at all."""


GAPS: Final[Mapping[str, Gap]] = {
    "cached_input": Gap(
        "cache reads are charged as fresh input (too high), or not at all where input leaves them out", every=True
    ),
    "cache_write": Gap(
        "cache writes are charged as fresh input, or not at all where input leaves them out: too low", every=True
    ),
    "cache_write_ttl": Gap("all cache writes are charged at the default lifetime: too low for longer ones"),
    "output": Gap("an abandoned or badly counted stream: its output tokens are a guess", every=True),
    "reasoning": Gap("reasoning is not shown apart: the cost includes it", costs=False),
    "audio": Gap("audio tokens are charged as text: too low where there are any"),
    "images": Gap("image tokens are charged as text: too low where there are any"),
    "tool_calls": Gap("web searches and other tool calls are not charged: too low where there are any"),
    "service_tier": Gap("flex, batch or priority is charged as standard"),
    "region": Gap("a regional endpoint is charged at the global price: too low there"),
}
"""Public: every gap that a row may name."""

_GENAI: Final = "https://github.com/open-telemetry/opentelemetry-python-genai"
_OPENINFERENCE: Final = "https://github.com/Arize-ai/openinference"
_ANTHROPIC: Final = "https://github.com/anthropics/anthropic-sdk-python"

_OPENAI: Final = "opentelemetry-instrumentation-genai-openai>=1.3b0"
_OPENAI_SHOWS: Final = (
    "opentelemetry-instrumentation-genai-openai, which shows cached, written, reasoning and audio tokens and the tier"
)
_BEDROCK: Final = "opentelemetry-instrumentation-genai-bedrock>=1.3b0"
_NATIVE: Final = (
    "leave the spans that the anthropic package (2 or newer) writes by itself on: unlike most, they split cache writes by "
    "lifetime"
)
_SEARCHES: Final = (
    "for web searches, add openinference-instrumentation-anthropic, whose spans keep the response that counts them (and "
    "its text, which we never read)"
)


_LANGCHAIN: Final = (
    "Add openinference-instrumentation-openai, which sees all of LangChain's calls (OpenTelemetry's own for openai does "
    "not) and keeps the provider's usage; the anthropic package (2 or newer) writes such spans by itself."
)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about spans whose scope begins with `scope` and whose provider is `provider` ("" is any)."""

    scope: str
    fix: str
    link: str
    provider: str = ""
    install: str = ""
    """The package that the remedy needs, as pip reads it; "" for none, or for which it depends."""

    @property
    def command(self) -> str:
        """The command that installs it."""
        return f"pip install '{self.install}'" if self.install else ""


REMEDIES: Final = (
    Remedy(
        "com.anthropic.claude_code",
        "Nothing shows more of Claude Code today: compare with the cost_usd of its own api_request events.",
        "https://code.claude.com/docs/en/monitoring-usage",
    ),
    Remedy("com.anthropic.", f"Keep these spans: they split cache writes by lifetime. {_SEARCHES.capitalize()}.",
           _OPENINFERENCE, install="openinference-instrumentation-anthropic"),
    Remedy(
        "opentelemetry.instrumentation.genai.openai",
        "Only tool calls of the Responses API and cache lifetimes are hidden, with content capture on too. Where you "
        "use them, add openinference-instrumentation-openai, whose spans keep the response that counts them (and its "
        "text, which we never read).",
        _OPENINFERENCE,
        install="openinference-instrumentation-openai",
    ),
    Remedy("opentelemetry.instrumentation.genai.anthropic", f"{_NATIVE.capitalize()}; {_SEARCHES}.", _ANTHROPIC),
    Remedy(
        "opentelemetry.util.genai.handler",
        f"Replace opentelemetry-instrumentation-openai-v2 (or genai-openai before 1.1) by {_OPENAI_SHOWS}.",
        _GENAI,
        install=_OPENAI,
        provider="openai",
    ),
    Remedy(
        "opentelemetry.util.genai.handler",
        f"Upgrade opentelemetry-instrumentation-genai-anthropic, and {_NATIVE}.",
        _GENAI,
        install="opentelemetry-instrumentation-genai-anthropic>=1.3b0",
        provider="anthropic",
    ),
    Remedy(
        "opentelemetry.util.genai.handler",
        "Upgrade the instrumentation that wrote these to its successor in opentelemetry-python-genai, 1.3b0 or newer.",
        _GENAI,
    ),
    Remedy(
        "opentelemetry.instrumentation.openai_v2",
        f"Replace opentelemetry-instrumentation-openai-v2 by {_OPENAI_SHOWS}.",
        _GENAI,
        install=_OPENAI,
    ),
    Remedy(
        "opentelemetry.instrumentation.genai.bedrock",
        "For other tiers than standard, add openinference-instrumentation-bedrock, whose spans keep the response that "
        "names the tier; reasoning is in the cost already.",
        _OPENINFERENCE,
        install="openinference-instrumentation-bedrock",
    ),
    Remedy(
        "opentelemetry.instrumentation.botocore",
        "Add opentelemetry-instrumentation-genai-bedrock: it shows the cache for invoke_model too.",
        _GENAI,
        install=_BEDROCK,
    ),
    Remedy(
        "opentelemetry.instrumentation.google_genai",
        "For grounding and tools, add openinference-instrumentation-google-genai, whose spans keep the provider's own "
        "usage.",
        _OPENINFERENCE,
        install="openinference-instrumentation-google-genai",
    ),
    Remedy(
        "opentelemetry.instrumentation.genai.langchain",
        _LANGCHAIN,
        _OPENINFERENCE,
        install="openinference-instrumentation-openai",
    ),
    # OpenLLMetry: its scopes look like OpenTelemetry's own.
    Remedy(
        "opentelemetry.instrumentation.anthropic",
        f"Remove opentelemetry-instrumentation-anthropic (OpenLLMetry), which counts streamed output wrongly, or "
        f"{_NATIVE} and win over its spans.",
        _ANTHROPIC,
    ),
    Remedy(
        "opentelemetry.instrumentation.langchain",
        f"This one (OpenLLMetry) writes 0 for Anthropic's cache writes: {_NATIVE} and win over its spans.",
        _ANTHROPIC,
        provider="anthropic",
    ),
    Remedy(
        "opentelemetry.instrumentation.langchain",
        _LANGCHAIN,
        _OPENINFERENCE,
        install="openinference-instrumentation-openai",
    ),
    Remedy(
        "opentelemetry.instrumentation.google_generativeai",
        "Replace OpenLLMetry's instrumentation by openinference-instrumentation-google-genai (with the google-genai "
        "package), whose spans keep the provider's own usage.",
        _OPENINFERENCE,
        install="openinference-instrumentation-google-genai",
    ),
    Remedy(
        "opentelemetry.instrumentation.vertexai",
        "Call Vertex AI through the google-genai package, with openinference-instrumentation-google-genai, whose spans "
        "keep the provider's own usage.",
        _OPENINFERENCE,
        install="openinference-instrumentation-google-genai",
    ),
    Remedy(
        "opentelemetry.instrumentation.bedrock",
        "Replace OpenLLMetry's instrumentation, which cuts the region off the model's name, by "
        "opentelemetry-instrumentation-genai-bedrock.",
        _GENAI,
        install=_BEDROCK,
    ),
    Remedy(
        "opentelemetry.instrumentation.openai",
        f"Replace opentelemetry-instrumentation-openai and -openai-agents by {_OPENAI_SHOWS}.",
        _GENAI,
        install=_OPENAI,
    ),
    Remedy(
        "pydantic-ai",
        "Pydantic AI shows all but the context of the price. Where you use another region, "
        "add openinference-instrumentation-anthropic, whose spans keep the response that names it.",
        _OPENINFERENCE,
        install="openinference-instrumentation-anthropic",
        provider="anthropic",
    ),
    Remedy(
        "pydantic-ai",
        f"Instrument the provider's client beneath Pydantic AI too. For OpenAI: {_OPENAI_SHOWS}.",
        _GENAI,
        install=_OPENAI,
    ),
    Remedy(
        "openlit.",
        f"OpenLIT shows Anthropic's writes without their lifetime: {_NATIVE} (OpenLIT may hold that package back at "
        "0.x: upgrade it).",
        _ANTHROPIC,
        provider="anthropic",
    ),
    Remedy("openlit.", f"Instrument the provider's client too. For OpenAI: {_OPENAI_SHOWS}.", _GENAI, install=_OPENAI),
    Remedy(
        "strands.",
        "Instrument the provider's client beneath Strands too: opentelemetry-instrumentation-genai-bedrock, or "
        "-genai-openai; the anthropic package (2 or newer) does it by itself.",
        _GENAI,
    ),
    Remedy(
        "openinference.instrumentation.litellm",
        "This one keeps no response: use LiteLLM's own OpenTelemetry callback in its place, which carries the provider's "
        "usage (callbacks = ['otel']).",
        "https://docs.litellm.ai/docs/observability/opentelemetry_integration",
    ),
    Remedy(
        "openinference.",
        "Unset OPENINFERENCE_HIDE_OUTPUTS: output.value holds the provider's own usage; its text is never read. "
        "If it is unset, the framework kept no usage: instrument the provider's client beneath it.",
        _OPENINFERENCE,
    ),
    Remedy(
        "logfire.",
        "Logfire keeps the provider's usage, without tier and tool calls. For those of OpenAI, add "
        "openinference-instrumentation-openai, whose spans keep the response that names them.",
        _OPENINFERENCE,
        install="openinference-instrumentation-openai",
    ),
    Remedy(
        "org.springframework",
        "Spring AI shows no more: call the model through a gateway that writes its own spans (LiteLLM), or state what "
        "you know of tier and region in a contract.",
        "https://docs.spring.io/spring-ai/reference/observability/index.html",
    ),
    Remedy(
        "",
        "Instrument the provider's client beneath this one: opentelemetry-instrumentation-genai-openai or an "
        "openinference-instrumentation-… package; the anthropic package (2 or newer) does it by itself. The span that "
        "shows more carries the charge.",
        _GENAI,
    ),
)  # fmt: skip
"""Public: the first row that matches is the remedy; the last one is for every instrumentation that is not listed."""


def remedy(scope: str, provider: str) -> Remedy:
    """Find what to do about an instrumentation's gaps for one provider."""
    return next(row for row in REMEDIES if scope.startswith(row.scope) and row.provider in ("", provider))
