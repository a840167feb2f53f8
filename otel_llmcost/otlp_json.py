"""
OTLP/JSON to `SpanView`: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.

Tolerant of what writers do: integers as numbers or text, ids in hex (the specification) or base64 (plain protobuf
JSON), keys in camelCase or snake_case, enumerations by number or name, Tempo's `batches`. A span that cannot be read
is a sentence about it, and the others are read. Attribute values of any kind; events only for an exception's type; of a resource, 128 short values.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, Literal, TypeAlias

from otel_llmcost.model import Attributes, SpanView

__all__ = ["Found", "bounded", "is_otlp", "read_spans"]

Held: TypeAlias = Mapping[str, object]
Found: TypeAlias = SpanView | str
"""A span, or one sentence about what could not be read."""

_REQUEST: Final = ("resourceSpans", "resource_spans", "batches")
_RESOURCE: Final = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_SCOPE: Final = ("spans",)
_TRACE_ID: Final = ("traceId", "trace_id")
_SPAN_ID: Final = ("spanId", "span_id")
_KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")
_MAX_DEPTH: Final = 8
_MAX_RESOURCE: Final = 128
_MAX_RESOURCE_TEXT: Final = 1024
_MAX_NAME: Final = 256
"""Of a scope's name, as from the SDK: a row has room for it."""
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_NS: Final = 2**64
_HEX: Final = re.compile(r"[0-9a-f]+")


def is_otlp(held: Held) -> bool:
    """Tell whether an object is a request, or one of the parts of a request that people cut out of it."""
    if any(isinstance(_get(held, *names), list) for names in (_REQUEST, _RESOURCE, _SCOPE)):
        return True
    return isinstance(held.get("trace"), Mapping) or None not in (_get(held, *_TRACE_ID), _get(held, *_SPAN_ID))


def read_spans(held: Held) -> Iterator[Found]:
    """Give every span of an `ExportTraceServiceRequest`, one `resourceSpans`, one batch of `spans`, or one span."""
    inner = held.get("trace")
    if isinstance(inner, Mapping):
        held = inner
    if (resources := _get(held, *_REQUEST)) is not None:
        yield from _each(resources, "resourceSpans", _read_resource)
    elif _get(held, *_RESOURCE) is not None:
        yield from _read_resource(held, "")
    elif _get(held, *_SCOPE) is not None:
        yield from _read_scope(held, "", bounded(_attributes(_object(held.get("resource")).get("attributes"))))
    else:
        yield _read_span(held, "", {}, {})


def bounded(resource: Attributes) -> dict[str, object]:
    """Give a resource without what no bill needs of it: it is remembered for longer than the spans that came with it."""
    return {
        key: value[:_MAX_RESOURCE_TEXT] if isinstance(value, str) else value
        for key, value in islice(resource.items(), _MAX_RESOURCE)
        if isinstance(value, str | bool | int | float)
    }


def _each(parts: object, name: str, read: Callable[[Held, str], Iterator[Found]], path: str = "") -> Iterator[Found]:
    if not isinstance(parts, list):
        yield f"{path}{name} is no array"
        return
    for index, part in enumerate(parts):
        place = f"{path}{name}[{index}]"
        if isinstance(part, Mapping):
            yield from read(part, place + ".")
        else:
            yield f"{place} is no object"


def _read_resource(held: Held, path: str) -> Iterator[Found]:
    resource = bounded(_attributes(_object(held.get("resource")).get("attributes")))
    scopes = _get(held, *_RESOURCE)
    if scopes is None:
        return
    yield from _each(scopes, "scopeSpans", lambda part, place: _read_scope(part, place, resource), path)


def _read_scope(held: Held, path: str, resource: Attributes) -> Iterator[Found]:
    scope = _object(_get(held, "scope", "instrumentationLibrary", "instrumentation_library"))
    spans = held.get("spans")
    if spans is None:
        return
    yield from _each(spans, "spans", lambda part, place: iter((_read_span(part, place, resource, scope),)), path)


