"""Real clients, real instrumentation, a provider that goes by a public name: what it gets to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from threading import Thread
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
import requests
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_llmcost.counters import COUNTERS
from otel_llmcost.ownership import attributed
from otel_llmcost.propagation import OwnerGuard, guard_propagation
from otel_llmcost.settings import Settings
from tests.propagation.conftest import Provider

PUBLIC = "api.fake-provider.example"
SETTINGS = Settings(baggage_keys={"tenant.id": "customer_id"}, internal_hosts=("gateway.example.com",))
MESSAGES: Any = [{"role": "user", "content": "hi"}]


def call_openai(url: str) -> None:
    """Complete a chat."""
    with openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client:
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)


def call_openai_async(url: str) -> None:
    """Complete a chat, asynchronously."""

    async def call() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            await client.chat.completions.create(model="gpt-5", messages=MESSAGES)

    asyncio.run(call())


def call_openai_in_a_thread(url: str) -> None:
    """Complete a chat in a thread that was given the context."""
    thread = Thread(target=copy_context().run, args=(call_openai, url))
    thread.start()
    thread.join()


def call_anthropic(url: str) -> None:
    """Create a message."""
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        client.messages.create(model="claude-1000", max_tokens=1, messages=MESSAGES)


def call_httpx(url: str) -> None:
    """Ask with httpx."""
    httpx.get(url)


def call_httpx2(url: str) -> None:
    """Ask with httpx2."""
    httpx2.get(url)


def call_requests(url: str) -> None:
    """Ask with requests."""
    requests.get(url, timeout=5)


CALLS = [
    call_openai,
    call_openai_async,
    call_openai_in_a_thread,
    call_anthropic,
    call_httpx,
    call_httpx2,
    call_requests,
]


@pytest.fixture(params=["", "http"], ids=["old names", "stable names"])
def instrumented(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tracing: TracerProvider
) -> Iterator[None]:
    """
    Instrument the HTTP clients, with the old and the stable names of HTTP attributes.
    """
    yield from instrument(request.param, monkeypatch, tracing)


def instrument(names: str, monkeypatch: pytest.MonkeyPatch, tracing: TracerProvider) -> Iterator[None]:
    """Instrument the HTTP clients until the generator ends; `names` is OTEL_SEMCONV_STABILITY_OPT_IN."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", names)
    # The choice is read once per process.
    monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)
    with ExitStack() as stack:
        for instrumentor in (HTTPX2ClientInstrumentor(), HTTPXClientInstrumentor(), RequestsInstrumentor()):
            instrumentor.instrument(tracer_provider=tracing)
            stack.callback(instrumentor.uninstrument)
        yield


@pytest.fixture
def guarded() -> None:
    """
    Put the guard round OpenTelemetry's default.
    """
    guard_propagation(SETTINGS)
    assert isinstance(get_global_textmap(), OwnerGuard)


def owned(call: Callable[[str], None], url: str) -> None:
    """Call as a team does, for a customer, with an organisation's own baggage."""
    attach(set_baggage("tenant.id", "acme-own-key", set_baggage("locale", "en")))
    with attributed(team="support", customer_id="acme"):
        call(url)


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("call", CALLS)
def test_without_the_guard_the_provider_sees_the_customer(provider: Provider, call: Callable[[str], None]):
    """
    OpenTelemetry's default sends owners to the provider: the leak that the guard is for.
    """
    owned(call, provider.url(PUBLIC))

    assert "llmcost.customer_id=acme" in provider.last()["baggage"]


@pytest.mark.usefixtures("instrumented", "guarded")
@pytest.mark.parametrize("call", CALLS)
def test_a_provider_sees_no_owner(provider: Provider, call: Callable[[str], None]):
    """
    With the guard a provider receives trace and other baggage, and no owner anywhere in its headers.
    """
    owned(call, provider.url(PUBLIC))

    headers = provider.last()
    assert headers["host"].startswith(PUBLIC)
    assert headers["baggage"] == "locale=en"
    assert "traceparent" in headers
    assert not any(word in f"{headers}" for word in ("llmcost", "support", "acme"))
    # The Anthropic client asks the propagator itself too, whoever instruments HTTP.
    assert COUNTERS["owner.withheld"] >= 1


@pytest.mark.usefixtures("instrumented", "guarded")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "gateway", "llm.internal", "gateway.example.com"])
@pytest.mark.parametrize("call", CALLS)
def test_an_internal_host_receives_the_owner(provider: Provider, call: Callable[[str], None], host: str):
    """
    An internal or listed host, a gateway for instance, receives the owner.
    """
    owned(call, provider.url(host))

    baggage = set(provider.last()["baggage"].split(","))
    assert {"locale=en", "tenant.id=acme-own-key", "llmcost.team=support", "llmcost.customer_id=acme"} == baggage


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("call", CALLS)
def test_unsampled_requests_are_guarded_too(
    provider: Provider, call: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    """
    A request whose span is not recorded, so that it names no host, takes no owner to a provider.
    """
    for _ in instrument("", monkeypatch, TracerProvider(sampler=ALWAYS_OFF)):
        owned(call, provider.url(PUBLIC))

    assert "llmcost" not in f"{provider.last()}"


@pytest.mark.parametrize(("host", "guard"), [(PUBLIC, True), (PUBLIC, False), ("gateway", True)])
def test_a_client_that_propagates_itself_is_guarded(
    provider: Provider, tracing: TracerProvider, host: str, guard: bool
):
    """
    The Anthropic client writes baggage into its headers without any instrumentation of HTTP: it is judged like others.
    """

    def call(url: str) -> None:
        options: Any = {"tracer_provider": tracing}
        with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, open_telemetry=options) as client:
            client.messages.create(model="claude-1000", max_tokens=1, messages=MESSAGES)

    if guard:
        guard_propagation(SETTINGS)
    owned(call, provider.url(host))

    headers = provider.last()
    assert "traceparent" in headers
    assert "locale=en" in headers["baggage"]
    assert ("llmcost.customer_id=acme" in headers["baggage"]) is (host == "gateway" or not guard)


@pytest.mark.usefixtures("instrumented", "guarded")
@pytest.mark.parametrize("client", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_redirect_takes_no_owner_outside(provider: Provider, client: Any):
    """
    An internal host that redirects to a provider does not pass the owner on.
    """

    def call(url: str) -> None:
        client.get(url, follow_redirects=True)

    owned(call, f"{provider.url('gateway')}/to/{PUBLIC}")

    inside, outside = provider.received
    assert "llmcost.team=support" in inside["baggage"]
    assert outside["host"].startswith(PUBLIC)
    assert outside["baggage"] == "locale=en"
