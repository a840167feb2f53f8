"""The hook, the instrumentor and `configure()`: one processor per provider, and off without harm."""

from __future__ import annotations

import gc
import logging
from importlib.metadata import entry_points

import pytest
from opentelemetry import trace
from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, auto, configure
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import SettingsError
from otel_llmcost.propagation import OwnerBaggagePropagator

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 2,
}


@pytest.fixture(name="provider")
def _provider(monkeypatch):
    """Make an SDK provider the global one."""
    gc.collect()  # exporters that earlier tests left behind
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(auto, "_reasons_said", set())
    yield provider
    provider.shutdown()


@pytest.fixture(name="dsn")
def _dsn(monkeypatch, tmp_path):
    """Say where the ledger is."""
    dsn = f"chdb://{tmp_path}/ledger"
    monkeypatch.setenv("OTEL_LLMCOST_DSN", dsn)
    return dsn


def ours(provider: TracerProvider) -> list[LLMCostSpanProcessor]:
    """Give our processors of a provider."""
    held = provider._active_span_processor._span_processors
    return [each for each in held if isinstance(each, LLMCostSpanProcessor)]


def hook():
    """Load the hook as `opentelemetry-instrument` does."""
    (entry,) = entry_points(group="opentelemetry_pre_instrument", name="llmcost")
    return entry.load()


def instrumentor():
    """Make an instrumentor by its entry point; a new one, where the class would give its only instance."""
    (entry,) = entry_points(group="opentelemetry_instrumentor", name="llmcost")
    pytest.importorskip("opentelemetry.instrumentation.instrumentor", reason="an extra: otel-llmcost[auto]")
    kind = entry.load()
    kind._instance = None
    return kind()


@pytest.mark.usefixtures("dsn")
def test_whoever_comes_first_adds_the_only_processor(provider):
    """
    The hook, the instrumentor and `configure()` in one process: one processor, which `configure()` gives back.
    """
    hook()()
    instrumentor().instrument(skip_dep_check=True)
    processor = configure(tracer_provider=provider)
    hook()()

    assert ours(provider) == [processor]


@pytest.mark.usefixtures("dsn")
def test_a_second_ledger_is_not_taken_silently(provider, tmp_path, caplog):
    """
    `configure(dsn)` on a provider that has a processor keeps that one's ledger, and says so.
    """
    hook()()
    processor = configure(f"chdb://{tmp_path}/other", tracer_provider=provider)

    assert ours(provider) == [processor]
    assert "configure() came second" in caplog.text
    assert not (tmp_path / "other").exists()


def test_off_without_a_dsn(provider, caplog):
    """
    Where nobody said where the ledger is, the hook adds nothing and says so once, at INFO.
    """
    with caplog.at_level(logging.INFO, "otel_llmcost"):
        hook()()
        instrumentor().instrument()

    assert ours(provider) == []
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "otel-llmcost stays off: OTEL_LLMCOST_DSN is not set; it says where the ledger is")
    ]


class LikeDatadogs(trace.TracerProvider):
    """A provider of the API alone, as ddtrace's is."""

    def get_tracer(self, *_arguments, **_options):
        """Give a tracer that does nothing."""
        return trace.NoOpTracer()


@pytest.mark.usefixtures("dsn")
@pytest.mark.parametrize("kind", [LikeDatadogs, trace.ProxyTracerProvider])
def test_off_without_a_provider_of_the_sdk(monkeypatch, caplog, kind, tmp_path):
    """
    With a provider that takes no span processors the hook stays off with one log line, and opens no journal.
    """
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: kind())
    monkeypatch.setattr(auto, "_reasons_said", set())
    with caplog.at_level(logging.INFO, "otel_llmcost"):
        hook()()
        hook()()

    (record,) = caplog.records
    assert record.message.startswith(f"otel-llmcost stays off: the tracer provider is {kind.__name__}")
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_LLMCOST_DSN": "postgres://x"}, "DSN"),
        ({"OTEL_LLMCOST_DSN": "chdb:///proc/nowhere/ledger"}, "/proc/nowhere"),
        ({"OTEL_LLMCOST_TRUST_INBOUND": "perhaps"}, "OTEL_LLMCOST_TRUST_INBOUND"),
        ({"OTEL_LLMCOST_RATE_CARDS": "/no/such"}, "OTEL_LLMCOST_RATE_CARDS"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis, llmcost"}, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
    ],
)
def test_what_keeps_it_off_is_said_in_one_line(provider, dsn, monkeypatch, caplog, variables, said):
    """
    A wrong setting, a ledger that cannot be, and both switches: nothing is added, nothing is raised, one line says why.
    """
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO, "otel_llmcost"):
        hook()()

    (record,) = caplog.records
    assert record.message.startswith("otel-llmcost stays off: ")
    assert said in record.message
    assert ours(provider) == []


