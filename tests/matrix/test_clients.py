"""The guard behind further HTTP instrumentations; `make test-matrix MATRIX=instrumentations` has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_llmcost.counters import COUNTERS
from otel_llmcost.ownership import attributed
from otel_llmcost.propagation import guard_propagation
from otel_llmcost.settings import Settings
from tests.propagation.conftest import Provider, own_propagation, provider, tracing  # noqa: F401  # fixtures

REASON = "installed by `make test-matrix MATRIX=instrumentations`: it pins an older OpenTelemetry than the other tests"
aiohttp = pytest.importorskip("aiohttp", reason=REASON)
urllib3 = pytest.importorskip("urllib3", reason=REASON)
aiohttp_client = pytest.importorskip("opentelemetry.instrumentation.aiohttp_client", reason=REASON)
urllib3_client = pytest.importorskip("opentelemetry.instrumentation.urllib3", reason=REASON)
_semconv = pytest.importorskip("opentelemetry.instrumentation._semconv")

PUBLIC = "api.fake-provider.example"


def call_aiohttp(url: str) -> None:
    """Ask with aiohttp."""

    async def call() -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            await answer.read()

    asyncio.run(call())


def call_urllib3(url: str) -> None:
    """Ask with urllib3."""
    with urllib3.PoolManager() as pool:
        pool.request("GET", url, retries=urllib3.Retry(3))


CALLS = pytest.mark.parametrize("call", [call_aiohttp, call_urllib3])


@pytest.fixture(name="instrument")
def _instrument(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[TracerProvider, str], None]]:
    with ExitStack() as stack:

        def instrument(tracing: TracerProvider, names: str) -> None:
            monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", names)
            monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)
            for each in (aiohttp_client.AioHttpClientInstrumentor(), urllib3_client.URLLib3Instrumentor()):
                each.instrument(tracer_provider=tracing)
                stack.callback(each.uninstrument)

        guard_propagation(Settings(baggage_keys={"tenant.id": "customer_id"}))
        yield instrument


def owned(call: Callable[[str], None], url: str) -> None:
    """Call as a team does, for a customer."""
    attach(set_baggage("tenant.id", "acme", set_baggage("locale", "en")))
    with attributed(team="support", customer_id="acme"):
        call(url)


@CALLS
@pytest.mark.parametrize("names", ["", "http"], ids=["old names", "stable names"])
def test_a_provider_sees_no_owner(provider: Provider, tracing, instrument, call, names):  # noqa: F811
    """
    A provider receives trace and other baggage, and no owner.
    """
    instrument(tracing, names)
    owned(call, provider.url(PUBLIC))

    assert provider.last()["baggage"] == "locale=en"
    assert "traceparent" in provider.last()
    assert COUNTERS["owner.withheld"] >= 1


@CALLS
@pytest.mark.parametrize("names", ["", "http"], ids=["old names", "stable names"])
def test_an_internal_host_receives_the_owner(provider: Provider, tracing, instrument, call, names):  # noqa: F811
    """
    A service of ours receives the owner, from each client that names its host before it asks the propagator.
    """
    instrument(tracing, names)
    owned(call, provider.url("gateway.internal"))

    assert {"llmcost.team=support", "llmcost.customer_id=acme", "locale=en"} <= set(
        provider.last()["baggage"].split(",")
    )


@CALLS
def test_unsampled_requests_are_guarded_too(provider: Provider, instrument, call):  # noqa: F811
    """
    Where no span names the host, it fails closed: no owner goes to a provider.
    """
    instrument(TracerProvider(sampler=ALWAYS_OFF), "http")
    owned(call, provider.url(PUBLIC))

    assert "llmcost" not in f"{provider.last()}"


@pytest.mark.parametrize(("call", "left"), [(call_urllib3, "locale=en"), (call_aiohttp, "llmcost.team=support")])
def test_a_redirect_outwards(provider: Provider, tracing, instrument, call, left):  # noqa: F811
    """
    urllib3 asks the propagator again, and nothing leaves. A limit, as with requests: aiohttp follows with the headers of
    the first request, so an internal host that redirects to a stranger hands the owner on.
    """
    instrument(tracing, "http")
    owned(call, f"{provider.url('gateway.internal')}/to/{PUBLIC}")
    _, outside = provider.received

    assert outside["host"].startswith(PUBLIC)
    assert left in outside["baggage"].split(",")
    assert ("llmcost" in outside["baggage"]) is ("llmcost" in left)
