"""
Bodies of OTLP/HTTP: what comes in, within bounds, and what goes back, in the encoding that was asked in.

https://opentelemetry.io/docs/specs/otlp/#otlphttp. A bomb is met at the bound: gzip is taken apart in steps, and never
more of it is in memory. Text that is no Unicode is mended, because a Collector drops the whole batch that is refused for
it. Limits: gzip or nothing, of at most 64 members; 16 MiB, compressed or not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_llmcost.otlp_json import Found
from otel_llmcost.otlp_json import read_spans as read_json_spans
from otel_llmcost.receiver.protobuf import TooMany
from otel_llmcost.receiver.protobuf import read_spans as read_protobuf_spans

__all__ = ["JSON", "MAX_BODY_BYTES", "PROTOBUF", "Malformed", "TooLarge", "expand", "failure", "read_body", "success"]

MAX_BODY_BYTES: Final = 16 << 20
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_MAX_OBJECTS: Final = 1_000_000
"""A sender's attribute is 45 bytes and two objects: this many do not fit. Empty ones would, and take half a gigabyte."""
_REQUEST: Final = ("resourceSpans", "resource_spans")
_GZIP: Final = 16 + zlib.MAX_WBITS
_MAX_MEMBERS: Final = 64
_STEP_BYTES: Final = 64 << 10
"""What is taken apart at once: zlib copies what it leaves of it at the end of each member."""
_ESCAPE: Final = re.compile(
    rb"(?P<half>\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|\\.",
    re.DOTALL,
)
"""Every escape in turn, so that an escaped backslash before a u is none; `half` of a surrogate pair has no other half."""


class Malformed(Exception):
    """The body is not what its headers say: sending it again will not help."""


class TooLarge(Exception):
    """The body is larger than the bound, or would be, or has more parts than any sender's."""


def expand(body: bytes) -> bytes:
    """Undo gzip. Raises `TooLarge` and `Malformed`."""
    parts: list[bytes] = []
    size = position = members = 0
    held = memoryview(body)
    while position < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise Malformed(f"the body is gzip of more than {_MAX_MEMBERS} members")
        gzip = zlib.decompressobj(_GZIP)
        while not gzip.eof:
            if position >= len(body):
                raise Malformed("the body is gzip that was cut")
            step = held[position : position + _STEP_BYTES]
            try:
                part = gzip.decompress(step, MAX_BODY_BYTES - size + 1)
            except zlib.error as error:
                raise Malformed("the body is no gzip") from error
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise TooLarge
            parts.append(part)
            position += len(step) - len(gzip.unused_data)
    return b"".join(parts)


def read_body(body: bytes, encoding: str) -> Iterator[Found]:
    """Give each span of a request in JSON or protobuf, or a sentence about it. Raises `Malformed`, at once or later."""
    if encoding == JSON:
        return _read_json(body)
    try:
        return read_protobuf_spans(body)
    except ValueError as error:
        raise Malformed(str(error)) from error
    except TooMany as error:
        raise TooLarge from error


def _read_json(body: bytes) -> Iterator[Found]:
    if body.count(b"{") > _MAX_OBJECTS:
        raise TooLarge
    try:
        held = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            held = orjson.loads(_with_whole_text(body))
        except orjson.JSONDecodeError as error:
            raise Malformed("the body is no JSON") from error
    if held == {}:
        return iter(())
    if not isinstance(held, dict) or not any(isinstance(held.get(name), list) for name in _REQUEST):
        raise Malformed("the body is no ExportTraceServiceRequest in JSON")
    return read_json_spans(held)


def _with_whole_text(body: bytes) -> bytes:
    """Put U+FFFD for bytes that are no UTF-8 and for halves of surrogate pairs, which JavaScript writes when it cuts text."""
    text = body.decode(errors="replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], text)


def success(encoding: str, rejected: int, message: str) -> bytes:
    """Give the answer to spans that were taken, all or but for the rejected."""
    if encoding == JSON:
        # 64-bit numbers are text in OTLP/JSON.
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
        return orjson.dumps(partial if rejected else {})
    if not rejected:
        return b""
    partial_success = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    answer: bytes = ExportTraceServiceResponse(partial_success=partial_success).SerializeToString()
    return answer


def failure(encoding: str, message: str) -> bytes:
    """Give a `google.rpc.Status` with a message: https://github.com/googleapis/googleapis, google/rpc/status.proto."""
    if encoding == JSON:
        return orjson.dumps({"message": message})
    text = message.encode()
    size = len(text)
    if size >= 1 << 14:
        raise ValueError("a message is one sentence")
    length = bytes([size]) if size < 1 << 7 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x12" + length + text
