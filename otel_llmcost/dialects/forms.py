"""
Emitters that follow the conventions in all but a few names: one form each, and no code.

What their totals mean and hide is in `EMITTERS`. Those that were not run are read from their documentation or source.
"""

from __future__ import annotations

from typing import Final

from otel_llmcost.dialects.form import CONVENTION_NAMES, Form
from otel_llmcost.dialects.reading import Names

__all__ = ["FORMS"]

_DETAILS: Final = "gen_ai.usage.details."
_PYDANTIC_NAMES: Final[Names] = {
    **CONVENTION_NAMES,
    "cache_write_1h": (_DETAILS + "ephemeral_1h_input_tokens",),
    "reasoning": (_DETAILS + "reasoning_tokens", _DETAILS + "thoughts_tokens", _DETAILS + "thinking_tokens"),
    "audio_input": (_DETAILS + "input_audio_tokens", _DETAILS + "audio_prompt_tokens"),
    "cached_audio": (_DETAILS + "cache_audio_read_tokens", _DETAILS + "audio_cache_tokens"),
    # `audio_tokens` comes from OpenAI's completion details alone: prompts have `input_audio_tokens`.
    "audio_output": (_DETAILS + "output_audio_tokens", _DETAILS + "audio_candidates_tokens", _DETAILS + "audio_tokens"),
    "web_search_calls": (_DETAILS + "web_search_requests",),
}


def _aggregated(names: Names) -> Names:
    """Give `names` with pydantic-ai's own names for sums first: an agent span has nothing but them."""
    return {
        total: (*(name.replace("gen_ai.usage.", "gen_ai.aggregated_usage.") for name in candidates), *candidates)
        for total, candidates in names.items()
    }


FORMS: Final = (
    # https://github.com/pydantic/pydantic-ai (models/instrumented.py), instrumentation versions 2 to 6
    (
        ("pydantic-ai",),
        Form(dialect="pydantic_ai", names=_aggregated(_PYDANTIC_NAMES), cost=("operation.cost",)),
    ),
    # https://github.com/strands-agents/sdk-python (telemetry/tracer.py): invoke_agent repeats the sums
    (("strands.",), Form(dialect="strands")),
    # https://github.com/google/adk-python (telemetry)
    (("gcp.vertex.agent",), Form(dialect="google_adk")),
    # https://github.com/microsoft/agent-framework (observability.py): invoke_agent repeats the sums
    (("agent_framework",), Form(dialect="agent_framework")),
    # https://github.com/vercel/ai (packages/otel, `OpenTelemetry`); reasoning with `usage: true` alone
    (
        ("gen_ai",),
        Form(
            dialect="vercel_ai",
            names={
                **CONVENTION_NAMES,
                "reasoning": (*CONVENTION_NAMES["reasoning"], "ai.usage.outputTokenDetails.reasoningTokens"),
            },
        ),
    ),
    # https://github.com/spring-projects/spring-ai (AiObservationAttributes)
    (("org.springframework",), Form(dialect="spring_ai")),
    # https://github.com/livekit/agents (telemetry/trace_types.py), old and new names on one span
    (
        ("livekit",),
        Form(
            dialect="livekit",
            names={
                **CONVENTION_NAMES,
                "audio_input": (*CONVENTION_NAMES["audio_input"], "gen_ai.usage.input_audio_tokens"),
                "audio_output": (*CONVENTION_NAMES["audio_output"], "gen_ai.usage.output_audio_tokens"),
            },
        ),
    ),
    # https://github.com/mastra-ai/mastra (observability/otel-exporter, gen-ai-semantics.ts)
    (
        ("@mastra/", "mastra"),
        Form(
            dialect="mastra",
            names={
                **CONVENTION_NAMES,
                "cache_write_5m": ("gen_ai.usage.cache_creation.5m_input_tokens",),
                "cache_write_1h": ("gen_ai.usage.cache_creation.1h_input_tokens",),
                "audio_input": ("gen_ai.usage.audio_input_tokens",),
                "audio_output": ("gen_ai.usage.audio_output_tokens",),
            },
        ),
    ),
    # https://github.com/microsoft/semantic-kernel (utils/telemetry/model_diagnostics)
    (("semantic_kernel", "Microsoft.SemanticKernel"), Form(dialect="semantic_kernel")),
    # https://openrouter.ai/docs/guides/features/broadcast/otel-collector: OpenRouter's own spans, with what it charged
    (("openrouter",), Form(dialect="openrouter", cost=("gen_ai.usage.total_cost", "gen_ai.usage.cost"))),
)
"""Public: (beginnings of scope names, form)."""
