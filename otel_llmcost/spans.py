"""
SDK spans as data, and the swap that puts our attributes on a span that has ended.

`Span.end()` freezes a span before it calls `_on_ending`, in every release from 1.40 to 1.45.2, so `set_attribute` does
nothing there (open-telemetry/opentelemetry-python#5614). Replacing the dictionary in the span's attribute container
works in all of them, is seen by every exporter whatever the order of registration, and cannot evict an instrumentation's
attribute, because no limit is asked. The private names used are `Span._attributes` and `BoundedAttributes._dict`;
`tests/test_sdk_contract.py` fails when a release changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.trace.status import StatusCode

from otel_llmcost.model import Attributes, SpanView, maker

__all__ = ["add_attributes", "attributes_of", "resource_of", "span_key", "view"]

# By value: an enum's own hash is computed in Python each time.
_STATUS: Final[dict[int, Literal["unset", "ok", "error"]]] = {
    StatusCode.UNSET.value: "unset",
    StatusCode.OK.value: "ok",
    StatusCode.ERROR.value: "error",
}
_KINDS: Final[dict[int, str]] = {kind.value: kind.name.lower() for kind in SpanKind}
_new_view: Final = maker(SpanView)
_RESOURCES_KEPT: Final = 64
_SCOPES_KEPT: Final = 1024
_MAX_NAME: Final = 256
_resources: dict[int, tuple[Resource, dict[str, object]]] = {}
_scopes: dict[int, tuple[InstrumentationScope, str, str]] = {}


def span_key(context: SpanContext) -> tuple[str, str]:
    """Give (trace_id, span_id) as lower-case hex."""
    trace_id, span_id = context[:2]  # a SpanContext is a tuple: quicker than its properties
    return f"{trace_id:032x}", f"{span_id:016x}"


def attributes_of(span: ReadableSpan) -> Attributes:
    """Give the span's attributes without a copy and without a lock for each key; read only, and only while it ends."""
    held = span._attributes
    inner = getattr(held, "_dict", None)
    if inner is not None:
        return inner  # type: ignore[no-any-return]
    return held or {}


def resource_of(span: ReadableSpan) -> Attributes:
    """Give the resource's attributes as a plain dictionary, copied once per resource."""
    resource = span.resource
    known = _resources.get(id(resource))
    if known is None or known[0] is not resource:
        if len(_resources) >= _RESOURCES_KEPT:
            _resources.clear()
        known = _resources[id(resource)] = (resource, dict(resource.attributes))
    return known[1]


def view(span: ReadableSpan) -> SpanView:
    """Give an ended span as data. Its attributes are the span's own, not a copy."""
    context, parent = span.get_span_context(), span.parent
    if context is None:
        raise ValueError("a span without a context cannot be metered")
    trace_id, span_id = span_key(context)
    scope_name, scope_version = _scope_of(span)
    status = _STATUS[span.status.status_code._value_]
    start = span.start_time or 0
    return _new_view(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=f"{parent.span_id:016x}" if parent else None,
        name=span.name,
        kind=_KINDS[span.kind._value_],
        start_unix_ns=start,
        end_unix_ns=span.end_time or start,
        attributes=attributes_of(span),
        resource=resource_of(span),
        scope_name=scope_name,
        scope_version=scope_version,
        status_code=status,
        exception_type=_exception_type(span) if status == "error" else None,
    )


def _scope_of(span: ReadableSpan) -> tuple[str, str]:
    scope = span.instrumentation_scope
    if scope is None:
        return "", ""
    known = _scopes.get(id(scope))
    if known is None or known[0] is not scope:
        if len(_scopes) >= _SCOPES_KEPT:
            _scopes.clear()
        known = _scopes[id(scope)] = (scope, _bounded(scope.name), _bounded(scope.version))
    return known[1], known[2]


def _bounded(text: object) -> str:
    """Give a name as text that a row has room for; what is no text names nothing."""
    return text[:_MAX_NAME] if isinstance(text, str) else ""


def add_attributes(span: ReadableSpan, extra: Mapping[str, object]) -> None:
    """Put `extra` on an ending or ended span, whatever its limit is."""
    held = span._attributes
    values = {**attributes_of(span), **extra}
    if isinstance(held, BoundedAttributes):
        # Replaced, not filled: who is reading the old one reads it to its end. A new container would cost 1 us more.
        held._dict = values  # type: ignore[assignment]
    else:
        span._attributes = BoundedAttributes(attributes=values)  # type: ignore[arg-type]


def _exception_type(span: ReadableSpan) -> str | None:
    for event in reversed(span.events):
        if event.name == "exception":
            kind = (event.attributes or {}).get("exception.type")
            return kind if isinstance(kind, str) else None
    return None