def _read_span(held: Held, path: str, resource: Attributes, scope: Held) -> Found:
    trace_id = _id(_get(held, *_TRACE_ID), 16)
    span_id = _id(_get(held, *_SPAN_ID), 8)
    start = _nanoseconds(_get(held, "startTimeUnixNano", "start_time_unix_nano"))
    place = path.removesuffix(".") or "the span"
    if trace_id is None or span_id is None:
        return f"{place} has no valid traceId and spanId"
    if start is None:
        return f"{place} has no valid startTimeUnixNano"
    end = _nanoseconds(_get(held, "endTimeUnixNano", "end_time_unix_nano"))
    status = _status(_object(held.get("status")).get("code"))
    return SpanView(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=_id(_get(held, "parentSpanId", "parent_span_id"), 8),
        name=_text(held.get("name")),
        kind=_kind(held.get("kind")),
        start_unix_ns=start,
        end_unix_ns=start if end is None else end,
        attributes=_attributes(held.get("attributes")),
        resource=resource,
        scope_name=_text(scope.get("name"))[:_MAX_NAME],
        scope_version=_text(scope.get("version"))[:_MAX_NAME],
        status_code=status,
        exception_type=_exception_type(held.get("events")) if status == "error" else None,
    )


def _exception_type(events: object) -> str | None:
    for event in reversed(events) if isinstance(events, list) else ():
        if isinstance(event, Mapping) and event.get("name") == "exception":
            kind = _attributes(event.get("attributes"), only="exception.type").get("exception.type")
            return kind if isinstance(kind, str) else None
    return None


def _attributes(pairs: object, *, only: str | None = None) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, Mapping) and isinstance(key := pair.get("key"), str) and only in (None, key):
            value = _value(pair.get("value"), 0)
            if value is not None:
                found[key] = value
    return found


def _value(held: object, depth: int) -> object:
    """Give an `AnyValue` as Python holds it; None for one that is empty, unknown or nested without end."""
    if not isinstance(held, Mapping) or depth > _MAX_DEPTH:
        return None
    for kind, value in held.items():
        if (read := _KINDS_OF_VALUES.get(kind)) is not None:
            return read(value, depth)
    return None


def _integer(value: object, _depth: int) -> object:
    """Give an integer; text that is none stays text, which every reader of counts names as invalid."""
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isascii():
        return int(value) if value.removeprefix("-").isdecimal() else value
    return value


def _double(value: object, _depth: int) -> object:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _array(value: object, depth: int) -> object:
    values = _object(value).get("values")
    return tuple(_value(each, depth + 1) for each in values) if isinstance(values, list) else ()


def _map(value: object, depth: int) -> object:
    pairs = _object(value).get("values")
    return {
        pair["key"]: _value(pair.get("value"), depth + 1)
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, Mapping) and isinstance(pair.get("key"), str)
    }


def _scalar(value: object, _depth: int) -> object:
    return value if isinstance(value, str | bool | int | float) else None


_KINDS_OF_VALUES: Final[Mapping[str, Callable[[object, int], object]]] = {
    "stringValue": _scalar, "string_value": _scalar,
    "boolValue": _scalar, "bool_value": _scalar,
    "intValue": _integer, "int_value": _integer,
    "doubleValue": _double, "double_value": _double,
    "arrayValue": _array, "array_value": _array,
    "kvlistValue": _map, "kvlist_value": _map,
}  # fmt: skip
"""Bytes are left out: nothing that a bill needs is written as bytes."""


def _id(value: object, size: int) -> str | None:
    """Give an id as lower-case hex; None for none, one of zeros, or what is no id of `size` bytes."""
    if not isinstance(value, str):
        return None
    text = value.lower()
    if len(text) != size * 2 or not _HEX.fullmatch(text):
        if len(value) != -(-size // 3) * 4:
            return None
        try:
            text = base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            return None
    return text if len(text) == size * 2 and text.strip("0") else None


def _nanoseconds(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < _MAX_NS else None


def _kind(value: object) -> str:
    if isinstance(value, str):
        name = value.removeprefix("SPAN_KIND_").lower()
        return name if name in _KINDS else "internal"
    return _KINDS[value] if type(value) is int and 0 <= value < len(_KINDS) else "internal"


def _status(value: object) -> Literal["unset", "ok", "error"]:
    if value in (2, "STATUS_CODE_ERROR"):
        return "error"
    return "ok" if value in (1, "STATUS_CODE_OK") else "unset"


def _get(held: Held, *names: str) -> object:
    return next((held[name] for name in names if held.get(name) is not None), None)


def _object(value: object) -> Held:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
