"""
Raw response bodies of providers, recognised by their shape: OpenAI, Anthropic, Gemini, Bedrock (Converse, Nova, Llama) and
Cohere, alone or inside a line of a batch's output.

A body does not always say who sent it, when, or which model answered: what it leaves out is taken from `Defaults`. It is
read by the same code as a body on a span (`dialects.provider_usage`): only usage, ids, model, tier and instant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

from otel_llmcost.dialects.form import Form, build
from otel_llmcost.dialects.provider_usage import ProviderUsage, read_response
from otel_llmcost.dialects.raw import at
from otel_llmcost.dialects.reading import read_text
from otel_llmcost.dialects.sellers import seller
from otel_llmcost.model import ModelCall, SpanView

__all__ = ["SHAPES", "Body", "Defaults", "Shape", "read_body"]

Held: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What is said once for all bodies that do not say it."""

    at_unix_ns: int
    provider: str = ""
    """Wins over the shape: many providers copy OpenAI's."""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body as a call, on a span of its own."""

    span: SpanView
    call: ModelCall
    has_time: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of body: all of `has` (dotted paths) are there, and `key` (a path) has one of `values`."""

    provider: str
    operation: str
    has: tuple[str, ...] = ()
    key: str = ""
    values: tuple[str, ...] = ()

    def fits(self, body: Held) -> bool:
        """Tell whether `body` is of this kind."""
        if self.key and _follow(body, self.key) not in self.values:
            return False
        return all(_follow(body, path) is not None for path in self.has)


SHAPES: Final = (
    Shape("anthropic", "chat", ("usage",), "type", ("message",)),
    Shape("openai", "chat", (), "object", ("chat.completion", "response")),
    Shape("openai", "text_completion", (), "object", ("text_completion",)),
    Shape("openai", "embeddings", ("usage", "model"), "object", ("list",)),
    Shape("gcp.gemini", "generate_content", ("usageMetadata",)),
    Shape("gcp.gemini", "generate_content", ("usage_metadata", "candidates")),
    Shape("cohere", "chat", ("usage.billed_units",)),
    Shape("cohere", "chat", ("meta.billed_units",)),
    Shape("aws.bedrock", "chat", ("usage.inputTokens",)),  # Converse, and InvokeModel of Nova
    Shape("aws.bedrock", "text_completion", ("generation_token_count",)),  # InvokeModel of Llama
    Shape("openai", "chat", ("choices", "usage")),  # those who copy OpenAI leave `object` out
    Shape("anthropic", "", ("error.type",), "type", ("error",)),
    Shape("gcp.gemini", "", ("error.status", "error.code")),
    Shape("aws.bedrock", "", ("Error.Code",)),
    Shape("openai", "", ("error.message",)),
)
"""Public: the first that fits says who answered, unless a mark of `_SELLERS` is there. Without operation: a failure."""

_SELLERS: Final = (
    # Anthropic's ids name the cloud (docs: "msg_bdrk_", "msg_vrtx_").
    ("id", "msg_bdrk_", "aws.bedrock"),
    ("id", "msg_vrtx_", "gcp.vertex_ai"),
    ("id", "gen-", "openrouter"),
    ("prompt_filter_results", "", "azure.ai.openai"),
    ("x_groq", "", "groq"),
    ("usageMetadata.trafficType", "", "gcp.vertex_ai"),
)
"""(path, how its text begins, who really bills): what only that seller's bodies have."""

_ENDINGS: Final = {"failed": "error", "cancelled": "cancelled", "canceled": "cancelled", "expired": "timeout"}
"""OpenAI's `status` of a response, and Anthropic's type of a batch result, that are failures."""
_FORM: Final = Form(dialect="response_body", response_model=())
_FIRST_S: Final = 946_684_800  # 2000
_LAST_S: Final = 4_102_444_800  # 2100


