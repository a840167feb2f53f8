"""Spans made by hand, for what no capture shows."""

from __future__ import annotations

from otel_llmcost.model import COUNTS, ModelCall, SpanView


def span(
    attributes: dict[str, object], *, scope: str = "", version: str = "", name: str = "call", **rest: object
) -> SpanView:
    """Give an ended span of one second."""
    given: dict[str, object] = {
        "trace_id": "1" * 32,
        "span_id": "2" * 16,
        "parent_span_id": None,
        "kind": "client",
        "start_unix_ns": 10**18,
        "end_unix_ns": 10**18 + 10**9,
        "resource": {},
        "status_code": "unset",
    }
    return SpanView(
        name=name,
        attributes=attributes,
        scope_name=scope,
        scope_version=version,
        **{**given, **rest},  # type: ignore[arg-type]
    )


def counted(call: ModelCall | None) -> dict[str, int]:
    """Give the counts of a call that are not zero."""
    if call is None or call.usage is None:
        return {}
    return {name: count for name, count in zip(COUNTS, call.usage.counts, strict=True) if count}
