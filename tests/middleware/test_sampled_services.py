"""Sampling and propagation together: an owner reaches the next service whether or not its trace is exported."""

from __future__ import annotations

import pytest
import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from otel_llmcost import configure
from otel_llmcost.ownership import attributed
from tests.propagation.conftest import Provider, provider  # noqa: F401  # a fixture


@pytest.mark.parametrize(("host", "arrives"), [("drafts.internal", True), ("api.fake-provider.example", False)])
def test_an_owner_reaches_our_services_in_every_trace(provider: Provider, tmp_path, host, arrives):  # noqa: F811
    """
    With a ratio of 0, requests' instrumentation still lets the owner reach an internal host, and no other.
    """
    tracing = TracerProvider(sampler=ParentBasedTraceIdRatio(0.0), shutdown_on_exit=False)
    configure(f"chdb://{tmp_path}/ledger", tracer_provider=tracing)
    RequestsInstrumentor().instrument(tracer_provider=tracing)
    try:
        with attributed(team="support"), tracing.get_tracer("app").start_as_current_span("GET /"):
            requests.get(provider.url(host), timeout=5)
    finally:
        RequestsInstrumentor().uninstrument()
        tracing.shutdown()
    headers = provider.last()

    assert int(headers["traceparent"][-2:], 16) & 1 == 0  # not sampled
    assert ("llmcost.team=support" in headers.get("baggage", "")) is arrives
