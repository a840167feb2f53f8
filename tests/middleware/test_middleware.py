"""The owner of an incoming request: resolved, trusted or refused, for its whole length and no longer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from wsgiref.util import FileWrapper, setup_testing_defaults

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.baggage import get_all
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import Settings, attributed, fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.middleware import ASGIOwnerMiddleware, WSGIOwnerMiddleware
from otel_llmcost.ownership import OwnerReader

TRUSTING = Settings(trust_inbound=True)
UNTRUSTING = Settings()


def owner() -> dict[str, str]:
    """Give the owner that a span which starts here has."""
    read = OwnerReader(TRUSTING).read(None, {})
    return {name: value for name in ("team", "feature", "customer_id") if (value := getattr(read, name))}


async def asgi_app(scope, receive, send) -> None:
    """Answer with the owner as it is before, between and after the parts of a streamed answer."""
    if scope["type"] == "lifespan":
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for more in (True, True, False):
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": f"{sorted(owner().items())}\n".encode(), "more_body": more})


def wsgi_app(environ, start_response):
    """Answer likewise: an iterator's parts are made while they are sent."""
    start_response("200 OK", [])

    def parts():
        for _ in range(3):
            yield f"{sorted(owner().items())}\n".encode()

    return parts()


def ask_asgi(resolver, settings: Settings, headers: Mapping[str, str]) -> list[str]:
    """Send one request to the ASGI application; give the owners that it saw."""
    app = ASGIOwnerMiddleware(asgi_app, resolver, settings=settings)

    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            text = (await client.get("/", headers=headers)).text
            assert owner() == {}
            return text

    return asyncio.run(ask()).splitlines()


def ask_wsgi(resolver, settings: Settings, headers: Mapping[str, str]) -> list[str]:
    """Send one request to the WSGI application; give the owners that it saw."""
    app = WSGIOwnerMiddleware(wsgi_app, resolver, settings=settings)
    transport = httpx.WSGITransport(app)
    with httpx.Client(transport=transport, base_url="http://service") as client:
        text = client.get("/", headers=headers).text
    assert owner() == {}
    return text.splitlines()


@pytest.fixture(name="ask", params=[ask_asgi, ask_wsgi], ids=["ASGI", "WSGI"])
def _ask(request):
    return request.param


def by_header(request) -> dict[str, str | None]:
    """Resolve as an application may: by a header of its own, from scope and environ alike."""
    headers = {name.decode(): value.decode() for name, value in request.get("headers", ())}
    return {"team": "support", "customer_id": headers.get("x-tenant") or request.get("HTTP_X_TENANT")}


def test_the_resolvers_owner_holds_for_the_whole_answer(ask):
    """
    Every part of a streamed answer is made inside the owner, and nothing of it is left afterwards.
    """
    seen = ask(by_header, UNTRUSTING, {"x-tenant": "acme"})

    assert seen == ["[('customer_id', 'acme'), ('team', 'support')]"] * 3


def test_an_attribution_is_an_answer_too(ask):
    """
    A resolver may give an `attributed(...)` that it has at hand.
    """
    known = attributed(team="search")

    assert ask(lambda _request: known, UNTRUSTING, {}) == ["[('team', 'search')]"] * 3


@pytest.mark.parametrize(
    "resolver", [None, lambda _request: None, lambda _request: {}], ids=["no resolver", "None", "empty"]
)
def test_without_an_answer_nobody_owns_the_request(ask, resolver):
    """
    No resolver, None and an empty mapping: the request runs, and nobody owns it.
    """
    assert ask(resolver, UNTRUSTING, {}) == ["[]"] * 3


def test_strangers_are_not_believed_and_counted(ask):
    """
    Owners in the baggage of a request count for nothing by default, and are counted.
    """
    seen = ask(lambda _request: {"team": "support"}, UNTRUSTING, {"baggage": "llmcost.customer_id=forged,locale=en"})

    assert seen == ["[('team', 'support')]"] * 3
    assert COUNTERS["owner.inbound_ignored"] == 1


def test_trusted_callers_are_believed_and_the_resolver_wins(ask):
    """
    With `trust_inbound` the caller's owner holds, but for what the resolver knows better.
    """
    seen = ask(
        lambda _request: {"team": "support"},
        TRUSTING,
        {"baggage": "llmcost.team=theirs,llmcost.customer_id=acme"},
    )

    assert seen == ["[('customer_id', 'acme'), ('team', 'support')]"] * 3


