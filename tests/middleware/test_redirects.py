"""What happens to an owner when requests follows a redirect."""

from __future__ import annotations

import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from otel_llmcost.ownership import attributed
from otel_llmcost.propagation import guard_propagation
from otel_llmcost.settings import Settings
from tests.propagation.conftest import Provider, provider, tracing  # noqa: F401  # fixtures

PUBLIC = "api.fake-provider.example"


def ask(provider: Provider, tracing, **options: bool) -> list[dict[str, str]]:  # noqa: F811
    """Ask an internal host that redirects outwards; give the headers of each request."""
    guard_propagation(Settings())
    RequestsInstrumentor().instrument(tracer_provider=tracing)
    try:
        with attributed(team="support"):
            requests.get(f"{provider.url('gateway.internal')}/to/{PUBLIC}", timeout=5, **options)
    finally:
        RequestsInstrumentor().uninstrument()
    return provider.received


def test_requests_takes_the_headers_along(provider: Provider, tracing):  # noqa: F811
    """
    A limit: requests copies the first request's headers to wherever an internal host redirects, and asks nobody again.
    """
    _, outside = ask(provider, tracing)

    assert outside["host"].startswith(PUBLIC)
    assert outside["baggage"] == "llmcost.team=support"


def test_without_following_redirects_nothing_leaves(provider: Provider, tracing):  # noqa: F811
    """
    `allow_redirects=False` is the way round it, for internal hosts that may redirect outwards.
    """
    (inside,) = ask(provider, tracing, allow_redirects=False)

    assert inside["baggage"] == "llmcost.team=support"
