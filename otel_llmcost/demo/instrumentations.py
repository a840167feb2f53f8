"""
How instrumentations write a request on a span: the attributes of real ones, as `tests/captures` recorded them.

`{model}`, `{provider}`, `{host}` and `{tier}` are filled in once for each call site. What people asked and were
answered, which some instrumentations write too, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from opentelemetry.trace import SpanKind

__all__ = ["INSTRUMENTATIONS", "Counts", "Instrumentation"]

Attribute: TypeAlias = str | int | bool | tuple[str, ...]


class Counts(NamedTuple):
    """The tokens of an answer; `input` has the fresh and the cached ones, `output` has the reasoning."""

    input: int
    fresh: int
    cached: int
    output: int
    reasoning: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrumentation:
    """One instrumentation, and where it writes what."""

    scope: str
    version: str = ""
    span: str
    """The span's name."""
    kind: SpanKind = SpanKind.CLIENT
    asked: tuple[tuple[str, Attribute], ...]
    """What it writes before there is an answer."""
    answered: tuple[tuple[str, Attribute], ...] = ()
    """And what with one."""
    response_id: str = "gen_ai.response.id"
    """The attribute; empty: it writes none."""
    id_format: str = "{}"
    counts: tuple[tuple[str, str], ...]
    """Attribute and field of `Counts`."""
    body: str = ""
    """The provider's answer as JSON, where the instrumentation keeps it in `output.value`."""
    says_ok: bool = False
    fails_with: Literal["attribute", "event"] = "attribute"
    """Where a failure has its type: `error.type`, or an exception event."""
    around: Instrumentation | None = None
    """The span that it puts around the request's, which repeats the counts."""


_CONVENTIONS: Final = (
    ("gen_ai.operation.name", "chat"),
    ("gen_ai.provider.name", "{provider}"),
    ("gen_ai.request.model", "{model}"),
    ("server.address", "{host}"),
    ("server.port", 443),
)
_RESPONSE: Final = (("gen_ai.response.finish_reasons", ("stop",)), ("gen_ai.response.model", "{model}"))
_IN_OUT: Final = (("gen_ai.usage.input_tokens", "input"), ("gen_ai.usage.output_tokens", "output"))
_CACHED: Final = ("gen_ai.usage.cache_read.input_tokens", "cached")
_REASONING: Final = ("gen_ai.usage.reasoning.output_tokens", "reasoning")

_OPENLLMETRY: Final = (
    ("gen_ai.operation.name", "chat"),
    ("gen_ai.provider.name", "{provider}"),
    ("gen_ai.request.model", "{model}"),
    ("gen_ai.is_streaming", False),
    ("gen_ai.openai.api_base", "https://{host}/v1/"),
)

_VERCEL: Final = (
    ("operation.name", "{operation}"),
    ("ai.operationId", "{operation}"),
    ("ai.model.provider", "{provider}.chat"),
    ("ai.model.id", "{model}"),
    ("ai.settings.maxRetries", 2),
)
_VERCEL_COUNTS: Final = (
    ("ai.usage.inputTokens", "input"),
    ("ai.usage.outputTokens", "output"),
    ("ai.usage.totalTokens", "total"),
    ("ai.usage.reasoningTokens", "reasoning"),
    ("ai.usage.cachedInputTokens", "cached"),
    ("ai.usage.inputTokenDetails.noCacheTokens", "fresh"),
    ("ai.usage.inputTokenDetails.cacheReadTokens", "cached"),
)


def _operation(attributes: tuple[tuple[str, Attribute], ...], name: str) -> tuple[tuple[str, Attribute], ...]:
    return tuple((key, name if value == "{operation}" else value) for key, value in attributes)


_AROUND_VERCEL: Final = Instrumentation(
    scope="ai",
    span="ai.generateText",
    kind=SpanKind.INTERNAL,
    asked=_operation(_VERCEL, "ai.generateText"),
    answered=(("ai.response.finishReason", "stop"),),
    response_id="",
    counts=_VERCEL_COUNTS,
    fails_with="event",
)

