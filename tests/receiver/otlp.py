"""OTLP requests for these tests: recorded captures and made-up spans, in protobuf and JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START_NS = 1_793_534_400 * 10**9
"""2026-11-01T12:00:00Z."""
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.output_tokens": 1_200,
}

Parts = list[dict[str, Any]]


def a_span(number: int, *, parent: int = 0, trace: int = 1, **changed: Any) -> dict[str, Any]:
    """Give a span in OTLP/JSON, a call unless `attributes` says otherwise, that begins `number` seconds after the start."""
    attributes = {**CALL, "gen_ai.response.id": f"chatcmpl-{trace}-{number}"}
    attributes = changed.pop("attributes", attributes)
    begins = START_NS + number * 10**9
    span = {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "name": "chat gpt-5.4-mini",
        "kind": 3,
        "startTimeUnixNano": str(begins),
        "endTimeUnixNano": str(begins + 500_000_000),
        "attributes": [
            {"key": key, "value": value_of(value)} for key, value in attributes.items() if value is not None
        ],
    }
    return span | ({"parentSpanId": f"{parent:016x}"} if parent else {}) | changed


def value_of(value: object) -> dict[str, object]:
    """Give a value as OTLP/JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def batch(*spans: dict[str, Any], scope: str = "tests.js", resource: dict[str, object] | None = None) -> dict[str, Any]:
    """Give a request with these spans of one service and scope."""
    held = [{"key": key, "value": value_of(value)} for key, value in (resource or {}).items()]
    return {
        "resourceSpans": [
            {"resource": {"attributes": held}, "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}
        ]
    }


def one_by_one(otlp: dict[str, Any]) -> Parts:
    """Cut a request into as many as it has spans."""
    return [
        {"resourceSpans": [{**resource, "scopeSpans": [{**scope, "spans": [span]}]}]}
        for resource in otlp["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def joined(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put requests together."""
    return {"resourceSpans": [resource for part in parts for resource in part["resourceSpans"]]}


def as_json(otlp: dict[str, Any]) -> bytes:
    """Write a request in JSON."""
    return json.dumps(otlp).encode()


def as_protobuf(otlp: dict[str, Any]) -> bytes:
    """Write a request in protobuf."""
    held: bytes = ParseDict(
        _in_base64(otlp), ExportTraceServiceRequest(), ignore_unknown_fields=True
    ).SerializeToString()
    return held


def _in_base64(held: Any) -> Any:
    if isinstance(held, list):
        return [_in_base64(each) for each in held]
    if not isinstance(held, dict):
        return held
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in ("traceId", "spanId", "parentSpanId") and isinstance(value, str)
        else _in_base64(value)
        for key, value in held.items()
        if value is not None
    }
