"""
Recorded spans with the truth about their charges: OTLP/JSON from real clients and real instrumentations.

`charges` is what the provider would bill, computed from the usage that the simulated provider returned. Counts there
use "of which" audio and images; `expected_usage` turns them into the counts of `Usage`, which never overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_llmcost.model import SpanView

HERE = Path(__file__).parent
_KINDS = {0: "internal", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


def names(*prefixes: str) -> list[str]:
    """Give the names of the captures that begin with one of `prefixes`."""
    return sorted(path.stem for path in HERE.glob("*.json") if path.stem.startswith(prefixes))


def load(name: str) -> dict[str, Any]:
    """Read one capture."""
    capture: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return capture


def views(capture: dict[str, Any]) -> Iterator[SpanView]:
    """Give the capture's spans in the order in which they ended, as the SDK would hand them over."""
    found = []
    for resource in capture["otlp"]["resourceSpans"]:
        held = _attributes(resource.get("resource", {}).get("attributes", ()))
        for scope in resource["scopeSpans"]:
            found += [_view(span, scope.get("scope", {}), held) for span in scope["spans"]]
    return iter(sorted(found, key=lambda view: view.end_unix_ns))


def expected_usage(charge: dict[str, Any]) -> dict[str, int]:
    """Give a charge's counts in the vocabulary of `Usage`, zeros left out."""
    tools = charge.get("tool_calls") or {}
    audio, cached_audio = charge.get("audio_input_tokens", 0), charge.get("cached_audio_input_tokens", 0)
    image, audio_out = charge.get("image_input_tokens", 0), charge.get("audio_output_tokens", 0)
    counts = {
        "input_tokens": charge["input_tokens"] - (audio - cached_audio) - image,
        "cached_input_tokens": charge["cached_input_tokens"] - cached_audio,
        "cache_write_tokens": charge["cache_write_tokens"],
        "cache_write_1h_tokens": charge["cache_write_1h_tokens"],
        "cache_write_12h_tokens": charge.get("cache_write_12h_tokens", 0),
        "output_tokens": charge["output_tokens"] - audio_out,
        "audio_input_tokens": audio - cached_audio,
        "cached_audio_input_tokens": cached_audio,
        "audio_output_tokens": audio_out,
        "image_input_tokens": image,
        "web_search_calls": tools.get("web_search", 0),
        "reasoning_tokens": charge["reasoning_tokens"],
    }
    return {name: count for name, count in counts.items() if count}


def _view(span: dict[str, Any], scope: dict[str, Any], resource: dict[str, object]) -> SpanView:
    exceptions = [
        _attributes(event.get("attributes", ())).get("exception.type")
        for event in span.get("events", ())
        if event.get("name") == "exception"
    ]
    return SpanView(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_span_id=span.get("parentSpanId") or None,
        name=span["name"],
        kind=_KINDS[span.get("kind", 0)],
        start_unix_ns=int(span["startTimeUnixNano"]),
        end_unix_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span.get("attributes", ())),
        resource=resource,
        scope_name=scope.get("name", ""),
        scope_version=scope.get("version", ""),
        status_code={0: "unset", 1: "ok", 2: "error"}[span.get("status", {}).get("code", 0)],
        exception_type=str(exceptions[-1]) if exceptions else None,
    )


def _attributes(pairs: Any) -> dict[str, object]:
    return {pair["key"]: _value(pair["value"]) for pair in pairs}


def _value(value: dict[str, Any]) -> object:
    kind, held = next(iter(value.items()), ("", None))
    if kind == "intValue":
        return int(held)
    if kind == "arrayValue":
        return tuple(_value(each) for each in held.get("values", ()))
    return held
