"""Requests of spans for these tests: recorded captures, captures full of canaries, and spans of the Python SDK."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import json_format
from opentelemetry.sdk.trace import ReadableSpan

from otel_llmcost.audit import AuditedRequest, Defaults, audit
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings
from otel_llmcost.spans import view
from tests.collector.processes import Sink
from tests.receiver.otlp import value_of

Otlp = dict[str, Any]
Key = tuple[str, str]
_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}


def keys_of(otlp: Otlp) -> list[Key]:
    """Give (trace_id, span_id) of every span of a request."""
    return [(span["traceId"], span["spanId"]) for span in spans_of(otlp)]


def spans_of(otlp: Otlp) -> list[Otlp]:
    """Give every span of a request, to look at or to change."""
    return [span for resource in otlp["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]


def arrived(sink: Sink) -> Otlp:
    """Give everything that a sink was sent as one request."""
    found = [json_format.MessageToDict(request) for request in sink.requests()]
    return {"resourceSpans": [resource for each in found for resource in each.get("resourceSpans", ())]}


def bill(otlp: Otlp, pricer: Pricer) -> dict[Key, AuditedRequest]:
    """Charge the spans of a request with the meter that every path shares."""
    source = [("spans", io.BytesIO(json.dumps(otlp).encode()))]
    found = audit(source, pricer=pricer, settings=Settings(), defaults=Defaults(at_unix_ns=0, provider="", model=""))
    assert not found.problems
    return {(each.request.span.trace_id, each.request.span.span_id): each for each in found.requests}


def as_otlp(spans: Iterable[ReadableSpan]) -> Otlp:
    """Write ended spans of the SDK as its exporters would."""
    found = []
    for span in spans:
        seen = view(span)
        held = {
            "traceId": seen.trace_id,
            "spanId": seen.span_id,
            "parentSpanId": seen.parent_span_id or "",
            "name": seen.name,
            "kind": _KINDS.index(seen.kind),
            "startTimeUnixNano": str(seen.start_unix_ns),
            "endTimeUnixNano": str(seen.end_unix_ns),
            "status": {"code": _STATUS[seen.status_code]},
            "attributes": _pairs(seen.attributes),
        }
        scope = {"name": seen.scope_name, "version": seen.scope_version}
        found.append(
            {
                "resource": {"attributes": _pairs(seen.resource)},
                "scopeSpans": [{"scope": scope, "spans": [held]}],
            }
        )
    return {"resourceSpans": found}


def _pairs(attributes: Any) -> list[Otlp]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> Otlp:
    if isinstance(value, tuple | list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return value_of(value)


def only(otlp: Otlp, traces: set[str]) -> Otlp:
    """Give the spans of some traces out of what `arrived`."""
    wanted = {base64.b64encode(bytes.fromhex(trace)).decode() for trace in traces}
    found = []
    for resource in otlp["resourceSpans"]:
        scopes = [
            {**scope, "spans": spans}
            for scope in resource["scopeSpans"]
            if (spans := [span for span in scope["spans"] if span["traceId"] in wanted])
        ]
        if scopes:
            found.append({**resource, "scopeSpans": scopes})
    return {"resourceSpans": found}