def read_body(held: Held, defaults: Defaults) -> Body | None:
    """Read a response body, or a line of a batch's output; None when it is neither."""
    body, batch, ending = _unwrapped(held)
    shape = next((each for each in SHAPES if each.fits(body)), None)
    if shape is None and ending:
        shape = Shape("", "")
    if shape is None:
        return None
    read = read_response(body)
    created = _instant(body, read)
    start = defaults.at_unix_ns if created is None else created
    named = defaults.provider or _seller(body, shape, read)
    failure = _failure(body, shape, ending)
    span = _span(start, failure, defaults.model)
    call = build(span, _FORM, kind="request", operation=shape.operation or "chat", raw=read, provider=named)
    call = replace(call, batch=batch)
    trace_id, span_id = _ids(call)
    return Body(span=replace(span, trace_id=trace_id, span_id=span_id), call=call, has_time=created is not None)


def _unwrapped(held: Held) -> tuple[Held, bool, str]:
    """Take a body out of a batch's output line: (body, whether it was one, how it failed)."""
    if isinstance(held.get("custom_id"), str):
        if result := at(held, "result"):  # Anthropic: {"custom_id", "result": {"type", "message"}}
            return (
                at(result, "message") or at(result, "error"),
                True,
                _ENDINGS.get(read_text(result, "type"), "") or ("error" if result.get("type") == "errored" else ""),
            )
        response = at(held, "response")  # OpenAI: {"custom_id", "response": {"status_code", "body"}, "error"}
        failed = not at(response, "body") or at(held, "error") or response.get("status_code", 200) != 200
        return at(response, "body") or held, True, "error" if failed else ""
    for id_key, body_key in (("recordId", "modelOutput"), ("key", "response")):  # Bedrock, Gemini
        if id_key in held and (body_key in held or "error" in held):
            return at(held, body_key) or held, True, "" if at(held, body_key) else "error"
    return held, False, ""


def _seller(body: Held, shape: Shape, read: ProviderUsage) -> str:
    if read.provider:
        return read.provider
    for path, begins, bills in _SELLERS:
        value = _follow(body, path)
        if value is not None and (not begins or (isinstance(value, str) and value.startswith(begins))):
            return bills
    if shape.provider == "openai" and seller("", "", read.model) not in ("", "openai"):
        return ""  # a copy of OpenAI's form: the model's name tells, as for a span that names no seller
    return shape.provider


def _failure(body: Held, shape: Shape, ending: str) -> tuple[str, str]:
    """Give (status, error type): from the wrapper, the error object, or the response's own status."""
    error = at(body, "error") or at(body, "Error")
    status = ending
    if not status and body.get("object") == "response":
        status = _ENDINGS.get(read_text(body, "status"), "")
    if not status and not shape.operation:
        status = "error"
    code = error.get("code")
    kind = read_text(error, "type", "status", "code", "Code") or (str(code) if type(code) is int else "")
    return status, (kind or status) if status else ""


def _span(start: int, failure: tuple[str, str], model: str) -> SpanView:
    status, kind = failure
    attributes: dict[str, object] = {"gen_ai.request.model": model} if model else {}
    if status:
        attributes["error.type"] = kind if status == "error" else status
    return SpanView(
        trace_id="",
        span_id="",
        parent_span_id=None,
        name="",
        kind="client",
        start_unix_ns=start,
        end_unix_ns=start,
        attributes=attributes,
        resource={},
        scope_name="otel_llmcost.audit",
        scope_version="",
        status_code="error" if status else "unset",
    )


def _instant(body: Held, read: ProviderUsage) -> int | None:
    """Give when the body says that it was made: `created` (OpenAI), `createTime` (Vertex), the Date header (boto3)."""
    seconds = read.created_unix_s
    try:
        if seconds is None and (text := read_text(body, "createTime", "create_time")):
            seconds = int(datetime.fromisoformat(text).timestamp())
        elif seconds is None and (text := read_text(at(body, "ResponseMetadata", "HTTPHeaders"), "date")):
            seconds = int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 10**9 if seconds is not None and _FIRST_S <= seconds < _LAST_S else None


def _ids(call: ModelCall) -> tuple[str, str]:
    """Give the ids that `record_request` would store; "" without a response id."""
    if not call.response_id:
        return "", ""
    digest = hashlib.sha256(f"{call.provider}\0{call.response_id}".encode()).hexdigest()
    return digest[:32], digest[32:48]


def _follow(held: Held, path: str) -> object:
    *above, last = path.split(".")
    return at(held, *above).get(last)
