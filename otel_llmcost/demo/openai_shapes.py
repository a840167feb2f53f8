"""
OpenAI's Chat Completions, Embeddings and errors, whole and streamed, as the API reference shows them.

Input totals include cached and written tokens, outputs include reasoning; details are "of which".
https://platform.openai.com/docs/api-reference/chat/object , /chat-streaming and /embeddings/object .
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping

from otel_llmcost.demo.replies import Event, Received, Reply, counts, words
from otel_llmcost.model import Usage

__all__ = ["chat", "chat_events", "embeddings", "error", "now", "tier"]

CHAT_COUNTS = frozenset(
    {
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "audio_input_tokens",
        "cached_audio_input_tokens",
        "audio_output_tokens",
        "image_input_tokens",
        "reasoning_tokens",
    }
)
EMBEDDING_COUNTS = frozenset({"input_tokens"})

ERROR_TYPES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
"""Type and code of the error object by status; anything else is a `server_error`."""


def error(status: int, message: str, _request_id: str) -> dict[str, object]:
    """Give the error body: https://platform.openai.com/docs/guides/error-codes ."""
    kind, code = ERROR_TYPES.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def chat(received: Received, reply: Reply, response_id: str) -> dict[str, object]:
    """Give a `chat.completion` object."""
    message: dict[str, object] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    body = _chat_head(received, reply, response_id, "chat.completion")
    body["choices"] = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    if (usage := _chat_usage(reply.usage)) is not None:
        body["usage"] = usage
    return body


def chat_events(received: Received, reply: Reply, response_id: str) -> Iterator[Event]:
    """Give `chat.completion.chunk` events; usage comes only when `stream_options.include_usage` asks for it."""
    options = received.body.get("stream_options")
    wants_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    head = _chat_head(received, reply, response_id, "chat.completion.chunk") | ({"usage": None} if wants_usage else {})

    def chunk(delta: Mapping[str, object], finish: str | None = None) -> Event:
        return Event(head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    yield from (chunk({"content": word}) for word in words(reply.text))
    yield chunk({}, "stop")
    if wants_usage and (usage := _chat_usage(reply.usage)) is not None:
        yield Event(head | {"choices": [], "usage": usage})
    yield Event("[DONE]")


def embeddings(received: Received, reply: Reply, _response_id: str) -> dict[str, object]:
    """Give an embeddings list; vectors are zeros, in base64 when asked (as the client does unless told otherwise)."""
    texts = received.body.get("input")
    dimensions = received.body.get("dimensions", 1536)
    size = dimensions if isinstance(dimensions, int) else 1536
    as_text = received.body.get("encoding_format") == "base64"
    vector: object = base64.b64encode(bytes(4 * size)).decode() if as_text else [0.0] * size
    body: dict[str, object] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index in range(len(texts) if isinstance(texts, list) else 1)
        ],
        "model": reply.model or received.model,
    }
    if (usage := _embedding_usage(reply.usage)) is not None:
        body["usage"] = usage
    return body


def now() -> int:
    """Give the Unix time in whole seconds, as OpenAI dates its objects."""
    return int(time.time())


def tier(received: Received, reply: Reply) -> str:
    """Name the tier as responses do: https://platform.openai.com/docs/guides/priority-processing ."""
    asked = str(received.body.get("service_tier") or "auto")
    return reply.service_tier or {"auto": "default", "fast": "priority"}.get(asked, asked)


def _chat_head(received: Received, reply: Reply, response_id: str, kind: str) -> dict[str, object]:
    return {
        "id": response_id,
        "object": kind,
        "created": now(),
        "model": reply.model or received.model,
        "service_tier": tier(received, reply),
        "system_fingerprint": "fp_simulator",
    }


def _chat_usage(usage: Usage | Mapping[str, object] | None) -> Mapping[str, object] | None:
    if not isinstance(usage, Usage):
        return usage
    n = counts(usage, CHAT_COUNTS)
    cached = n["cached_input_tokens"] + n["cached_audio_input_tokens"]
    audio = n["audio_input_tokens"] + n["cached_audio_input_tokens"]
    written = n["cache_write_tokens"]
    prompt = n["input_tokens"] + cached + written + n["audio_input_tokens"] + n["image_input_tokens"]
    completion = n["output_tokens"] + n["audio_output_tokens"]
    prompt_details = {"cached_tokens": cached, "audio_tokens": audio}
    # Older models answer without these two; sending them only when billed keeps both forms in use.
    prompt_details |= {"cache_write_tokens": written} if written else {}
    prompt_details |= {"image_tokens": n["image_input_tokens"]} if n["image_input_tokens"] else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": n["reasoning_tokens"],
            "audio_tokens": n["audio_output_tokens"],
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _embedding_usage(usage: Usage | Mapping[str, object] | None) -> Mapping[str, object] | None:
    if not isinstance(usage, Usage):
        return usage
    # An embedding has no output: the default reply's is not an error of the script.
    tokens = counts(usage, EMBEDDING_COUNTS | {"output_tokens"})["input_tokens"]
    return {"prompt_tokens": tokens, "total_tokens": tokens}
