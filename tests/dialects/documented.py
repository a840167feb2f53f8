"""
Spans as their documentation or source says they are written, for emitters and versions that no capture shows.

name -> (span, what it must read as: provider, counts, some of its gaps).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import orjson

from otel_llmcost.model import SpanView
from tests.dialects.spans import span

Example: TypeAlias = tuple[SpanView, str, dict[str, int], tuple[str, ...]]
"""A span, and what it must read as: provider, counts, some of its gaps."""

CHAT: Final = {"gen_ai.operation.name": "chat"}
IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WROTE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
CACHED: Final = {READ: 80, WROTE: 15}

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
EXCLUSIVE: Final = {"input_tokens": 5, "cached_input_tokens": 80, "cache_write_tokens": 15, "output_tokens": 20}
SPLIT: Final = EXCLUSIVE | {"cache_write_tokens": 10, "cache_write_1h_tokens": 5}


def anthropic(**more: object) -> dict[str, object]:
    """Give a chat with Claude that read and wrote the cache."""
    return {**CHAT, "gen_ai.request.model": "claude-sonnet-4-5", **CACHED, OUT: 20, **more}


EXAMPLES: Final[dict[str, Example]] = {
    "botocore, Converse": (
        span(
            anthropic(**{"gen_ai.system": "aws.bedrock", "gen_ai.request.model": "us.anthropic.claude-x-v1:0", IN: 5}),
            scope="opentelemetry.instrumentation.botocore.bedrock-runtime",
        ),
        "aws.bedrock",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "botocore, InvokeModel: no cache names": (
        span(
            {
                **CHAT,
                "gen_ai.system": "aws.bedrock",
                "gen_ai.request.model": "us.anthropic.claude-x",
                IN: 5,
                OUT: 20,
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
        EXCLUSIVE,
        ("cache_write_ttl", "tool_calls"),
    ),
    "Claude's platform": (
        span(
            anthropic(**{"gen_ai.provider.name": "anthropic", IN: 100}),
            scope="com.anthropic.claude-platform",
            kind="server",
        ),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Google ADK": (
        span(
            {
                "gen_ai.operation.name": "generate_content",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.request.model": "gemini-2.5-flash",
                IN: 100,
                READ: 80,
                OUT: 20,
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
                **CHAT,
                "gen_ai.provider.name": "microsoft.agent_framework",
                "gen_ai.request.model": "gpt-5.4",
                IN: 100,
                READ: 80,
                OUT: 20,
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
        SPLIT | {"web_search_calls": 2},
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
            anthropic(
                **{
                    "gen_ai.provider.name": "anthropic",
                    "gen_ai.system": "anthropic",
                    IN: 100,
                    "gen_ai.usage.prompt_tokens": 100,
                    "litellm.call_id": "c",
                    "litellm.cost.total": 0.01,
                }
            ),
            scope="litellm",
            version="1.106.2",
        ),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl", "reasoning", "tool_calls"),
    ),
    "LiveKit": (
        span(
            {
                **CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-realtime",
                IN: 100,
                "gen_ai.usage.input_audio_tokens": 60,
                "gen_ai.usage.input_text_tokens": 40,
                "gen_ai.usage.input_cached_tokens": 10,
                OUT: 50,
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
            anthropic(
                **{
                    "gen_ai.provider.name": "anthropic",
                    IN: 100,
                    "gen_ai.usage.cache_creation.5m_input_tokens": 10,
                    "gen_ai.usage.cache_creation.1h_input_tokens": 5,
                }
            ),
            scope="@mastra/otel-exporter",
        ),
        "anthropic",
        SPLIT,
        ("tool_calls",),
    ),
    "OpenLIT, Anthropic": (
        span(
            anthropic(**{"gen_ai.provider.name": "anthropic", IN: 5, "gen_ai.usage.cost": 0}),
            scope="openlit.instrumentation.anthropic",
        ),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl", "tool_calls"),
    ),
    "OpenLIT, Anthropic through LiteLLM": (
        span(anthropic(**{"gen_ai.provider.name": "anthropic", IN: 100}), scope="openlit.instrumentation.litellm"),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "OpenLIT, Anthropic through LangChain": (
        span(anthropic(**{"gen_ai.provider.name": "anthropic", IN: 100}), scope="openlit.instrumentation.langchain"),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "OpenLIT, Bedrock": (
        span(anthropic(**{"gen_ai.provider.name": "aws.bedrock", IN: 5}), scope="openlit.instrumentation.bedrock"),
        "aws.bedrock",
        EXCLUSIVE,
        ("region",),
    ),
    "OpenLIT, Vertex AI": (
        span(
            {
                **CHAT,
                "gen_ai.provider.name": "gcp.vertex_ai",
                "gen_ai.request.model": "gemini-2.5-pro",
                IN: 100,
                OUT: 20,
                "gen_ai.usage.reasoning_tokens": 7,
            },
            scope="openlit.instrumentation.vertexai",
        ),
        "gcp.vertex_ai",
        {"input_tokens": 100, "output_tokens": 27, "reasoning_tokens": 7},
        ("region",),
    ),
}
