"""
OTLP/protobuf to `SpanView`: the generated classes of `opentelemetry-proto`, and only what a bill needs of them.

Attributes are read of spans that can be model calls, the others are links from a child to its parent. Text that is no
UTF-8 is mended, by `whole_text`. Limits: as in `otlp_json`: bytes are left out, nesting is cut at 8, a scope's name at 256 characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, Literal

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llmcost.dialects import GATE_KEYS
from otel_llmcost.model import Attributes, SpanView, maker
from otel_llmcost.otlp_json import Found, bounded
from otel_llmcost.receiver.whole_text import with_whole_text

__all__ = ["TooMany", "read_spans"]

_MAX_PARTS: Final = 500_000
_LEVELS: Final = (0x0A, 0x12, 0x12)
"""Tags of `resource_spans`, of `scope_spans` in them, and of `spans` in those."""
_KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")
_STATUS: Final[tuple[Literal["unset", "ok", "error"], ...]] = ("unset", "ok", "error")
_MAX_DEPTH: Final = 8
_MAX_NAME: Final = 256
_LENGTH: Final = 2
"""The wire type of what has a length."""
_NO_ID: Final = bytes(8)
_NO_ATTRIBUTES: Final[dict[str, object]] = {}
_RESOURCES_KEPT: Final = 1000
_MAX_RESOURCE_KEPT: Final = 8192
_RESOURCES: Final[dict[bytes, Attributes]] = {}
"""What was read lately, by its encoding: a balancer sends one with each trace."""
_new_view: Final = maker(SpanView)


class TooMany(Exception):
    """The body has more parts than any sender's: two bytes of an empty span become a hundred in memory."""


def read_spans(body: bytes) -> Iterator[Found]:
    """
    Give every span of an `ExportTraceServiceRequest`, or a sentence about one.

    Raises `ValueError` when it is none, and `TooMany`.
    """
    if len(body) > 2 * _MAX_PARTS:  # a part takes two bytes
        with suppress(IndexError):  # it is cut: parsing says so
            _count_parts(body, 0, len(body), 0, 0)
    try:
        request = _parse(body)
    except DecodeError as error:
        raise ValueError("the body is no ExportTraceServiceRequest in protobuf") from error
    return _each(request)


def _parse(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        request.ParseFromString(with_whole_text(body))
    return request


def _count_parts(body: bytes, position: int, end: int, level: int, count: int) -> int:
    """Count fields down to the spans, without parsing them. Raises `TooMany`, and `IndexError` at the end of a cut body."""
    while position < end:
        count += 1
        if count > _MAX_PARTS:
            raise TooMany
        tag, position = _varint(body, position)
        kind = tag & 7
        if kind == _LENGTH:
            size, position = _varint(body, position)
            if level < len(_LEVELS) - 1 and tag == _LEVELS[level]:
                count = _count_parts(body, position, min(end, position + size), level + 1, count)
            position += size
        elif kind == 0:
            _, position = _varint(body, position)
        else:
            position += 8 if kind == 1 else 4
    return count


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    if byte < 0x80:
        return byte, position + 1
    value, shift = byte & 0x7F, 7
    while True:
        position += 1
        byte = body[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, position + 1
        shift += 7


def _each(request: ExportTraceServiceRequest) -> Iterator[Found]:
    for resource_spans in request.resource_spans:
        resource = _resource(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name[:_MAX_NAME], scope_spans.scope.version[:_MAX_NAME]
            for span in scope_spans.spans:
                yield _read(span, resource, scope)


def _resource(held: Resource) -> Attributes:
    """Give a resource: the same object for the same one, in another body too, by which its owner is remembered."""
    encoded = held.SerializeToString()
    known = _RESOURCES.get(encoded)
    if known is None:
        known = bounded(_attributes(held.attributes))
        if len(encoded) <= _MAX_RESOURCE_KEPT:
            if len(_RESOURCES) >= _RESOURCES_KEPT:
                _RESOURCES.clear()
            _RESOURCES[encoded] = known
    return known


def _read(span: Span, resource: Attributes, scope: tuple[str, str]) -> Found:
    trace_id, span_id, parent, start = span.trace_id, span.span_id, span.parent_span_id, span.start_time_unix_nano
    if len(trace_id) != 16 or len(span_id) != 8 or not any(trace_id) or span_id == _NO_ID:
        return "a span has no valid trace_id and span_id"
    if not start:
        return f"span {span_id.hex()} has no start_time_unix_nano"
    parent_span_id = parent.hex() if len(parent) == 8 and parent != _NO_ID else None
    attributes = _attributes(span.attributes)
    if GATE_KEYS.isdisjoint(attributes):
        return _link(trace_id=trace_id.hex(), span_id=span_id.hex(), parent_span_id=parent_span_id, start_unix_ns=start)
    code, kind = span.status.code, span.kind
    status = _STATUS[code] if 0 <= code < len(_STATUS) else "unset"
    return _new_view(
        trace_id=trace_id.hex(),
        span_id=span_id.hex(),
        parent_span_id=parent_span_id,
        name=span.name[:_MAX_NAME],
        kind=_KINDS[kind] if 0 <= kind < len(_KINDS) else "internal",
        start_unix_ns=start,
        end_unix_ns=span.end_time_unix_nano or start,
        attributes=attributes,
        resource=resource,
        scope_name=scope[0],
        scope_version=scope[1],
        status_code=status,
        exception_type=_exception_type(span) if status == "error" else None,
    )


def _link(*, trace_id: str, span_id: str, parent_span_id: str | None, start_unix_ns: int) -> SpanView:
    """Give a span that makes no model call: who its parent is, is all that anybody asks of it."""
    return _new_view(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name="",
        kind="internal",
        start_unix_ns=start_unix_ns,
        end_unix_ns=start_unix_ns,
        attributes=_NO_ATTRIBUTES,
        resource=_NO_ATTRIBUTES,
        scope_name="",
        scope_version="",
        status_code="unset",
    )


def _exception_type(span: Span) -> str | None:
    for event in reversed(span.events):
        if event.name == "exception":
            kind = next((pair.value for pair in event.attributes if pair.key == "exception.type"), None)
            return kind.string_value if kind is not None and kind.HasField("string_value") else None
    return None


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    # In one pass, because each pair is made anew for Python whenever it is looked at: that is most of the time.
    found: dict[str, object] = {}
    for pair in pairs:
        held = pair.value
        # Nearly all are text or a number that is not 0: no need to ask which.
        value = held.string_value or held.int_value or _value(held, 0)
        if value is not None:
            found[pair.key] = value
    return found


def _value(held: AnyValue, depth: int) -> object:
    kind = held.WhichOneof("value")
    if kind in _PLAIN:
        return getattr(held, kind)
    if depth >= _MAX_DEPTH:
        return None
    if kind == "array_value":
        return tuple([_value(each, depth + 1) for each in held.array_value.values])
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in held.kvlist_value.values}
    return None


_PLAIN: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})
