"""
What may leave and enter the process: a guard round the global propagator, whatever that is.

OpenTelemetry's default sends the whole baggage with every instrumented HTTP request, to model providers too, and takes
over whatever a caller sends. The guard lets owners (`llmcost.*` and `Settings.baggage_keys`) out to internal hosts
only, and counts those that come in only from trusted callers. Other baggage and `traceparent` are not ours to judge.

Known limits: a request whose host nobody names (gRPC metadata, message headers) carries no owner. requests and
aiohttp follow a redirect with the headers of the first request and ask no propagator again, so an internal host that
redirects outwards passes them on; httpx, httpx2 and urllib3 ask again, and such headers are cleaned.
"""

from __future__ import annotations

from otel_llmcost.propagation.baggage import OwnerBaggagePropagator
from otel_llmcost.propagation.guard import OwnerGuard, guard_propagation
from otel_llmcost.propagation.hosts import InternalHosts

__all__ = ["InternalHosts", "OwnerBaggagePropagator", "OwnerGuard", "guard_propagation"]
