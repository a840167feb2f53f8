"""
OpenAI's Responses API, whole and streamed, as the API reference shows it.

Cache writes are inside the input and split by lifetime; tool calls are items of the output, billed one by one.
https://platform.openai.com/docs/api-reference/responses/object and /responses-streaming .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from otel_llmcost.demo.openai_shapes import now, tier
from otel_llmcost.demo.replies import Event, Received, Reply, counts, words
from otel_llmcost.model import Usage

__all__ = ["response", "response_events"]

RESPONSE_COUNTS = frozenset(
    {
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "cache_write_12h_tokens",
        "output_tokens",
        "reasoning_tokens",
        "image_input_tokens",
        "web_search_calls",
        "file_search_calls",
        "code_execution_calls",
    }
)


def response(received: Received, reply: Reply, response_id: str) -> dict[str, object]:
    """Give a completed `response` object, with one output item per tool call that is billed."""
    body = _response_head(received, reply, response_id)
    body |= {"status": "completed", "completed_at": now(), "usage": _response_usage(reply.usage)}
    body["output"] = [*_tool_items(reply.usage, response_id), _message(response_id, reply.text)]
    return body


def response_events(received: Received, reply: Reply, response_id: str) -> Iterator[Event]:
    """Give the events of a streamed response, numbered; the last one, `response.completed`, carries the usage."""
    number = count()

    def event(name: str, **fields: object) -> Event:
        return Event({"type": name, "sequence_number": next(number), **fields}, name)

    whole = response(received, reply, response_id)
    started = _response_head(received, reply, response_id)
    yield event("response.created", response=started)
    yield event("response.in_progress", response=started)
    tools = _tool_items(reply.usage, response_id)
    for index, item in enumerate(tools):
        yield event("response.output_item.added", output_index=index, item=item | {"status": "in_progress"})
        yield event("response.output_item.done", output_index=index, item=item)
    where = {"item_id": _message_id(response_id), "output_index": len(tools), "content_index": 0}
    empty = _message(response_id, "") | {"status": "in_progress", "content": []}
    yield event("response.output_item.added", output_index=len(tools), item=empty)
    yield event("response.content_part.added", **where, part=_text_part(""))
    for word in words(reply.text):
        yield event("response.output_text.delta", **where, delta=word, logprobs=[])
    yield event("response.output_text.done", **where, text=reply.text, logprobs=[])
    yield event("response.content_part.done", **where, part=_text_part(reply.text))
    yield event("response.output_item.done", output_index=len(tools), item=_message(response_id, reply.text))
    yield event("response.completed", response=whole)


def _response_usage(usage: Usage | Mapping[str, object] | None) -> Mapping[str, object] | None:
    if not isinstance(usage, Usage):
        return usage
    n = counts(usage, RESPONSE_COUNTS)
    written = n["cache_write_tokens"] + n["cache_write_12h_tokens"]
    total = n["input_tokens"] + n["cached_input_tokens"] + written + n["image_input_tokens"]
    details: dict[str, object] = {"cached_tokens": n["cached_input_tokens"], "cache_write_tokens": written}
    if written:
        lifetimes = {"ttl_30m_tokens": n["cache_write_tokens"], "ttl_12h_tokens": n["cache_write_12h_tokens"]}
        details["cache_write_tokens_details"] = lifetimes
    return {
        "input_tokens": total,
        "input_tokens_details": details,
        "output_tokens": n["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": n["reasoning_tokens"]},
        "total_tokens": total + n["output_tokens"],
    }


def _response_head(received: Received, reply: Reply, response_id: str) -> dict[str, object]:
    """Give the response as it stands when it begins."""
    asked = received.body
    return {
        "id": response_id,
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "model": reply.model or received.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": asked.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": tier(received, reply),
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.get("tools", []),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _message_id(response_id: str) -> str:
    return response_id.replace("resp_", "msg_", 1)


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(response_id: str, text: str) -> dict[str, object]:
    content = [_text_part(text)]
    identity = {"id": _message_id(response_id), "type": "message", "role": "assistant"}
    return identity | {"status": "completed", "content": content}


def _tool_items(usage: Usage | Mapping[str, object] | None, response_id: str) -> list[dict[str, object]]:
    """Give one item per billed tool call: tool calls are in the output, not in the usage."""
    if not isinstance(usage, Usage):
        return []
    searched = {"action": {"type": "search", "query": "simulated"}}
    calls = (
        ("web_search_call", "ws_", usage.web_search_calls, searched),
        ("file_search_call", "fs_", usage.file_search_calls, {"queries": ["simulated"], "results": None}),
        (
            "code_interpreter_call",
            "ci_",
            usage.code_execution_calls,
            {"code": "", "container_id": "cntr_1", "outputs": []},
        ),
    )
    return [
        {"id": response_id.replace("resp_", f"{prefix}{index}", 1), "type": kind, "status": "completed", **fields}
        for kind, prefix, calls_made, fields in calls
        for index in range(calls_made or 0)
    ]
