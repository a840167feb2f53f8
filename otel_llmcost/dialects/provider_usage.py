"""
The `usage` object of a provider's own response body: the exact source, before any instrumentation touched it.

What each field means, by the provider's documentation:
OpenAI chat completions https://platform.openai.com/docs/api-reference/chat/object (totals include cached, written, audio)
OpenAI responses        https://platform.openai.com/docs/api-reference/responses/object (tool calls are output items)
Anthropic messages      https://platform.claude.com/docs/en/api/messages (input is fresh only)
Gemini                  https://ai.google.dev/api/generate-content#UsageMetadata (thoughts and tool prompts are beside)
Bedrock Converse        https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html (fresh only)
Cohere                  https://docs.cohere.com/reference/chat (billed units)
LangChain               `usage_metadata` (langchain_core.messages.ai.UsageMetadata; totals include cached and written)
Only `usage`, ids, model, tier and the types of output items are read; content never is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from otel_llmcost.dialects.raw import at
from otel_llmcost.dialects.reading import Names, disjoint, read_decimal, read_text, read_totals
from otel_llmcost.model import Attributes, Usage

__all__ = ["SHAPES", "ProviderUsage", "Shape", "read_response", "read_usage"]


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
    provider: str = ""
    """Who bills, where the body itself shows it: OpenRouter alone does."""
    provider_cost_usd: Decimal | None = None
    gaps: tuple[str, ...] = ()
    """What cannot be known from it: `output` of an answer that never ended; what lies outside a bare usage object."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way of counting: recognised by any of `marks`, first match wins."""

    name: str
    marks: tuple[str, ...]
    names: Names
    exclusive: bool = False
    object_lacks: tuple[str, ...] = ("tool_calls", "service_tier")
    """What a body tells outside its usage object."""


_ANTHROPIC_PARTS: Final = ("cache_creation_input_tokens", "cache_read_input_tokens")

SHAPES: Final = (
    Shape(
        "gemini",
        ("prompt_token_count", "candidates_token_count", "thoughts_token_count", "total_token_count"),
        {
            "input": ("prompt_token_count",),
            "tool_prompt": ("tool_use_prompt_token_count",),
            "output": ("candidates_token_count", "generation_token_count"),
            "thoughts": ("thoughts_token_count",),
            "cached": ("cached_content_token_count",),
            "audio_input": ("prompt_tokens_details.audio",),
            "cached_audio": ("cache_tokens_details.audio",),
            "image_input": ("prompt_tokens_details.image",),
            "audio_output": ("candidates_tokens_details.audio",),
            "image_output": ("candidates_tokens_details.image",),
        },
    ),
    Shape(
        "bedrock",
        ("inputTokens", "outputTokens"),
        {
            "input": ("input_tokens",),
            "output": ("output_tokens",),
            "cached": ("cache_read_input_tokens", "cache_read_input_token_count"),
            "cache_write": ("cache_write_input_tokens", "cache_write_input_token_count"),
            "cache_write_5m": ("cache_details.5m",),
            "cache_write_1h": ("cache_details.1h",),
        },
        exclusive=True,
        object_lacks=("service_tier",),
    ),
    Shape(
        "cohere",
        ("billed_units.input_tokens", "billed_units.output_tokens"),
        {"input": ("billed_units.input_tokens",), "output": ("billed_units.output_tokens",)},
    ),
    Shape(
        # OpenAI and those who copy it; LiteLLM and Haystack put Anthropic's other fields beside these two.
        "openai_chat",
        ("prompt_tokens", "completion_tokens"),
        {
            "input": ("prompt_tokens",),
            "output": ("completion_tokens",),
            "cached": ("prompt_tokens_details.cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens"),
            "cache_write": (
                "prompt_tokens_details.cache_write_tokens",
                "prompt_tokens_details.cache_creation_tokens",
                "cache_creation_input_tokens",
            ),
            "cache_write_1h": (
                "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
                "cache_creation.ephemeral_1h_input_tokens",
            ),
            "cache_write_12h": ("prompt_tokens_details.cache_write_tokens_details.ttl_12h_tokens",),
            "audio_input": ("prompt_tokens_details.audio_tokens",),
            "cached_audio": ("prompt_tokens_details.cached_tokens_details.audio_tokens",),
            "image_input": ("prompt_tokens_details.image_tokens",),
            "audio_output": ("completion_tokens_details.audio_tokens",),
            "image_output": ("completion_tokens_details.image_tokens",),
            "reasoning": ("completion_tokens_details.reasoning_tokens", "output_tokens_details.thinking_tokens"),
            "web_search_calls": ("server_tool_use.web_search_requests", "prompt_tokens_details.web_search_requests"),
        },
    ),
    Shape(
        "langchain",
        ("input_token_details.cache_read", "input_token_details.audio", "output_token_details.reasoning"),
        {
            "input": ("input_tokens",),
            "output": ("output_tokens",),
            "cached": ("input_token_details.cache_read",),
            "cache_write": ("input_token_details.cache_creation",),
            "cache_write_5m": ("input_token_details.ephemeral_5m_input_tokens",),
            "cache_write_1h": ("input_token_details.ephemeral_1h_input_tokens",),
            "audio_input": ("input_token_details.audio",),
            "audio_output": ("output_token_details.audio",),
            "reasoning": ("output_token_details.reasoning",),
        },
        object_lacks=("tool_calls", "service_tier", "region"),
    ),
    Shape(
        "anthropic",
        (*_ANTHROPIC_PARTS, "cache_creation.ephemeral_1h_input_tokens", "server_tool_use.web_search_requests"),
        {
            "input": ("input_tokens",),
            "output": ("output_tokens",),
            "cached": ("cache_read_input_tokens",),
            "cache_write": ("cache_creation_input_tokens",),
            "cache_write_5m": ("cache_creation.ephemeral_5m_input_tokens",),
            "cache_write_1h": ("cache_creation.ephemeral_1h_input_tokens",),
            "reasoning": ("output_tokens_details.thinking_tokens",),
            "web_search_calls": ("server_tool_use.web_search_requests",),
        },
        exclusive=True,
        object_lacks=(),
    ),
    Shape(
        "openai_responses",
        (),
        {
            "input": ("input_tokens",),
            "output": ("output_tokens",),
            "cached": ("input_tokens_details.cached_tokens",),
            "cache_write": ("input_tokens_details.cache_write_tokens",),
            "cache_write_12h": ("input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",),
            "audio_input": ("input_tokens_details.audio_tokens",),
            "image_input": ("input_tokens_details.image_tokens",),
            "audio_output": ("output_tokens_details.audio_tokens",),
            "image_output": ("output_tokens_details.image_tokens",),
            "reasoning": ("output_tokens_details.reasoning_tokens",),
        },
    ),
)
"""Public: the shapes of usage, the most specific first; the last takes what is left."""
_ANTHROPIC: Final = next(shape for shape in SHAPES if shape.name == "anthropic")

