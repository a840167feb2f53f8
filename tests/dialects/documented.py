"""
Spans as their documentation or source says they are written, for emitters and versions that no capture shows.

name -> (span, what it must read as: provider, counts, some of its gaps).
"""

from __future__ import annotations

from typing import Final

import orjson

from otel_llmcost.model import SpanView
from tests.dialects.spans import span

_CHAT: Final = {"gen_ai.operation.name": "chat"}
_IN, _OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_READ, _WROTE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
_CACHED: Final = {_READ: 80, _WROTE: 15}

_HAYSTACK_ANTHROPIC: Final = {
    "model": "claude-sonnet-4-5-20250929",
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 20,
        "cache_read_input_tokens": 80,
        "cache_creation_input_tokens": 15,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 5},
        "server_tool_use": {"web_search_requests": 2},
    },
}
_EXCLUSIVE: Final = {"input_tokens": 5, "cached_input_tokens": 80, "cache_write_tokens": 15, "output_tokens": 20}
_SPLIT: Final = _EXCLUSIVE | {"cache_write_tokens": 10, "cache_write_1h_tokens": 5}


def _anthropic(**more: object) -> dict[str, object]:
    return {**_CHAT, "gen_ai.request.model": "claude-sonnet-4-5", **_CACHED, _OUT: 20, **more}


