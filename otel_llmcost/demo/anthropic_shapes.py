"""
Anthropic's answers: Messages, whole and streamed, as the API reference shows them.

`input_tokens` is fresh input only; cache reads and writes stand beside it, writes split by lifetime. A stream tells
the input in `message_start` (with a placeholder output) and the final counts, cumulative, in `message_delta`.
https://docs.anthropic.com/en/api/messages and /en/docs/build-with-claude/streaming .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otel_llmcost.demo.replies import Event, Received, Reply, counts, words
from otel_llmcost.model import Usage

__all__ = ["count_tokens", "error", "message", "message_events"]

MESSAGE_COUNTS = frozenset(
    {
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "reasoning_tokens",
        "web_search_calls",
    }
)
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
"""https://docs.anthropic.com/en/api/errors ; anything else is an `api_error`."""

START_ONLY = ("cache_creation", "service_tier", "inference_geo", "speed")
"""What a stream says only in `message_start`."""


def error(status: int, message: str, request_id: str) -> dict[str, object]:
    """Give the error body."""
    kind = ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


def message(received: Received, reply: Reply, response_id: str) -> dict[str, object]:
    """Give a whole `message` object."""
    content = [*_searches(reply.usage), {"type": "text", "text": reply.text}]
    ended = {"content": content, "stop_reason": "end_turn", "stop_sequence": None}
    return _head(received, reply, response_id) | ended | _usage_field(_usage(received, reply))


def message_events(received: Received, reply: Reply, response_id: str) -> Iterator[Event]:
    """Give the events of a streamed message."""
    usage = _usage(received, reply)
    at_start = None if usage is None else {**usage, "output_tokens": 1}
    started = {"content": [], "stop_reason": None, "stop_sequence": None} | _usage_field(at_start)
    yield _event("message_start", message=_head(received, reply, response_id) | started)
    yield _event("ping")
    blocks = _searches(reply.usage)
    for index, block in enumerate(blocks):
        yield _event("content_block_start", index=index, content_block=block)
        yield _event("content_block_stop", index=index)
    yield _event("content_block_start", index=len(blocks), content_block={"type": "text", "text": ""})
    for word in words(reply.text):
        yield _event("content_block_delta", index=len(blocks), delta={"type": "text_delta", "text": word})
    yield _event("content_block_stop", index=len(blocks))
    at_end = None if usage is None else {name: value for name, value in usage.items() if name not in START_ONLY}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=ended, **_usage_field(at_end))
    yield _event("message_stop")


def count_tokens(_received: Received, reply: Reply, _response_id: str) -> dict[str, object]:
    """Give the free answer of `/v1/messages/count_tokens`."""
    tokens = reply.usage.input_tokens if isinstance(reply.usage, Usage) else None
    return {"input_tokens": tokens or 0}


def _event(name: str, **fields: object) -> Event:
    return Event({"type": name, **fields}, name)


def _head(received: Received, reply: Reply, response_id: str) -> dict[str, object]:
    return {"id": response_id, "type": "message", "role": "assistant", "model": reply.model or received.model}


def _usage_field(usage: Mapping[str, object] | None) -> dict[str, object]:
    return {} if usage is None else {"usage": usage}


def _usage(received: Received, reply: Reply) -> Mapping[str, object] | None:
    if not isinstance(reply.usage, Usage):
        return reply.usage
    n = counts(reply.usage, MESSAGE_COUNTS)
    usage: dict[str, object] = {
        "input_tokens": n["input_tokens"],
        "cache_creation_input_tokens": n["cache_write_tokens"] + n["cache_write_1h_tokens"],
        "cache_read_input_tokens": n["cached_input_tokens"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": n["cache_write_tokens"],
            "ephemeral_1h_input_tokens": n["cache_write_1h_tokens"],
        },
        "output_tokens": n["output_tokens"],
        "service_tier": reply.service_tier or "standard",
    }
    if n["reasoning_tokens"]:
        usage["output_tokens_details"] = {"thinking_tokens": n["reasoning_tokens"]}
    if n["web_search_calls"]:
        usage["server_tool_use"] = {"web_search_requests": n["web_search_calls"], "web_fetch_requests": 0}
    speed = reply.speed or received.body.get("speed")
    usage |= {"speed": speed} if speed else {}
    usage |= {"inference_geo": reply.region} if reply.region else {}
    return usage


def _searches(usage: Usage | Mapping[str, object] | None) -> list[dict[str, object]]:
    """Give the pair of blocks of every web search."""
    made = (usage.web_search_calls or 0) if isinstance(usage, Usage) else 0
    blocks: list[dict[str, object]] = []
    for tool_id in (f"srvtoolu_{index}" for index in range(made)):
        blocks.append({"type": "server_tool_use", "id": tool_id, "name": "web_search", "input": {"query": "simulated"}})
        blocks.append({"type": "web_search_tool_result", "tool_use_id": tool_id, "content": []})
    return blocks