_USAGE_KEYS: Final = ("usage", "usageMetadata", "usage_metadata")
_TOP_LEVEL: Final = frozenset({"prompt_token_count", "generation_token_count"})
"""Llama on Bedrock counts beside its answer, not in a usage object."""
_MODEL: Final = ("model", "modelVersion", "model_version", "model_name")
_ID: Final = ("id", "responseId", "response_id")
_OPENROUTER: Final = ("is_byok", "cost_details.upstream_inference_cost")
_CALL_ITEMS: Final = {
    "web_search_call": "web_search_calls",
    "file_search_call": "file_search_calls",
    "code_interpreter_call": "code_execution_calls",
}
"""Types of output items of the Responses API that are billed per call."""
_FREE_ACTIONS: Final = frozenset({"open_page", "find_in_page"})
"""What a web search call may do without a charge: only `search` has one."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_PLAIN: Final = frozenset({int, float, str, bool, type(None)})
_DEPTH: Final = 3
_WIDTH: Final = 200


def read_response(body: Mapping[str, object]) -> ProviderUsage:
    """
    Read a response body of OpenAI, Anthropic, Gemini, Bedrock or Cohere, as parsed JSON.

    A body without usage gives `usage=None`; values that are no counts are named in `invalid_usage`.
    """
    raw = next((held for key in _USAGE_KEYS if isinstance(held := body.get(key), Mapping)), None)
    if raw is None:
        raw = {key: body[key] for key in _TOP_LEVEL & body.keys()} or at(body, "meta")
    is_message = body.get("type") == "message"
    read = _read(raw, body, _ANTHROPIC if is_message else None, _item_calls(body))
    if is_message and read.usage is not None and "stop_reason" in body and not body["stop_reason"]:
        return replace(read, gaps=("output",))  # an abandoned stream: what it counts is a placeholder
    return read


def read_usage(usage: Mapping[str, object], *, exclusive: bool | None = None) -> ProviderUsage:
    """
    Read a bare usage object: what a body tells outside it is a gap.

    Args:
        usage: the object, of any provider.
        exclusive: whether input leaves cached tokens out, where the emitter decides it and not the shape.
    """
    return _read(usage, {}, None, {}, exclusive=exclusive)


def _read(
    raw: Mapping[str, object],
    body: Mapping[str, object],
    shape: Shape | None,
    calls: Mapping[str, int],
    *,
    exclusive: bool | None = None,
) -> ProviderUsage:
    flat = _flat(raw)
    shape = shape or next(each for each in SHAPES if not each.marks or any(m in flat or m in raw for m in each.marks))
    totals, invalid = read_totals(flat, shape.names)
    totals |= calls if totals else {}
    if shape is _ANTHROPIC:
        _add_compaction(totals, raw)
    usage, _, impossible = disjoint(totals, exclusive=shape.exclusive if exclusive is None else exclusive)
    created = body.get("created", body.get("created_at"))
    return ProviderUsage(
        model=read_text(body, *_MODEL),
        response_id=read_text(body, *_ID),
        created_unix_s=int(created) if isinstance(created, int | float) and 0 < created < 2**40 else None,
        usage=usage if totals else None,
        invalid_usage=invalid + impossible,
        service_tier=_tier(body, flat),
        speed=read_text(flat, "speed"),
        region=read_text(flat, "inference_geo"),
        provider="openrouter" if any(mark in flat for mark in _OPENROUTER) else "",
        provider_cost_usd=read_decimal(flat, "cost"),
        gaps=() if body else tuple(gap for gap in shape.object_lacks if not _told(gap, totals, flat)),
    )


def _told(gap: str, totals: Mapping[str, int], flat: Attributes) -> bool:
    if gap == "tool_calls":
        return any(total.endswith("_calls") for total in totals)
    return read_text(flat, "service_tier" if gap == "service_tier" else "inference_geo") != ""


def _tier(body: Mapping[str, object], flat: Attributes) -> str:
    headers = at(body, "sdk_http_response", "headers")
    return (
        read_text(body, "service_tier")
        or read_text(flat, "service_tier")
        or read_text(at(body, "serviceTier"), "type")
        or read_text(headers, "x-gemini-service-tier")
    )


def _add_compaction(totals: dict[str, int], raw: Mapping[str, object]) -> None:
    # The top level leaves out what compacting the context took (platform.claude.com, compaction: `usage.iterations`).
    iterations = raw.get("iterations")
    for iteration in iterations[:_WIDTH] if isinstance(iterations, list) else ():
        if isinstance(iteration, Mapping) and iteration.get("type") == "compaction":
            extra, _ = read_totals(_flat(iteration), _ANTHROPIC.names)
            for name, count in extra.items():
                totals[name] = totals.get(name, 0) + count


def _flat(usage: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in list(usage.items())[:_WIDTH]:
        key = prefix + (name if name.islower() else _CAMEL.sub(r"_\1", name).lower())
        if type(value) in _PLAIN:  # nearly all are: asking whether they are mappings takes longer than reading them
            flat[key] = value
        elif isinstance(value, Mapping):
            if depth < _DEPTH:
                flat |= _flat(value, f"{key}.", depth + 1)
        elif isinstance(value, list):
            flat |= _labelled(value, key)
        else:
            flat[key] = value
    return flat


def _labelled(parts: list[object], key: str) -> dict[str, object]:
    """Give lists of labelled counts by their label: Gemini's by modality, Bedrock's by lifetime."""
    found: dict[str, object] = {}
    for part in parts[:_WIDTH]:
        if isinstance(part, Mapping):
            label = read_text(part, "modality", "ttl").lower()
            count = next((part[name] for name in ("tokenCount", "token_count", "inputTokens") if name in part), None)
            if label and count is not None:
                found[f"{key}.{label}"] = count
    return found


def _item_calls(body: Mapping[str, object]) -> dict[str, int]:
    calls: dict[str, int] = {}
    output = body.get("output")
    for item in output if isinstance(output, list) else ():
        kind = _CALL_ITEMS.get(read_text(item, "type")) if isinstance(item, Mapping) else None
        if kind and read_text(at(item, "action"), "type") not in _FREE_ACTIONS:
            calls[kind] = calls.get(kind, 0) + 1
    queries = _grounding_queries(body)
    return calls | ({"web_search_calls": queries} if queries else {})


def _grounding_queries(body: Mapping[str, object]) -> int:
    """Count Gemini's searches: one per query, and none of them is in its usage."""
    candidates = body.get("candidates")
    holders = (
        [each for each in candidates[:_WIDTH] if isinstance(each, Mapping)] if isinstance(candidates, list) else []
    )
    count = 0
    for holder in (body, *holders):
        held = at(holder, "groundingMetadata") or at(holder, "grounding_metadata")
        queries = held.get("webSearchQueries", held.get("web_search_queries"))
        count += len(queries) if isinstance(queries, list) else 0
    return count