EXAMPLES: Final[dict[str, tuple[SpanView, str, dict[str, int], tuple[str, ...]]]] = {
    "botocore, Converse": (
        span(
            _anthropic(
                **{"gen_ai.system": "aws.bedrock", "gen_ai.request.model": "us.anthropic.claude-x-v1:0", _IN: 5}
            ),
            scope="opentelemetry.instrumentation.botocore.bedrock-runtime",
        ),
        "aws.bedrock",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "botocore, InvokeModel: no cache names": (
        span(
            {
                **_CHAT,
                "gen_ai.system": "aws.bedrock",
                "gen_ai.request.model": "us.anthropic.claude-x",
                _IN: 5,
                _OUT: 20,
            },
            scope="opentelemetry.instrumentation.botocore.bedrock-runtime",
        ),
        "aws.bedrock",
        {"input_tokens": 5, "output_tokens": 20},
        ("cached_input", "cache_write"),
    ),
    "Claude Code": (
        span(
            {
                "span.type": "llm_request",
                "model": "claude-sonnet-4-5",
                "gen_ai.system": "anthropic",
                "input_tokens": 5,
                "output_tokens": 20,
                "cache_read_tokens": 80,
                "cache_creation_tokens": 15,
                "attempt": 2,
                "success": True,
            },
            scope="com.anthropic.claude_code.tracing",
            name="claude_code.llm_request",
            kind="internal",
        ),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl", "tool_calls"),
    ),
    "Claude's platform": (
        span(
            _anthropic(**{"gen_ai.provider.name": "anthropic", _IN: 100}),
            scope="com.anthropic.claude-platform",
            kind="server",
        ),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Google ADK": (
        span(
            {
                "gen_ai.operation.name": "generate_content",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.request.model": "gemini-2.5-flash",
                _IN: 100,
                _READ: 80,
                _OUT: 20,
                "gen_ai.usage.reasoning.output_tokens": 7,
            },
            scope="gcp.vertex.agent",
            kind="internal",
        ),
        "gcp.gemini",
        {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20, "reasoning_tokens": 7},
        ("tool_calls",),
    ),
    "Microsoft Agent Framework": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "microsoft.agent_framework",
                "gen_ai.request.model": "gpt-5.4",
                _IN: 100,
                _READ: 80,
                _OUT: 20,
            },
            scope="agent_framework",
            kind="internal",
        ),
        "openai",
        {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20},
        ("cache_write",),
    ),
    "Haystack, Anthropic": (
        span(
            {
                "haystack.component.type": "AnthropicChatGenerator",
                "haystack.component.output": orjson.dumps(
                    {"replies": [{"role": "assistant", "meta": _HAYSTACK_ANTHROPIC, "content": [{"text": "hi"}]}]}
                ).decode(),
            },
            scope="haystack",
            name="haystack.component.run",
            kind="internal",
        ),
        "anthropic",
        _SPLIT | {"web_search_calls": 2},
        (),
    ),
    "Haystack, OpenAI embedder": (
        span(
            {
                "haystack.component.type": "OpenAITextEmbedder",
                "haystack.component.output": '{"embedding":[0.1],"meta":{"model":"text-embedding-3-small","usage":{"prompt_tokens":57,"total_tokens":57}}}',
            },
            scope="haystack",
            name="haystack.component.run",
            kind="internal",
        ),
        "openai",
        {"input_tokens": 57},
        (),
    ),
    "LiteLLM V2": (
        span(
            _anthropic(
                **{
                    "gen_ai.provider.name": "anthropic",
                    "gen_ai.system": "anthropic",
                    _IN: 100,
                    "gen_ai.usage.prompt_tokens": 100,
                    "litellm.call_id": "c",
                    "litellm.cost.total": 0.01,
                }
            ),
            scope="litellm",
            version="1.106.2",
        ),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl", "reasoning", "tool_calls"),
    ),
    "LiveKit": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-realtime",
                _IN: 100,
                "gen_ai.usage.input_audio_tokens": 60,
                "gen_ai.usage.input_text_tokens": 40,
                "gen_ai.usage.input_cached_tokens": 10,
                _OUT: 50,
                "gen_ai.usage.output_audio_tokens": 30,
            },
            scope="livekit-agents",
        ),
        "openai",
        {
            "input_tokens": 30,
            "cached_input_tokens": 10,
            "audio_input_tokens": 60,
            "output_tokens": 20,
            "audio_output_tokens": 30,
        },
        ("cache_write",),
    ),
    "Mastra": (
        span(
            _anthropic(
                **{
                    "gen_ai.provider.name": "anthropic",
                    _IN: 100,
                    "gen_ai.usage.cache_creation.5m_input_tokens": 10,
                    "gen_ai.usage.cache_creation.1h_input_tokens": 5,
                }
            ),
            scope="@mastra/otel-exporter",
        ),
        "anthropic",
        _SPLIT,
        ("tool_calls",),
    ),
    "OpenLIT, Anthropic": (
        span(
            _anthropic(**{"gen_ai.provider.name": "anthropic", _IN: 5, "gen_ai.usage.cost": 0}),
            scope="openlit.instrumentation.anthropic",
        ),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl", "tool_calls"),
    ),
    "OpenLIT, Anthropic through LiteLLM": (
        span(_anthropic(**{"gen_ai.provider.name": "anthropic", _IN: 100}), scope="openlit.instrumentation.litellm"),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "OpenLIT, Anthropic through LangChain": (
        span(_anthropic(**{"gen_ai.provider.name": "anthropic", _IN: 100}), scope="openlit.instrumentation.langchain"),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "OpenLIT, Bedrock": (
        span(_anthropic(**{"gen_ai.provider.name": "aws.bedrock", _IN: 5}), scope="openlit.instrumentation.bedrock"),
        "aws.bedrock",
        _EXCLUSIVE,
        ("region",),
    ),
    "OpenLIT, Vertex AI": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "gcp.vertex_ai",
                "gen_ai.request.model": "gemini-2.5-pro",
                _IN: 100,
                _OUT: 20,
                "gen_ai.usage.reasoning_tokens": 7,
            },
            scope="openlit.instrumentation.vertexai",
        ),
        "gcp.vertex_ai",
        {"input_tokens": 100, "output_tokens": 27, "reasoning_tokens": 7},
        ("region",),
    ),
    "OpenLLMetry, Vertex AI": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "gcp.vertex_ai",
                "gen_ai.request.model": "gemini-2.5-pro",
                _IN: 100,
                _OUT: 20,
                "gen_ai.usage.total_tokens": 127,
            },
            scope="opentelemetry.instrumentation.vertexai",
            version="0.62.4",
        ),
        "gcp.vertex_ai",
        {"input_tokens": 100, "output_tokens": 27, "reasoning_tokens": 7},
        ("tool_calls",),
    ),
    "OpenLLMetry, Azure by its base URL": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "my-deployment",
                "gen_ai.response.model": "gpt-5.4",
                "gen_ai.openai.api_base": "https://acme.openai.azure.com/openai/",
                _IN: 100,
                _OUT: 20,
            },
            scope="opentelemetry.instrumentation.openai.v1",
            version="0.62.4",
        ),
        "azure.ai.openai",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input", "region"),
    ),
    "OpenLLMetry, an instrumentation of another language, before operations had names": (
        span(
            {
                "llm.request.type": "chat",
                "gen_ai.system": "OpenAI",
                "gen_ai.request.model": "gpt-5.4",
                "gen_ai.usage.prompt_tokens": 100,
                "gen_ai.usage.completion_tokens": 20,
            },
            scope="@traceloop/instrumentation-openai",
        ),
        "openai",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input",),
    ),
    "OpenRouter Broadcast": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "openrouter",
                "gen_ai.request.model": "anthropic/claude-sonnet-4.5",
                _IN: 100,
                _OUT: 20,
                "gen_ai.usage.total_cost": 0.01,
            },
            scope="openrouter",
        ),
        "openrouter",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input",),
    ),
    "OpenInference, LlamaIndex with the raw response": (
        span(
            {
                "openinference.span.kind": "LLM",
                "llm.system": "openai",
                "output.value": '{"message":{"content":"x"},"raw":{"id":"chatcmpl-1","model":"gpt-5.4","usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":80}}}}',
            },
            scope="openinference.instrumentation.llama_index",
            kind="internal",
        ),
        "openai",
        {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20},
        (),
    ),
    "OpenInference, Anthropic with outputs hidden": (
        span(
            {
                "openinference.span.kind": "LLM",
                "llm.provider": "anthropic",
                "llm.model_name": "claude-sonnet-4-5",
                "output.value": "__REDACTED__",
                "metadata": '{"server_tool_use": {"web_search_requests": 2}}',
                "llm.finish_reason": "end_turn",
                "llm.token_count.prompt": 100,
                "llm.token_count.completion": 20,
                "llm.token_count.prompt_details.cache_read": 80,
                "llm.token_count.prompt_details.cache_write": 15,
            },
            scope="openinference.instrumentation.anthropic",
            kind="internal",
        ),
        "anthropic",
        _EXCLUSIVE | {"web_search_calls": 2},
        ("cache_write_ttl", "region"),
    ),
    "Semantic Kernel": (
        span(
            {
                "gen_ai.operation.name": "chat.completions",
                "gen_ai.system": "openai",
                "gen_ai.request.model": "gpt-5.4",
                _IN: 100,
                _OUT: 20,
            },
            scope="semantic_kernel.utils.telemetry.model_diagnostics.decorators",
        ),
        "openai",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input", "cache_write", "reasoning"),
    ),
    "Spring AI, Anthropic": (
        span(_anthropic(**{"gen_ai.system": "anthropic", _IN: 5}), scope="org.springframework.boot"),
        "anthropic",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Spring AI, Bedrock": (
        span(_anthropic(**{"gen_ai.system": "bedrock_converse", _IN: 5}), scope="org.springframework.boot"),
        "aws.bedrock",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Strands, Bedrock": (
        span(
            _anthropic(
                **{"gen_ai.system": "strands-agents", "gen_ai.request.model": "us.anthropic.claude-x-v1:0", _IN: 5}
            ),
            scope="strands.telemetry.tracer",
            kind="internal",
        ),
        "aws.bedrock",
        _EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Vercel AI SDK 5, Anthropic": (
        span(
            {
                "ai.operationId": "ai.streamText.doStream",
                "ai.model.provider": "anthropic.messages",
                "ai.model.id": "claude-sonnet-4-5",
                "ai.usage.inputTokens": 5,
                "ai.usage.outputTokens": 20,
                "ai.usage.cachedInputTokens": 80,
            },
            scope="ai",
            name="ai.streamText.doStream",
            kind="internal",
        ),
        "anthropic",
        {"input_tokens": 5, "cached_input_tokens": 80, "output_tokens": 20},
        ("cache_write",),
    ),
    "Vercel AI SDK, Anthropic's own usage in its metadata": (
        span(
            {
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.model.provider": "anthropic.messages",
                "ai.model.id": "claude-sonnet-4-5",
                "ai.usage.inputTokens": 100.0,
                "ai.usage.inputTokenDetails.noCacheTokens": 5.0,
                "ai.usage.outputTokens": 20.0,
                "ai.response.providerMetadata": '{"anthropic":{"usage":{"input_tokens":5,"output_tokens":20,"cache_read_input_tokens":80,"cache_creation_input_tokens":15,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":5}}}}',
            },
            scope="ai",
            name="ai.generateText.doGenerate",
            kind="internal",
        ),
        "anthropic",
        _SPLIT,
        (),
    ),
    "an emitter that nobody knows, by the conventions": (
        span(
            {
                **_CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5.4",
                _IN: 100,
                _READ: 80,
                _OUT: 20,
                "gen_ai.usage.reasoning.output_tokens": 7,
            },
            scope="acme.llm",
        ),
        "openai",
        {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20, "reasoning_tokens": 7},
        ("cache_write", "tool_calls"),
    ),
}
