"""Our middleware inside OpenTelemetry's server instrumentations, which read the headers first."""

from __future__ import annotations

import asyncio
from wsgiref.util import setup_testing_defaults

import pytest
from opentelemetry.baggage import get_all
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost.counters import COUNTERS
from otel_llmcost.middleware import ASGIOwnerMiddleware, WSGIOwnerMiddleware
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.propagation import guard_propagation
from otel_llmcost.settings import Settings
from tests.propagation.conftest import own_propagation  # noqa: F401  # a fixture

REASON = "installed by `make test-matrix MATRIX=instrumentations`: it pins an older OpenTelemetry than the other tests"
asgi = pytest.importorskip("opentelemetry.instrumentation.asgi", reason=REASON)
wsgi = pytest.importorskip("opentelemetry.instrumentation.wsgi", reason=REASON)

BAGGAGE = "llmcost.team=theirs,llmcost.customer_id=acme,locale=en"


def ask_asgi(settings: Settings) -> list[tuple]:
    """Ask an instrumented ASGI application whose resolver knows the team; give the owner that it saw."""
    seen: list[tuple] = []

    async def app(_scope, _receive, _send) -> None:
        seen.append(owner(settings))

    ours = ASGIOwnerMiddleware(app, lambda _scope: {"team": "support"}, settings=settings)
    whole = asgi.OpenTelemetryMiddleware(ours, tracer_provider=TracerProvider(shutdown_on_exit=False))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"baggage", BAGGAGE.encode())]}
    asyncio.run(whole(scope, None, None))
    return seen


def ask_wsgi(settings: Settings) -> list[tuple]:
    """Ask an instrumented WSGI application likewise."""
    seen: list[tuple] = []

    def app(_environ, start_response):
        seen.append(owner(settings))
        start_response("200 OK", [])
        return []

    ours = WSGIOwnerMiddleware(app, lambda _environ: {"team": "support"}, settings=settings)
    whole = wsgi.OpenTelemetryMiddleware(ours, tracer_provider=TracerProvider(shutdown_on_exit=False))
    environ: dict = {"HTTP_BAGGAGE": BAGGAGE}
    setup_testing_defaults(environ)
    list(whole(environ, lambda *_arguments: None))
    return seen


def owner(settings: Settings) -> tuple:
    """Give the owner that a span which starts here has, and what other baggage there is."""
    read = OwnerReader(settings).read(None, {})
    return read.team, read.customer_id, get_all().get("locale")


@pytest.mark.parametrize("ask", [ask_asgi, ask_wsgi])
@pytest.mark.parametrize(("trusts", "customer", "ignored"), [(True, "acme", 0), (False, None, 2)])
def test_headers_are_judged_once(ask, trusts, customer, ignored):
    """
    A trusted caller's customer holds, a stranger's is dropped and counted once; our own resolver wins either way.
    """
    settings = Settings(trust_inbound=trusts)
    guard_propagation(settings)

    assert ask(settings) == [("support", customer, "en")]
    assert COUNTERS["owner.inbound_ignored"] == ignored
