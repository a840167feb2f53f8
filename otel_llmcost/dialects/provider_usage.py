"""
The `usage` object of a provider's own response body: the exact source, before any instrumentation touched it.

What each field means, by the provider's documentation:
OpenAI chat completions https://platform.openai.com/docs/api-reference/chat/object (totals include cached, written, audio)
OpenAI responses        https://platform.openai.com/docs/api-reference/responses/object (tool calls are output items)
Anthropic messages      https://platform.claude.com/docs/en/api/messages (input is fresh only)
Only `usage`, ids, model, tier and the types of output items are read; content never is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_llmcost.dialects.reading import Names, disjoint, read_text, read_totals
from otel_llmcost.model import Attributes, Usage

__all__ = ["ProviderUsage", "read_response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUsage:
    """What a response body says about its own cost."""

    model: str
    response_id: str
    created_unix_s: int | None
    usage: Usage | None
    invalid_usage: tuple[str, ...]
    service_tier: str
    speed: str
    region: str


_NAMES: Final[Mapping[str, Names]] = {
    "openai_chat": {
        "input": ("prompt_tokens",),
        "output": ("completion_tokens",),
        "cached": ("prompt_tokens_details.cached_tokens",),
        "cache_write": ("prompt_tokens_details.cache_write_tokens",),
        "audio_input": ("prompt_tokens_details.audio_tokens",),
        "audio_output": ("completion_tokens_details.audio_tokens",),
        "reasoning": ("completion_tokens_details.reasoning_tokens",),
    },
    "openai_responses": {
        "input": ("input_tokens",),
        "output": ("output_tokens",),
        "cached": ("input_tokens_details.cached_tokens",),
        "cache_write": ("input_tokens_details.cache_write_tokens",),
        "cache_write_12h": ("input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",),
        "reasoning": ("output_tokens_details.reasoning_tokens",),
    },
    "anthropic": {
        "input": ("input_tokens",),
        "output": ("output_tokens",),
        "cached": ("cache_read_input_tokens",),
        "cache_write": ("cache_creation_input_tokens",),
        "cache_write_1h": ("cache_creation.ephemeral_1h_input_tokens",),
        "reasoning": ("output_tokens_details.thinking_tokens",),
        "web_search_calls": ("server_tool_use.web_search_requests",),
    },
}
_CALL_ITEMS: Final = {
    "web_search_call": "web_search_calls",
    "file_search_call": "file_search_calls",
    "code_interpreter_call": "code_execution_calls",
}
"""Types of output items of the Responses API that are billed per call."""


def read_response(body: Mapping[str, object]) -> ProviderUsage:
    """
    Read an OpenAI or Anthropic response body, as parsed JSON.

    A body without usage gives `usage=None`; values that are no counts are named in `invalid_usage`.
    """
    raw = body.get("usage")
    flat = _flat(raw) if isinstance(raw, Mapping) else {}
    shape = _shape(body, flat)
    totals, invalid = read_totals(flat, _NAMES[shape])
    if shape == "openai_responses":
        totals |= _item_calls(body.get("output"))
    usage, _, impossible = disjoint(totals, exclusive=shape == "anthropic")
    created = body.get("created", body.get("created_at"))
    return ProviderUsage(
        model=read_text(body, "model"),
        response_id=read_text(body, "id"),
        created_unix_s=int(created) if isinstance(created, int | float) and not isinstance(created, bool) else None,
        usage=usage if totals else None,
        invalid_usage=invalid + impossible,
        service_tier=read_text(body, "service_tier") or read_text(flat, "service_tier"),
        speed=read_text(flat, "speed"),
        region=read_text(flat, "inference_geo"),
    )


def _shape(body: Mapping[str, object], flat: Attributes) -> str:
    if body.get("type") == "message" or "cache_creation_input_tokens" in flat:
        return "anthropic"
    return "openai_chat" if "prompt_tokens" in flat else "openai_responses"


def _flat(usage: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in usage.items():
        if isinstance(value, Mapping) and depth < 3:
            flat |= _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _item_calls(output: object) -> dict[str, int]:
    calls: dict[str, int] = {}
    for item in output if isinstance(output, list) else ():
        kind = _CALL_ITEMS.get(str(item.get("type"))) if isinstance(item, Mapping) else None
        if kind:
            calls[kind] = calls.get(kind, 0) + 1
    return calls
