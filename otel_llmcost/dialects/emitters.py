"""
What is known about each instrumentation, as data: whose input totals exclude cached tokens, and what each cannot show.

Decided by (scope, version, provider), never by arithmetic: "cache is larger than input, so it is exclusive" fails
when much fresh input meets little cache. Measured by running each emitter, or read in its source; the first matching
row wins. A row's gaps are what it may hide: a quantity that a span does show, or that its provider does not sell, is no
gap of that span.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["ALL_GAPS", "EMITTERS", "Emitter", "emitter"]

ALL_GAPS: Final = (
    "cached_input", "cache_write", "reasoning", "audio", "images", "tool_calls", "service_tier", "region",
)  # fmt: skip
"""What an emitter may hide. `cache_write_ttl` and `output` are seen on each span: writes without their lifetime, and
input without an answer."""
_MODALITIES: Final = ("audio", "images")
_CONTEXT: Final = ("service_tier", "region")
_INVISIBLE_CACHE: Final = ("cached_input", "cache_write", "reasoning", *_MODALITIES)


@dataclass(frozen=True, slots=True)
class Emitter:
    """One row: for spans whose scope begins with `scope` and whose provider is `provider` ("" is any)."""

    scope: str
    provider: str = ""
    since: str = ""
    """First version of the emitter that the row is about; a span without a version has none."""
    exclusive: bool = False
    """True where the input total does not contain cached and written tokens."""
    gaps: tuple[str, ...] = ()
    """What this emitter may hide for this provider (docs/usage-gaps.md): where it shows nothing, nothing is known."""
    always: tuple[str, ...] = ()
    """What this emitter shows wrongly, so that it is a gap although there is a number."""
    thoughts: str = ""
    """Where output leaves thoughts out: `beside` when they have their own attribute, `total` when only the total of
    input and output contains them."""
    false_zeros: tuple[str, ...] = ()
    """Totals that are written as 0 when they are not known."""
    finish: str = ""
    """The attribute that every complete answer has; without it the stream was abandoned and output is a placeholder."""
    counted: str = ""
    """The attribute that usage from the provider comes with; on a stream without it the counts are the emitter's guess."""


EMITTERS: Final = (
    # opentelemetry-instrumentation-genai-openai >= 1.1 (opentelemetry-python-genai): complete, but for tool calls.
    Emitter("opentelemetry.instrumentation.genai.openai", gaps=("tool_calls",)),
    Emitter(
        "opentelemetry.instrumentation.genai.anthropic",
        gaps=("tool_calls", *_CONTEXT),
        finish="gen_ai.response.finish_reasons",
    ),
    # Claude Code (code.claude.com/docs/en/monitoring-usage): Anthropic's own counts.
    Emitter("com.anthropic.claude_code", exclusive=True, gaps=ALL_GAPS),
    # anthropic >= 2 (anthropic-sdk-python, `_otel`), and the server-side spans of Claude's platform.
    Emitter("com.anthropic.", gaps=("tool_calls", "region")),
    # opentelemetry-instrumentation-openai-v2 and genai-openai 1.0: cache is invisible, audio and reasoning too.
    Emitter("opentelemetry.util.genai.handler", "openai", gaps=(*_INVISIBLE_CACHE, "tool_calls")),
    Emitter("opentelemetry.util.genai.handler", gaps=ALL_GAPS, finish="gen_ai.response.finish_reasons"),
    Emitter("opentelemetry.instrumentation.openai_v2", gaps=(*_INVISIBLE_CACHE, "tool_calls")),
    # Bedrock's own totals are exclusive, and these pass them on (docs.aws.amazon.com, Converse TokenUsage).
    Emitter("opentelemetry.instrumentation.genai.bedrock", exclusive=True, gaps=("reasoning", "service_tier")),
    Emitter(
        "opentelemetry.instrumentation.botocore",
        exclusive=True,
        gaps=("cached_input", "cache_write", "reasoning", "service_tier"),
    ),
    # opentelemetry-instrumentation-google-genai: tool-use prompts are dropped from the input total.
    Emitter("opentelemetry.instrumentation.google_genai", gaps=("tool_calls", "service_tier")),
    # opentelemetry-instrumentation-genai-langchain
    Emitter("opentelemetry.instrumentation.genai.langchain", gaps=(*_MODALITIES, "tool_calls", *_CONTEXT)),
    # OpenLLMetry (traceloop/openllmetry). Anthropic's placeholder is added to streamed output, and no attribute says
    # that it was a stream; LangChain's cache writes are 0 for Anthropic; Bedrock's model loses its region prefix.
    Emitter("opentelemetry.instrumentation.anthropic", since="0.50", gaps=ALL_GAPS, always=("output",)),
    Emitter("opentelemetry.instrumentation.langchain", "anthropic", gaps=ALL_GAPS, false_zeros=("cache_write",)),
    Emitter("opentelemetry.instrumentation.google_generativeai", gaps=ALL_GAPS, thoughts="total"),
    Emitter("opentelemetry.instrumentation.vertexai", gaps=ALL_GAPS, thoughts="total"),
    Emitter("opentelemetry.instrumentation.bedrock", exclusive=True, gaps=("reasoning", *_CONTEXT)),
    # pydantic-ai: its `details` name every part that is not 0.
    Emitter("pydantic-ai", "anthropic", gaps=_CONTEXT),
    Emitter("pydantic-ai", gaps=("images", "tool_calls", *_CONTEXT)),
    # OpenLIT: Anthropic's and Bedrock's totals are passed on as they are; LiteLLM and LangChain give inclusive ones.
    Emitter("openlit.instrumentation.litellm", gaps=ALL_GAPS),
    Emitter("openlit.instrumentation.langchain", gaps=ALL_GAPS),
    Emitter("openlit.", "anthropic", exclusive=True, gaps=ALL_GAPS),
    Emitter("openlit.", "aws.bedrock", exclusive=True, gaps=ALL_GAPS),
    Emitter("openlit.", "gcp.gemini", gaps=ALL_GAPS, thoughts="beside"),
    Emitter("openlit.", "gcp.vertex_ai", gaps=ALL_GAPS, thoughts="beside"),
    Emitter("openlit.", "openai", gaps=ALL_GAPS, counted="gen_ai.usage.cache_read.input_tokens"),
    # Strands hands Bedrock's totals on; for other providers its own adapters make them inclusive.
    Emitter("strands.", "aws.bedrock", exclusive=True, gaps=ALL_GAPS),
    # OpenInference without the response body (OPENINFERENCE_HIDE_OUTPUTS, or an emitter that does not keep it).
    Emitter("openinference.instrumentation.anthropic", gaps=ALL_GAPS, finish="llm.finish_reason"),
    # Spring AI hands Anthropic's and Bedrock's totals on.
    Emitter("org.springframework", "anthropic", exclusive=True, gaps=ALL_GAPS),
    Emitter("org.springframework", "aws.bedrock", exclusive=True, gaps=ALL_GAPS),
    # Any other emitter: the conventions say that input is inclusive, but not that everything is shown.
    Emitter("", gaps=ALL_GAPS),
)
"""Public: an emitter that is not listed follows the conventions, and what its spans do not show is not known."""

_NUMBER: Final = re.compile(r"\d+")


@functools.lru_cache(maxsize=1024)
def emitter(scope: str, version: str, provider: str) -> Emitter:
    """Find what is known about an instrumentation scope and version for one provider."""
    return next(
        row
        for row in EMITTERS
        if scope.startswith(row.scope) and row.provider in ("", provider) and _ordered(row.since) <= _ordered(version)
    )


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(number[:9]) for number in _NUMBER.findall(version[:32])[:3])
