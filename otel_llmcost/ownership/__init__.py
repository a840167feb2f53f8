"""
Who a request belongs to: `attributed(...)` says it, W3C baggage carries it, `OwnerReader` reads it back.

An owner travels as baggage `llmcost.<name>` of the OpenTelemetry context, so every span below inherits it: across
`await`, `asyncio.create_task` and `asyncio.to_thread`, but not into a raw `threading.Thread` or an executor, which
start with an empty context (`contextvars.copy_context().run`, or opentelemetry-instrumentation-threading, takes it
there). What may leave or enter the process is decided in `propagation`.
"""

from __future__ import annotations

from otel_llmcost.ownership.attribution import ATTEMPTS, Attribution, attributed
from otel_llmcost.ownership.hashing import FORGOTTEN, OwnerHash
from otel_llmcost.ownership.reader import MAX_EXTRA, OVERFLOW, OwnerReader, inbound_entries, mark_inbound
from otel_llmcost.ownership.values import clean_value

__all__ = [
    "ATTEMPTS",
    "FORGOTTEN",
    "MAX_EXTRA",
    "OVERFLOW",
    "Attribution",
    "OwnerHash",
    "OwnerReader",
    "attributed",
    "clean_value",
    "inbound_entries",
    "mark_inbound",
]
