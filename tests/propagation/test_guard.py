"""The guard itself: what leaves, what enters, and that it adds no error of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import propagate, trace
from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import get_current
from opentelemetry.context.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_llmcost import fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import SettingsError
from otel_llmcost.ownership import OwnerReader, attributed
from otel_llmcost.propagation import OwnerGuard, guard_propagation
from otel_llmcost.settings import Settings

SETTINGS = Settings(baggage_keys={"tenant.id": "customer_id"}, internal_hosts=("api.example.com", ".example.net"))
TRUSTING = Settings(baggage_keys={"tenant.id": "customer_id"}, trust_inbound=True)


def default() -> TextMapPropagator:
    """Give what OpenTelemetry installs when nobody says otherwise."""
    return CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


def sent(attributes: dict[str, Any], carrier: Any = None, *, kind: SpanKind = SpanKind.CLIENT) -> Any:
    """Give the headers of a request inside a span with these attributes, owned and with other baggage."""
    headers = {} if carrier is None else carrier
    span = TracerProvider().get_tracer("test").start_span("GET", kind=kind, attributes=attributes)
    context = trace.set_span_in_context(span)
    for key, value in {"llmcost.team": "support", "tenant.id": "acme", "locale": "en"}.items():
        context = set_baggage(key, value, context)
    OwnerGuard(default(), SETTINGS).inject(headers, context)
    return headers


@pytest.mark.parametrize(
    "attributes",
    [
        {"server.address": "orders"},
        {"server.address": "127.0.0.1", "server.port": 8080, "url.full": "http://127.0.0.1:8080/x"},
        {"http.url": "http://orders.internal/x?y=http://evil.com/"},
        {"net.peer.name": "10.1.2.3"},
        {"url.full": "https://[fd00::1]:8443/"},
        {"url.full": "http://user:password@10.0.0.1/"},
        {"url.full": "https://API.EXAMPLE.COM/v1"},
        {"server.address": "a.example.net"},
    ],
    ids=str,
)
def test_internal_hosts_receive_owners(attributes: dict[str, Any]):
    """
    A request to an internal or listed host carries owners, trace and other baggage.
    """
    headers = sent(attributes)

    assert headers["baggage"] == "llmcost.team=support,tenant.id=acme,locale=en"
    assert "traceparent" in headers


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"server.address": "api.openai.com"},
        {"http.url": "https://api.openai.com/v1"},
        {"url.full": "http://127.0.0.1@evil.com/"},
        {"url.full": "http://127.0.0.1:80@evil.com/"},
        {"url.full": "http://a@evil.com@127.0.0.1/"},
        {"url.full": "http://evil.com\\@127.0.0.1/"},
        {"url.full": "http://127.0.0.1\\.evil.com/"},
        {"url.full": "http://evil.com#@127.0.0.1/"},
        {"url.full": "http://2130706433/"},
        {"url.full": "http://[::1/"},
        {"url.full": "http://localhost:port/"},
        {"url.full": "localhost/x"},
        {"url.full": "/x"},
        {"url.full": "http:///x"},
        {"server.address": "localhost", "url.full": "https://api.openai.com/v1"},
        {"server.address": "api.openai.com", "url.full": "http://localhost/"},
        {"server.address": ""},
        {"server.address": 1},
        {"server.address": True},
        {"server.address": ["localhost"]},
        {"url.full": 1},
        {"url.full": ""},
    ],
    ids=str,
)
def test_every_other_host_receives_none(attributes: dict[str, Any]):
    """
    An external, unknown, contradictory or odd host receives trace and other baggage, and no owner; this is counted.
    """
    headers = sent(attributes)

    assert headers["baggage"] == "locale=en"
    assert "traceparent" in headers
    assert COUNTERS["owner.withheld"] == 1


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER])
def test_only_a_client_span_names_the_other_side(kind: SpanKind):
    """
    The address on a span that is no client's is not where the request goes.
    """
    assert sent({"server.address": "localhost"}, kind=kind)["baggage"] == "locale=en"


@pytest.mark.parametrize(
    ("host", "owned"),
    [
        ("localhost:8080", True),
        ("[::1]:80", True),
        ("orders", True),
        ("api.openai.com", False),
        ("localhost@evil.com", False),
        ("evil.com\\@localhost", False),
        ("", False),
        (b"localhost", False),
        (["localhost"], False),
        (None, False),
    ],
    ids=str,
)
def test_the_host_header_serves_where_no_span_does(host: Any, owned: bool):
    """
    Without a recording client span, the carrier's own host decides.
    """
    headers = sent({}, {"Host": host}, kind=SpanKind.INTERNAL)

    assert ("llmcost" in headers["baggage"]) is owned


def test_span_and_host_header_must_agree():
    """
    Where span and host header differ, both must be internal.
    """
    assert "llmcost" not in sent({"server.address": "localhost"}, {"host": "api.openai.com"})["baggage"]
    assert "llmcost" not in sent({"server.address": "api.openai.com"}, {"host": "localhost"})["baggage"]
    assert "llmcost" in sent({"server.address": "localhost"}, {"host": "orders:80"})["baggage"]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("llmcost.team=a,other=b;p=1, tenant.id=c", "other=b;p=1"),
        ("llmcost%2Eteam=a,other=b", "other=b"),
        (" llmcost.team =a", None),
        ("other=b", "other=b"),
        ("", ""),
    ],
)
def test_headers_that_are_there_already_are_cleaned(written: str, left: str | None):
    """
    Owners that a redirect or a forwarding application copied into the headers do not leave either.
    """
    carrier: dict[str, str] = {"Baggage": written}
    span = TracerProvider().get_tracer("test").start_span("GET", kind=SpanKind.CLIENT)
    guard = OwnerGuard(default(), SETTINGS)

    guard.inject(carrier, trace.set_span_in_context(span, Context()))

    assert carrier.get("Baggage") == left


def test_no_guard_outwards_when_switched_off():
    """
    With `guard_propagation` off, owners leave to any host.
    """
    headers: dict[str, str] = {}
    guard = OwnerGuard(default(), Settings(guard_propagation=False))
    guard.inject(headers, set_baggage("llmcost.team", "a", Context()))

    assert headers["baggage"] == "llmcost.team=a"


def test_the_current_context_is_used_when_none_is_given():
    """
    `inject(carrier)` judges and sends the current context.
    """
    headers: dict[str, str] = {}
    with attributed(team="a"):
        OwnerGuard(default(), SETTINGS).inject(headers)

    assert headers == {}


def test_the_guard_is_put_up_once():
    """
    Guarding again replaces the guard, so that new settings count, and never nests it.
    """
    before = propagate.get_global_textmap()
    guard_propagation(SETTINGS)
    guard_propagation(TRUSTING)
    guard = propagate.get_global_textmap()

    assert isinstance(guard, OwnerGuard)
    assert guard.wrapped is before
    assert guard.fields == before.fields == {"traceparent", "tracestate", "baggage"}


def test_a_single_propagator_is_guarded_too():
    """
    The guard wraps whatever is installed, a bare baggage propagator for instance.
    """
    propagate.set_global_textmap(W3CBaggagePropagator())
    guard_propagation(SETTINGS)
    headers: dict[str, str] = {}
    propagate.inject(headers, set_baggage("llmcost.team", "a", Context()))

    assert headers == {}
    assert get_all(propagate.extract({"baggage": "llmcost.team=a,x=y"}, Context())) == {"x": "y"}


def test_no_propagator_at_all():
    """
    With propagation switched off (OTEL_PROPAGATORS=none) the guard changes nothing.
    """
    guard = OwnerGuard(CompositePropagator([]), SETTINGS)
    context = Context()

    guard.inject({})
    assert guard.extract({}, context) is context
    assert guard.extract({}) is None


def test_hosts_are_checked_when_the_guard_is_put_up():
    """
    A host that could never match is an error at start, and leaves the propagator as it was.
    """
    before = propagate.get_global_textmap()
    with pytest.raises(SettingsError):
        guard_propagation(Settings(internal_hosts=("https://example.com",)))
    assert before is propagate.get_global_textmap()


INBOUND = {"baggage": "llmcost.team=theirs,tenant.id=evil,locale=en,llmcost.attempt=retry"}


def test_strangers_are_not_believed():
    """
    By default owners from the network do not count: ours are taken out, an organisation's own keys stay readable for
    the application but are nobody's owner.
    """
    context = OwnerGuard(default(), SETTINGS).extract(INBOUND, Context())
    reader = OwnerReader(SETTINGS)

    assert get_all(context) == {"tenant.id": "evil", "locale": "en"}
    assert reader.read(context, {}).source == ""
    assert reader.declared_attempt(context) is None
    assert COUNTERS["owner.inbound_ignored"] == 3
    assert reader.read(set_baggage("tenant.id", "acme", context), {}).customer_id == "acme"


def test_a_forged_owner_cannot_pass_through_a_second_extraction():
    """
    What was marked as a stranger's stays so when another message is read while it is current.
    """
    guard, reader = OwnerGuard(default(), SETTINGS), OwnerReader(SETTINGS)
    first = guard.extract({"baggage": "tenant.id=evil"}, Context())
    second = guard.extract({"baggage": "tenant.id=worse"}, first)

    assert get_all(second) == {"tenant.id": "worse"}
    for context in (first, second, guard.extract({"baggage": "x=y"}, first)):
        assert reader.read(context, {}).customer_id is None


def test_trusted_callers_are_believed():
    """
    With `trust_inbound`, owners and attempts from callers count.
    """
    context = OwnerGuard(default(), TRUSTING).extract(INBOUND, Context())
    reader = OwnerReader(TRUSTING)
    owner = reader.read(context, {})

    assert (owner.team, owner.customer_id, reader.declared_attempt(context)) == ("theirs", "evil", "retry")
    assert COUNTERS["owner.inbound_ignored"] == 0


@pytest.mark.parametrize("settings", [SETTINGS, TRUSTING], ids=["untrusted", "trusted"])
def test_the_process_wins_over_its_callers(settings: Settings):
    """
    Owners that the given context holds already stay, whoever calls.
    """
    with attributed(team="ours"):
        context = OwnerGuard(default(), settings).extract(INBOUND, get_current())

    assert OwnerReader(settings).read(context, {}).team == "ours"


@pytest.mark.parametrize(
    ("header", "team"),
    [
        ("llmcost.team=a;source=edge", "a"),
        ("llmcost.team=a%3Bb", "a;b"),
        ("llmcost.team=a%3Bb;p=1", "a;b"),
        ("llmcost.team=a+b;p=1;q", "a b"),
        ("x=1;llmcost.team=no,llmcost.team=yes", "yes"),
        ("llmcost.team=growth+%26+co%2C+inc", "growth & co, inc"),
    ],
)
def test_properties_are_no_part_of_a_value(header: str, team: str):
    """
    W3C properties behind a value are cut off; a semicolon of the value itself survives.
    """
    context = OwnerGuard(default(), TRUSTING).extract({"baggage": header}, Context())

    assert OwnerReader(TRUSTING).read(context, {}).team == team


@given(st.text(st.characters(categories=None), max_size=200))
def test_owners_survive_the_way_to_a_trusting_service(text: str):
    """
    What one service says about an owner is exactly what the next one reads.
    """
    here, there = OwnerReader(SETTINGS), OwnerReader(TRUSTING)
    with attributed(team=text, customer_id="c"):
        headers = {"host": "orders"}
        OwnerGuard(default(), SETTINGS).inject(headers)
        said = here.read(None, {})

    assert there.read(OwnerGuard(default(), TRUSTING).extract(headers, Context()), {}) == said


CARRIERS = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.lists(st.tuples(st.text(), st.text())),
    st.dictionaries(
        st.one_of(st.sampled_from(["host", "Host", "baggage", "BAGGAGE"]), st.text(), st.binary(), st.integers()),
        st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.lists(st.text(), max_size=2)),
    ),
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["server.address", "net.peer.name", "url.full", "http.url"]),
    st.one_of(st.text(), st.text().map("http://{}".format), st.integers(), st.booleans(), st.lists(st.text())),
)


class Silent(TextMapPropagator):
    """Neither writes nor raises: what goes wrong around it is the guard's own fault."""

    fields: set[str] = set()  # type: ignore[assignment]  # noqa: RUF012

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        """Write nothing."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        """Read what the test says was there."""
        entries = {"llmcost.team": "a;b", "tenant.id": b"x", 7: object(), "llmcost.x": None}
        context = Context() if context is None else context
        for key, value in entries.items():
            context = set_baggage(key, value, context)  # type: ignore[arg-type]
        return context


@given(carrier=CARRIERS, attributes=ATTRIBUTES, settings=st.sampled_from([SETTINGS, TRUSTING]))
def test_hostile_carriers_and_spans_never_raise(carrier: Any, attributes: Any, settings: Settings):
    """
    Whatever the carrier and the span hold, the guard itself raises nothing, even without its fence.
    """
    guard = OwnerGuard(Silent(), settings)
    span = TracerProvider().get_tracer("test").start_span("GET", kind=SpanKind.CLIENT)
    span._attributes = attributes  # type: ignore[attr-defined]
    context = set_baggage("llmcost.team", "a", trace.set_span_in_context(span, Context()))

    guard.inject(carrier, context)
    if isinstance(carrier, dict) or not settings.trust_inbound:
        guard.extract(carrier, Context())


def test_where_the_guard_fails_nothing_goes_through(monkeypatch: pytest.MonkeyPatch):
    """
    An error inside the guard reaches nobody, is counted, and lets no baggage out or in.
    """

    class Hostile(dict[str, str]):
        def __iter__(self) -> Any:
            raise RuntimeError("hostile carrier")

    monkeypatch.setattr(fence, "RERAISE", False)
    guard = OwnerGuard(W3CBaggagePropagator(), TRUSTING)
    out = Hostile()
    guard.inject(out, set_baggage("llmcost.team", "a", Context()))

    class Broken(OwnerGuard):
        def _is_owner(self, key: object) -> bool:
            raise RuntimeError("broken")

    context = Broken(W3CBaggagePropagator(), TRUSTING).extract({"baggage": "llmcost.team=a"}, Context())

    assert out.get("baggage") is None
    assert get_all(context) == {}
    assert (COUNTERS["fence.inject"], COUNTERS["fence.extract"]) == (1, 1)
