"""
More spans as their documentation or source says they are written: see `documented`.
"""

from __future__ import annotations

from typing import Final

from tests.dialects.documented import CHAT, EXCLUSIVE, IN, OUT, READ, SPLIT, Example, anthropic
from tests.dialects.spans import span

MORE: Final[dict[str, Example]] = {
    "OpenLLMetry, Vertex AI": (
        span(
            {
                **CHAT,
                "gen_ai.provider.name": "gcp.vertex_ai",
                "gen_ai.request.model": "gemini-2.5-pro",
                IN: 100,
                OUT: 20,
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
                **CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "my-deployment",
                "gen_ai.response.model": "gpt-5.4",
                "gen_ai.openai.api_base": "https://acme.openai.azure.com/openai/",
                IN: 100,
                OUT: 20,
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
                **CHAT,
                "gen_ai.provider.name": "openrouter",
                "gen_ai.request.model": "anthropic/claude-sonnet-4.5",
                IN: 100,
                OUT: 20,
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
        EXCLUSIVE | {"web_search_calls": 2},
        ("cache_write_ttl", "region"),
    ),
    "Semantic Kernel": (
        span(
            {
                "gen_ai.operation.name": "chat.completions",
                "gen_ai.system": "openai",
                "gen_ai.request.model": "gpt-5.4",
                IN: 100,
                OUT: 20,
            },
            scope="semantic_kernel.utils.telemetry.model_diagnostics.decorators",
        ),
        "openai",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input", "cache_write", "reasoning"),
    ),
    "Spring AI, Anthropic": (
        span(anthropic(**{"gen_ai.system": "anthropic", IN: 5}), scope="org.springframework.boot"),
        "anthropic",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Spring AI, Bedrock": (
        span(anthropic(**{"gen_ai.system": "bedrock_converse", IN: 5}), scope="org.springframework.boot"),
        "aws.bedrock",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Strands, Bedrock": (
        span(
            anthropic(
                **{"gen_ai.system": "strands-agents", "gen_ai.request.model": "us.anthropic.claude-x-v1:0", IN: 5}
            ),
            scope="strands.telemetry.tracer",
            kind="internal",
        ),
        "aws.bedrock",
        EXCLUSIVE,
        ("cache_write_ttl",),
    ),
    "Vercel AI SDK, OpenAI's tier in its metadata": (
        span(
            {
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.model.provider": "openai.responses",
                "ai.model.id": "gpt-5.4",
                "ai.usage.inputTokens": 100,
                "ai.usage.outputTokens": 20,
                "ai.response.providerMetadata": '{"openai":{"responseId":"resp_1","serviceTier":"priority"}}',
            },
            scope="ai",
            name="ai.generateText.doGenerate",
            kind="internal",
        ),
        "openai",
        {"input_tokens": 100, "output_tokens": 20},
        ("cached_input", "tool_calls"),
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
        SPLIT,
        (),
    ),
    "an emitter that nobody knows, by the conventions": (
        span(
            {
                **CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5.4",
                IN: 100,
                READ: 80,
                OUT: 20,
                "gen_ai.usage.reasoning.output_tokens": 7,
            },
            scope="acme.llm",
        ),
        "openai",
        {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20, "reasoning_tokens": 7},
        ("cache_write", "tool_calls"),
    ),
}