INSTRUMENTATIONS: Final = {
    # opentelemetry-instrumentation-genai-openai: OpenAI's client, at OpenAI and at whoever speaks its API
    "openai": Instrumentation(
        scope="opentelemetry.instrumentation.genai.openai",
        version="1.3b0",
        span="chat {model}",
        asked=_CONVENTIONS,
        answered=(*_RESPONSE, ("openai.response.service_tier", "{tier}")),
        id_format="chatcmpl-{}",
        counts=(*_IN_OUT, _CACHED, _REASONING),
    ),
    # opentelemetry-instrumentation-genai-anthropic
    "anthropic": Instrumentation(
        scope="opentelemetry.instrumentation.genai.anthropic",
        version="1.3b0",
        span="chat {model}",
        asked=(*_CONVENTIONS, ("gen_ai.request.max_tokens", 8192), ("gen_ai.request.stream", True)),
        answered=_RESPONSE,
        id_format="msg_{}",
        counts=(*_IN_OUT, _CACHED),
    ),
    # opentelemetry-instrumentation-google-genai
    "google-genai": Instrumentation(
        scope="opentelemetry.instrumentation.google_genai",
        version="1.3b0",
        span="generate_content {model}",
        asked=(
            ("gen_ai.operation.name", "generate_content"),
            ("gen_ai.provider.name", "gemini"),
            ("gen_ai.request.model", "{model}"),
            ("server.address", "{host}"),
        ),
        answered=_RESPONSE,
        counts=(*_IN_OUT, _CACHED, _REASONING),
    ),
    # opentelemetry-instrumentation-genai-bedrock, Converse: input leaves the cached tokens out, and there is no id
    "bedrock": Instrumentation(
        scope="opentelemetry.instrumentation.genai.bedrock",
        version="1.3b0",
        span="chat {model}",
        asked=_CONVENTIONS,
        answered=(("gen_ai.response.finish_reasons", ("stop",)),),
        response_id="",
        counts=(("gen_ai.usage.input_tokens", "fresh"), ("gen_ai.usage.output_tokens", "output"), _CACHED),
    ),
    # OpenLLMetry
    "openllmetry-openai": Instrumentation(
        scope="opentelemetry.instrumentation.openai.v1",
        version="0.62.4",
        span="openai.chat",
        asked=_OPENLLMETRY,
        answered=(*_RESPONSE, ("openai.response.service_tier", "{tier}")),
        id_format="chatcmpl-{}",
        counts=(
            *_IN_OUT,
            ("gen_ai.usage.total_tokens", "total"),
            _CACHED,
            ("gen_ai.usage.reasoning_tokens", "reasoning"),
        ),
    ),
    "openllmetry-embeddings": Instrumentation(
        scope="opentelemetry.instrumentation.openai.v1",
        version="0.62.4",
        span="openai.embeddings",
        asked=(("gen_ai.operation.name", "embeddings"), *_OPENLLMETRY[1:]),
        answered=(("gen_ai.response.model", "{model}"),),
        response_id="",
        counts=(("gen_ai.usage.total_tokens", "total"), ("gen_ai.usage.input_tokens", "input"), _CACHED),
    ),
    "openllmetry-mistral": Instrumentation(
        scope="opentelemetry.instrumentation.mistralai",
        version="0.62.4",
        span="mistralai.chat",
        asked=_OPENLLMETRY[:4],
        answered=_RESPONSE,
        counts=(*_IN_OUT, ("gen_ai.usage.total_tokens", "total")),
    ),
    # OpenInference keeps the whole answer
    "openinference": Instrumentation(
        scope="openinference.instrumentation.openai",
        version="0.1.66",
        span="ChatCompletion",
        kind=SpanKind.INTERNAL,
        asked=(("openinference.span.kind", "LLM"), ("llm.system", "{provider}"), ("llm.model_name", "{model}")),
        answered=(("output.mime_type", "application/json"), ("llm.finish_reason", "stop")),
        response_id="",
        id_format="chatcmpl-{}",
        counts=(
            ("llm.token_count.prompt", "input"),
            ("llm.token_count.completion", "output"),
            ("llm.token_count.total", "total"),
            ("llm.token_count.prompt_details.cache_read", "cached"),
            ("llm.token_count.completion_details.reasoning", "reasoning"),
        ),
        body=(
            '{"id":"%(id)s","object":"chat.completion","model":"%(model)s","service_tier":"default","choices":[],"usage":{'
            '"prompt_tokens":%(input)d,"completion_tokens":%(output)d,"total_tokens":%(total)d,"prompt_tokens_details":{'
            '"cached_tokens":%(cached)d},"completion_tokens_details":{"reasoning_tokens":%(reasoning)d}}}'
        ),
        says_ok=True,
        fails_with="event",
    ),
    # The Vercel AI SDK's own spans: one for the call, one below it for each request
    "vercel": Instrumentation(
        scope="ai",
        span="ai.generateText.doGenerate",
        kind=SpanKind.INTERNAL,
        asked=(
            *_operation(_VERCEL, "ai.generateText.doGenerate"),
            ("gen_ai.system", "{provider}.chat"),
            ("gen_ai.request.model", "{model}"),
        ),
        answered=(("ai.response.finishReason", "stop"), ("ai.response.model", "{model}"), *_RESPONSE),
        response_id="ai.response.id",
        id_format="chatcmpl-{}",
        counts=(*_VERCEL_COUNTS, *_IN_OUT),
        fails_with="event",
        around=_AROUND_VERCEL,
    ),
}
"""By the names that `world.Workload` uses."""
