"""Sampling loses no cost, and what is exported is what the wrapped sampler exports."""

from __future__ import annotations

import random
from importlib.metadata import entry_points

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.baggage import set_baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed, fence, sampling
from otel_llmcost.counters import COUNTERS
from otel_llmcost.dialects.start import START_NAMES, is_genai_at_start
from otel_llmcost.journal import waiting
from otel_llmcost.propagation import guard
from otel_llmcost.sampling import GenAIRatioSampler, GenAISampler, ratio_sampler, record_genai

START = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5.4-mini"}
USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2}


class Ids(IdGenerator):
    """The same ids in each run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def generate_span_id(self) -> int:
        """Give the next one."""
        return self._random.getrandbits(64) | 1

    def generate_trace_id(self) -> int:
        """Give the next one."""
        return self._random.getrandbits(128) | 1


class Seen(SpanProcessor):
    """Remembers the spans that it sees."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span) -> None:
        """Remember it."""
        self.spans.append(span)

    @property
    def names(self) -> list[str]:
        """Give their names."""
        return [span.name for span in self.spans]


def remote(sampled: bool) -> Context:
    """Give the context of a request from another service."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    state = TraceState([("vendor", "1")])
    return set_span_in_context(
        NonRecordingSpan(SpanContext(2**100, 2**60, is_remote=True, trace_flags=flags, trace_state=state))
    )


REMOTE = {None: None, True: remote(True), False: remote(False)}


def run(sampler: Sampler, shape: list[tuple[bool | None, list[bool]]], seed: int = 7) -> tuple[list, list[str], list]:
    """
    Start traces of nested spans, below another service's span where `shape` says so, GenAI where it says so; give what is exported, what a processor sees, and the
    contexts that a request to another service would carry.
    """
    exported, seen, carried = InMemorySpanExporter(), Seen(), []
    provider = TracerProvider(sampler=sampler, id_generator=Ids(seed), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    provider.add_span_processor(seen)
    tracer = provider.get_tracer("app")

    def nest(levels: list[bool], context: Context | None) -> None:
        if not levels:
            return
        name, attributes = ("chat", START) if levels[0] else ("work", {"a": 1})
        with tracer.start_as_current_span(name, context, attributes=attributes) as span:
            carried.append(span.get_span_context())
            nest(levels[1:], None)

    for parent, levels in shape:
        nest(levels, REMOTE[parent])
    spans = [
        (span.context, span.parent, span.name, dict(span.attributes), span.kind)
        for span in exported.get_finished_spans()
    ]
    return spans, seen.names, carried


ROOTS = {
    "parentbased ratio": ParentBasedTraceIdRatio(0.4),
    "ratio": TraceIdRatioBased(0.4),
    "off": ALWAYS_OFF,
    "on": ALWAYS_ON,
    "by parent only": ParentBased(ALWAYS_OFF),
}


TRACES = st.tuples(st.sampled_from([None, True, False]), st.lists(st.booleans(), min_size=1, max_size=5))


@pytest.mark.parametrize("root", ROOTS)
@given(shape=st.lists(TRACES, max_size=12), seed=st.integers(0, 1000))
def test_what_is_exported_is_unchanged(root, shape, seed):
    """
    For any traces: the same spans are exported with the same ids, parents and attributes, the same contexts travel on
    (trace id, span id, sampled flag, trace state), and every GenAI span is seen.
    """
    plain, _, plain_carried = run(ROOTS[root], shape, seed)
    spans, seen, carried = run(GenAISampler(ROOTS[root]), shape, seed)

    assert plain == spans
    assert plain_carried == carried
    assert seen.count("chat") == sum(level for _, levels in shape for level in levels)


def test_every_request_is_priced_while_a_tenth_is_exported(tmp_path):
    """
    With `parentbased_traceidratio` at 0.1: 1,000 requests are 1,000 rows with their owners; the traces exported are the
    tenth that the ratio chooses.
    """
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    exported = InMemorySpanExporter()
    provider = TracerProvider(sampler=GenAIRatioSampler(0.1), id_generator=Ids(1), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    tracer = provider.get_tracer("app")
    chosen = set()
    for number in range(1000):
        with attributed(customer_id=f"c{number}"), tracer.start_as_current_span("GET /"):
            context = get_current_span().get_span_context()
            if TraceIdRatioBased(0.1).should_sample(None, context.trace_id, "").decision.is_sampled():
                chosen.add(context.trace_id)
            with tracer.start_as_current_span("chat", attributes=START) as span:
                span.set_attributes(USAGE)
    exporter.force_flush()
    rows = []
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        if segment.table == "llm_requests":
            rows += [orjson.loads(line) for line in segment.payload().splitlines()]
        segment.release()
    exporter.shutdown()

    assert {f"c{number}" for number in range(1000)} == {row["customer_id"] for row in rows}
    assert {"priced"} == {row["price_status"] for row in rows}
    assert len(rows) == 1000
    assert chosen == {span.context.trace_id for span in exported.get_finished_spans()}
    assert 60 < len(chosen) < 140


def test_a_recorded_span_keeps_the_attributes_that_it_started_with():
    """
    What an instrumentation gave at the start is on the span that is recorded only, with the sampler's own beside it.
    """
    sampler = GenAISampler(Chatty())
    result = sampler.should_sample(None, 1, "chat", SpanKind.CLIENT, START)

    assert Decision.RECORD_ONLY is result.decision
    assert dict(result.attributes) == START | {"sampler": "chatty"}
    assert result.trace_state.get("vendor") == "1"
    assert result.decision.is_sampled() is False


class Chatty(Sampler):
    """Drops, and says something about it."""

    def should_sample(self, *_arguments, **_options) -> SamplingResult:
        """Drop."""
        return SamplingResult(Decision.DROP, {"sampler": "chatty"}, TraceState([("vendor", "1")]))

    def get_description(self) -> str:
        """Say who."""
        return "Chatty"


def test_tracers_of_known_scopes_are_recorded_whatever_their_spans_start_with():
    """
    An instrumentation that sets its attributes later is known by its scope once `record_genai` knows the provider.
    """
    seen = Seen()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(seen)
    record_genai(provider)
    record_genai(provider)
    for scope in ("openinference.instrumentation.openai", "app", "com.anthropic.sdk"):
        with provider.get_tracer(scope).start_as_current_span(f"span of {scope}"):
            pass
    with provider.get_tracer(instrumenting_module_name="openinference.instrumentation.openai").start_as_current_span(
        "b"
    ):
        pass
    with provider.get_tracer("app").start_as_current_span("chat", attributes=START):
        pass

    assert seen.names == ["span of openinference.instrumentation.openai", "span of com.anthropic.sdk", "b", "chat"]


def test_a_providers_own_genai_sampler_learns_the_scopes():
    """
    `record_genai` over a sampler of ours does not wrap twice.
    """
    provider = TracerProvider(sampler=GenAISampler(ALWAYS_OFF), shutdown_on_exit=False)
    record_genai(provider)
    sampler = provider.get_tracer("openinference.x").sampler

    assert (sampler.wrapped, sampler.scope) == (ALWAYS_OFF, "openinference.x")


def test_record_all_records_what_no_table_knows():
    """
    `OTEL_LLMCOST_RECORD_ALL`: an emitter in no table, whose attributes come later, is seen; still nothing is exported.
    """
    exported, processor = InMemorySpanExporter(), LLMCostSpanProcessor()
    seen = Seen()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    for each in (processor, SimpleSpanProcessor(exported), seen):
        provider.add_span_processor(each)
    record_genai(provider, record_all=True)
    with provider.get_tracer("nobody.knows").start_as_current_span("llm") as span:
        span.set_attributes(START | USAGE)

    assert seen.names == ["llm"]
    assert "llmcost.cost_usd" in seen.spans[0].attributes
    assert exported.get_finished_spans() == ()


def test_a_disabled_provider_is_left_alone(monkeypatch):
    """
    With `OTEL_SDK_DISABLED` there is no sampler to wrap.
    """
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider = TracerProvider(shutdown_on_exit=False)
    record_genai(provider)

    assert not provider.get_tracer("openai").start_span("x").is_recording()


def test_our_errors_never_reach_who_starts_a_span(monkeypatch):
    """
    Attributes that are no mapping, or a failure of ours: the wrapped sampler's answer stands, and it is counted.
    """
    monkeypatch.setattr(fence, "RERAISE", False)
    before = COUNTERS["fence.sampler"]
    result = GenAISampler(ALWAYS_OFF).should_sample(None, 1, "x", None, [1, 2])

    assert Decision.DROP is result.decision
    assert COUNTERS["fence.sampler"] - before == 1


@pytest.mark.parametrize(
    ("argument", "description"),
    [("0.1", "TraceIdRatioBased{0.1}"), ("0", "TraceIdRatioBased{0.0}"), (None, "TraceIdRatioBased{1.0}")],
)
def test_the_entry_points_make_the_sampler(argument, description, monkeypatch):
    """
    `OTEL_TRACES_SAMPLER=llmcost` and `llmcost` in a configuration file: parent-based, by ratio.
    """
    (by_env,) = entry_points(group="opentelemetry_traces_sampler", name="llmcost")
    (by_file,) = entry_points(group="opentelemetry_sampler", name="llmcost")
    if argument:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    assert ratio_sampler is by_env.load()
    for sampler in (by_env.load()(argument), by_file.load()()):
        assert f"GenAISampler{{ParentBased{{root:{description}," in sampler.get_description()


@pytest.mark.parametrize("argument", ["a tenth", "7", "-1", "nan"])
def test_a_ratio_that_is_none_exports_everything(argument, caplog):
    """
    A wrong ratio is said once and exports all traces, as OpenTelemetry's own samplers do.
    """
    sampler = ratio_sampler(argument)

    assert "is no ratio from 0 to 1" in caplog.text
    assert sampler.should_sample(None, 2**127, "x").decision.is_sampled()


@pytest.mark.parametrize("kind", [None, *SpanKind])
@pytest.mark.parametrize(
    ("scope", "name"),
    [(scope, f"{begins}x") for scope, begins, _ in START_NAMES]
    + [("app", begins) for _, begins, _ in START_NAMES]
    + [("openinference.x", "GET /"), ("app", "GET /"), ("", "")],
)
def test_the_sampler_records_what_the_public_table_knows(scope, name, kind):
    """
    The sampler's faster way comes to the same answer as `is_genai_at_start`, for every row of its tables.
    """
    for attributes in (None, {}, {"a": 1}, START, {"gen_ai.system": "openai"}, {"openinference.span.kind": "LLM"}):
        expected = is_genai_at_start(name, (kind or SpanKind.INTERNAL).name.lower(), attributes, scope)
        result = GenAISampler(ALWAYS_OFF, scope=scope).should_sample(None, 1, name, kind, attributes)

        assert (result.decision is Decision.RECORD_ONLY) is expected


@pytest.mark.parametrize("key", ["server.address", "net.peer.name", "url.full", "http.url"])
def test_a_request_that_takes_an_owner_along_names_its_host(key):
    """
    In a trace that is not exported, the span of an HTTP request with baggage is recorded, so that the guard can read
    which host it goes to; others stay dropped.
    """
    sampler = GenAISampler(ALWAYS_OFF)
    owned, where = set_baggage("llmcost.team", "support", Context()), {key: "drafts.internal"}

    def decision(context: Context, kind: SpanKind, attributes: dict[str, str]) -> Decision:
        return sampler.should_sample(context, 1, "GET", kind, attributes).decision

    assert decision(owned, SpanKind.CLIENT, where) is Decision.RECORD_ONLY
    assert decision(Context(), SpanKind.CLIENT, where) is Decision.DROP
    assert decision(owned, SpanKind.SERVER, where) is Decision.DROP
    assert decision(owned, SpanKind.CLIENT, {"db.system": "sqlite"}) is Decision.DROP


def test_the_sampler_and_the_guard_read_the_same_names():
    """
    What the guard reads a host from is what the sampler records a span for.
    """
    assert frozenset(guard._HOST_KEYS + guard._URL_KEYS) == sampling._HOST_KEYS