def test_an_exporter_that_is_there_is_shared(provider, tmp_path):
    """
    Where a configuration made our exporter, the processor writes through it: one journal, one exporter.
    """
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    hook()()
    (processor,) = ours(provider)

    assert processor._exporter is exporter


def test_requests_that_the_sampler_drops_are_seen(dsn):
    """
    `configure()` makes the provider record GenAI spans, whatever its sampler exports.
    """
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    processor = configure(tracer_provider=provider)
    before = COUNTERS["requests.priced"]
    with provider.get_tracer("app").start_as_current_span("chat", attributes=CALL) as span:
        pass
    provider.shutdown()

    assert ours(provider) == [processor]
    assert COUNTERS["requests.priced"] == before + 1
    assert not span.get_span_context().trace_flags.sampled


def test_settings_by_name(provider, tmp_path):
    """
    The instrumentor takes every setting by its name, with lists where a configuration file has lists.
    """
    one = instrumentor()
    one.instrument(
        dsn=f"chdb://{tmp_path}/ledger",
        internal_hosts=["api.example.com"],
        journal_dir=str(tmp_path / "journal"),
        record_all=True,
        tracer_provider=provider,
    )
    (processor,) = ours(provider)
    settings = processor._settings

    assert (settings.internal_hosts, settings.record_all) == (("api.example.com",), True)
    assert settings.journal_dir == tmp_path / "journal"
    one.uninstrument(tracer_provider=provider)
    assert ours(provider) == []


def test_a_setting_that_is_none_is_refused(provider):
    """
    A misspelt option of a configuration file is named, with those that exist.
    """
    with pytest.raises(SettingsError, match="no setting 'dns': use one of baggage_keys"):
        instrumentor().instrument(dns="x", tracer_provider=provider)


@pytest.mark.usefixtures("dsn")
def test_old_sdks_get_ours_first(provider, monkeypatch):
    """
    Before 1.40 attributes written at the end reach later processors only, so ours is put before an exporter's.
    """
    seen = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    monkeypatch.setattr(auto, "_WRITES_AT_THE_END", False)
    hook()()
    with provider.get_tracer("app").start_as_current_span("chat", attributes=CALL):
        pass

    assert provider._active_span_processor._span_processors[0] is ours(provider)[0]
    assert "llmcost.cost_usd" in seen.get_finished_spans()[0].attributes


def test_the_propagator_by_name_judges_without_a_processor():
    """
    `llmcost_baggage` withholds owners from hosts that are not internal, takes none in, and lets other baggage through.
    """
    (entry,) = entry_points(group="opentelemetry_propagator", name="llmcost_baggage")
    propagator = entry.load()()
    owned = set_baggage("locale", "en", set_baggage("llmcost.team", "support", Context()))
    outside: dict[str, str] = {"host": "api.openai.com"}
    inside: dict[str, str] = {"host": "gateway.internal"}
    propagator.inject(outside, owned)
    propagator.inject(inside, owned)
    arrived = propagator.extract({"baggage": "llmcost.team=forged,locale=de"}, Context())

    assert outside["baggage"] == "locale=en"
    assert set(inside["baggage"].split(",")) == {"llmcost.team=support", "locale=en"}
    assert dict(get_all(arrived)) == {"locale": "de"}
    assert OwnerBaggagePropagator(internal_hosts=["api.openai.com"], trust_inbound=True).fields == {"baggage"}


def test_a_propagator_with_a_wrong_setting_lets_nothing_through(monkeypatch, caplog):
    """
    It is made while a module is imported, so a wrong setting raises nothing there: it fails closed.
    """
    monkeypatch.setenv("OTEL_LLMCOST_INTERNAL_HOSTS", "https://x/")
    propagator = OwnerBaggagePropagator()
    carrier: dict[str, str] = {"host": "localhost"}
    propagator.inject(carrier, set_baggage("tenant", "acme", Context()))

    assert "lets no baggage through: OTEL_LLMCOST_INTERNAL_HOSTS" in caplog.text
    assert carrier == {"host": "localhost"}
    assert get_all(propagator.extract({"baggage": "a=b"}, Context())) == {}
    assert propagator.fields == set()