def test_what_a_server_instrumentation_has_read_is_not_read_again(ask):
    """
    Inside a span, somebody has read the headers before: their baggage stays as the guard left it.
    """
    with TracerProvider(shutdown_on_exit=False).get_tracer("server").start_as_current_span("GET /"):
        seen = ask(None, TRUSTING, {"baggage": "llmcost.team=again"})

    assert seen == ["[]"] * 3


@pytest.mark.parametrize(
    "resolver",
    [
        lambda request: {"team": request["no such key"]},
        lambda _request: {"team": 1.5},
        lambda _request: {"Bad Name": "x"},
        lambda _request: 7,
    ],
    ids=["raises", "wrong type", "wrong name", "no mapping"],
)
def test_a_resolver_that_fails_fails_no_request(ask, resolver, monkeypatch, caplog):
    """
    The request is answered without an owner; the failure is counted.
    """
    monkeypatch.setattr(fence, "RERAISE", False)

    assert ask(resolver, UNTRUSTING, {}) == ["[]"] * 3
    assert COUNTERS["fence.resolver"] == 1


def test_concurrent_requests_do_not_mix():
    """
    Requests that are answered at the same time each have their own owner, part by part.
    """
    app = ASGIOwnerMiddleware(asgi_app, by_header, settings=UNTRUSTING)

    async def ask_many() -> list[str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            answers = await asyncio.gather(*(client.get("/", headers={"x-tenant": f"c{n}"}) for n in range(50)))
        return [answer.text for answer in answers]

    assert asyncio.run(ask_many()) == [f"[('customer_id', 'c{n}'), ('team', 'support')]\n" * 3 for n in range(50)]


def test_an_application_that_fails_fails_as_before():
    """
    The application's exception passes unchanged, and no owner is left behind.
    """

    async def failing(_scope, _receive, _send) -> None:
        raise KeyError("the application's own")

    def failing_too(_environ, _start_response):
        raise KeyError("the application's own")

    asgi = ASGIOwnerMiddleware(failing, lambda _scope: {"team": "a"}, settings=UNTRUSTING)
    wsgi = WSGIOwnerMiddleware(failing_too, lambda _environ: {"team": "a"}, settings=UNTRUSTING)
    with pytest.raises(KeyError, match="the application's own"):
        asyncio.run(asgi({"type": "http"}, None, None))
    with pytest.raises(KeyError, match="the application's own"):
        wsgi({}, None)

    assert get_all() == {}


def test_other_events_pass_untouched():
    """
    A server's start and stop (`lifespan`) reach the application, and no resolver.
    """
    app = ASGIOwnerMiddleware(asgi_app, lambda _scope: 1 / 0, settings=UNTRUSTING)

    assert asyncio.run(app({"type": "lifespan"}, None, None)) is None


class Closing:
    """An answer that must be closed, as PEP 3333 says."""

    def __init__(self) -> None:
        self.closed_by: dict[str, str] = {}

    def __iter__(self):
        return iter([b"x"])

    def close(self) -> None:
        """Remember whose it was."""
        self.closed_by = owner()


def test_an_answer_is_sent_and_closed_inside_its_owner_in_any_thread():
    """
    A server may iterate and close the answer in another thread than it called the application in.
    """
    body = Closing()
    app = WSGIOwnerMiddleware(lambda _environ, _start: body, lambda _environ: {"team": "a"}, settings=UNTRUSTING)
    answer = app({}, None)
    thread = threading.Thread(target=lambda: (list(answer), answer.close()))
    thread.start()
    thread.join()

    assert body.closed_by == {"team": "a"}


def test_servers_keep_their_faster_ways(tmp_path):
    """
    A list, and a server's own file wrapper, are handed through as they are.
    """
    environ: dict = {}
    setup_testing_defaults(environ)
    environ["wsgi.file_wrapper"] = FileWrapper
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as file:
        for body in ([b"x"], (b"x",), FileWrapper(file)):
            assert WSGIOwnerMiddleware(lambda *_: body, settings=UNTRUSTING)(environ, None) is body  # noqa: B023


@given(header=st.binary(max_size=200))
def test_any_header_is_survived(header):
    """
    Whatever a stranger writes as baggage, the request is answered and has no owner.
    """
    seen = []

    async def app(_scope, _receive, _send) -> None:
        seen.append(owner())

    asgi = ASGIOwnerMiddleware(app, settings=UNTRUSTING)
    asyncio.run(asgi({"type": "http", "headers": [(b"baggage", header), (b"Baggage", header)]}, None, None))
    wsgi = WSGIOwnerMiddleware(lambda *_: seen.append(owner()) or [], settings=UNTRUSTING)
    wsgi({"HTTP_BAGGAGE": header.decode("latin-1")}, None)

    assert seen == [{}, {}]
