"""The span processor in a real SDK: what other exporters see, what is journaled, and that nothing of ours reaches the user."""

from __future__ import annotations

import logging
import threading

import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Settings, attributed, fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalFull
from otel_llmcost.journal import waiting

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini-2026-03-17",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
}


@pytest.fixture(name="seen")
def _seen():
    return InMemorySpanExporter()


@pytest.fixture(name="exporter")
def _exporter(tmp_path):
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    yield exporter
    exporter.shutdown()


def rows(exporter: ClickHouseSpanExporter, table: str = "llm_requests") -> list[dict]:
    """Read the journaled rows of a table, as a shipper would."""
    exporter.force_flush()
    found = []
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        if segment.table == table:
            found += [orjson.loads(line) for line in segment.payload().splitlines()]
        segment.release()
    return found


def call(provider: TracerProvider, **attributes) -> None:
    """Make one model call's span, as an instrumentation would."""
    with provider.get_tracer("test").start_as_current_span("chat gpt-5.4-mini", attributes=CALL | attributes):
        pass


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
@pytest.mark.parametrize("registered", ["before", "after"])
def test_exporters_see_cost_and_owner_whatever_the_order(seen, exporter, processor, registered):
    """
    An exporter that is registered before or after ours exports the worked example's cost and its owner.
    """
    ours = LLMCostSpanProcessor(exporter=exporter)
    provider = TracerProvider()
    for each in (ours, processor(seen)) if registered == "after" else (processor(seen), ours):
        provider.add_span_processor(each)
    with attributed(team="support", feature="reply-draft", customer_id="acme"):
        call(provider)
    provider.force_flush()
    (span,) = seen.get_finished_spans()
    got = dict(span.attributes)

    assert got["llmcost.cost_usd"] == "0.01155"
    assert tuple(got[f"gen_ai.usage.cost.{part}"] for part in ("amount", "currency", "source")) == (
        0.01155,
        "USD",
        "local",
    )
    assert tuple(got[f"llmcost.{key}"] for key in ("team", "feature", "customer_id")) == (
        "support",
        "reply-draft",
        "acme",
    )
    assert got["llmcost.usage"] == "input_tokens=8000 cached_input_tokens=2000 output_tokens=1200"
    assert "input=0.006 cached_input=0.00015 output=0.0054" in got["llmcost.cost.breakdown"]
    assert True is got["llmcost.recorded"]
    provider.shutdown()


def test_a_row_is_journaled_when_end_returns(exporter):
    """
    One request is one row, with the exact cost as text, its owner, and its rate in a row of its own.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": "checkout", "deployment.environment.name": "prod"})
    )
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    with attributed(team="support"):
        call(provider)
    (row,) = rows(exporter)
    (rate,) = rows(exporter, "llm_rates")

    assert tuple(row[key] for key in ("cost_usd", "team", "environment", "service_name")) == (
        "0.01155",
        "support",
        "prod",
        "checkout",
    )
    assert row["rate_id"] == rate["rate_id"]


def test_without_an_exporter_spans_are_only_enriched(seen):
    """
    `LLMCostSpanProcessor()` prices and attributes, and claims no record.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(seen))
    call(provider)
    got = seen.get_finished_spans()[0].attributes

    assert got["llmcost.cost_usd"] == "0.01155"
    assert "llmcost.recorded" not in got


def test_the_exporter_alone_serves_a_batch_processor(exporter):
    """
    As a plain `SpanExporter`, it prices what nobody priced and keeps the cost of what was priced at its source.
    """
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    call(provider)
    call(
        provider,
        **{"llmcost.price_status": "priced", "llmcost.cost_usd": "0.5", "llmcost.cost.breakdown": "output=0.5"},
    )
    call(provider, **{"llmcost.recorded": True})
    provider.force_flush()

    assert [row["cost_usd"] for row in rows(exporter)] == ["0.01155", "0.5"]
    provider.shutdown()


def test_two_processors_make_one_row(exporter):
    """
    A processor that was added twice charges each request once.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call(provider)

    assert len(rows(exporter)) == 1


def test_a_full_span_keeps_the_instrumentations_attributes(seen, exporter):
    """
    On a span at its attribute limit, ours are added and none of the instrumentation's is evicted.
    """
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=20))
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    provider.add_span_processor(SimpleSpanProcessor(seen))
    filler = {f"app.{number}": number for number in range(20 - len(CALL))}
    call(provider, **filler)
    (span,) = seen.get_finished_spans()

    assert (CALL | filler).items() <= dict(span.attributes).items()
    assert "llmcost.cost_usd" in span.attributes
    assert span.dropped_attributes == 0


def test_other_spans_are_left_alone(seen, exporter):
    """
    A span that is no model call gets no attribute and makes no row.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    provider.add_span_processor(SimpleSpanProcessor(seen))
    with attributed(team="support"), provider.get_tracer("t").start_as_current_span("GET /", attributes={"a": 1}):
        pass

    assert dict(seen.get_finished_spans()[0].attributes) == {"a": 1}
    assert rows(exporter) == []


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (-5, "-5"),
        (float("nan"), "nan"),
        (2**53, "9007199254740992"),
        (2**80, "1208925819614629174706176"),
        (True, "True"),
        ("12", "'12'"),
        (1.5, "1.5"),
    ],
)
def test_a_count_that_is_no_count_makes_a_flagged_row(exporter, tokens, said):
    """
    Negative, NaN, huge, boolean, text and fractional counts: a row with a reason that quotes them, never $0.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call(provider, **{"gen_ai.usage.output_tokens": tokens})
    (row,) = rows(exporter)

    assert (row["price_status"], row["reason"], row.get("cost_usd")) == ("unpriced", "invalid_usage", None)
    assert said in row["detail"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gen_ai.response.model": "gpt-99-ultra"}, "unknown_model"),
        ({"gen_ai.provider.name": "nobody"}, "unknown_provider"),
    ],
)
def test_what_cannot_be_priced_is_a_row_with_a_reason(exporter, changes, reason):
    """
    An unknown model or provider is unpriced with its tokens kept, never $0.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call(provider, **changes)
    (row,) = rows(exporter)

    assert ("unpriced", reason, None, 1200) == (
        row["price_status"],
        row["reason"],
        row.get("cost_usd"),
        row["output_tokens"],
    )


def test_a_span_without_usage_is_unknown_not_zero(exporter):
    """
    A call whose usage nobody saw is a row without a cost.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    with provider.get_tracer("t").start_as_current_span(
        "chat", attributes={key: value for key, value in CALL.items() if "usage" not in key}
    ):
        pass
    (row,) = rows(exporter)

    assert (row["price_status"], row["reason"], row.get("cost_usd")) == ("unpriced", "no_usage", None)


def fail_inside(provider: TracerProvider) -> None:
    """Fail as the user's own code may, inside a model call's span."""
    with provider.get_tracer("test").start_as_current_span("chat", attributes=CALL):
        raise KeyError("the user's own")


def test_our_errors_never_reach_the_user(monkeypatch, caplog, exporter):
    """
    A failure inside any hook leaves the user's result and exception alone, is counted each time and logged once.
    """
    processor = LLMCostSpanProcessor(exporter=exporter)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    monkeypatch.setattr(fence, "RERAISE", False)
    monkeypatch.setattr(processor._meter, "meter", lambda *_args, **_kwargs: 1 / 0)
    before = COUNTERS["fence.on_ending"] + COUNTERS["fence.on_end"]  # SDK < 1.40 has only the latter
    with caplog.at_level(logging.ERROR, "otel_llmcost"):
        for _ in range(3):
            with pytest.raises(KeyError, match="the user's own"):
                fail_inside(provider)

    assert COUNTERS["fence.on_ending"] + COUNTERS["fence.on_end"] - before == 3
    assert len([record for record in caplog.records if "left your code alone" in record.message]) == 1


def test_a_span_that_cannot_be_remembered_starts_all_the_same(monkeypatch, exporter):
    """
    A failure at the start of a span, too, is counted and reaches nobody; the request is a row without its baggage.
    """
    processor = LLMCostSpanProcessor(exporter=exporter)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    monkeypatch.setattr(fence, "RERAISE", False)
    before = COUNTERS["fence.on_start"]
    with monkeypatch.context() as full:
        full.setattr("otel_llmcost.processor.MAX_OPEN_SPANS", 0)
        full.setattr(processor, "_forget_oldest", lambda: 1 / 0)
        span = provider.get_tracer("test").start_span("chat", attributes=CALL)
    span.end()

    assert COUNTERS["fence.on_start"] - before == 1
    assert len(rows(exporter)) == 1


def test_spans_of_many_threads_are_each_one_row(exporter):
    """
    Concurrent requests of many threads are all journaled, each once, each with its own owner.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))

    def work(number: int) -> None:
        with attributed(team=f"team-{number}"):
            for _ in range(50):
                call(provider)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    teams = [row["team"] for row in rows(exporter)]

    assert {f"team-{number}": 50 for number in range(8)} == {team: teams.count(team) for team in teams}


def test_open_spans_are_bounded(monkeypatch, seen):
    """
    Spans that never end cannot fill the memory; later ones are still priced.
    """
    monkeypatch.setattr("otel_llmcost.processor.MAX_OPEN_SPANS", 100)
    processor = LLMCostSpanProcessor()
    provider = TracerProvider()
    provider.add_span_processor(processor)
    provider.add_span_processor(SimpleSpanProcessor(seen))
    tracer = provider.get_tracer("t")
    leaked = [tracer.start_span("never ended") for _ in range(1000)]
    call(provider)

    assert len(leaked) > 100 >= len(processor._open)
    assert seen.get_finished_spans()[0].attributes["llmcost.cost_usd"] == "0.01155"


def test_a_nested_instrumentation_is_one_charge(seen, exporter):
    """
    Two spans of one request, one inside the other: the inner is billed, the outer names it and shows no cost.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    provider.add_span_processor(SimpleSpanProcessor(seen))
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("outer", attributes=CALL), tracer.start_as_current_span("POST"):
        call(provider, **{"gen_ai.response.id": "r1"})
    inner, _, outer = seen.get_finished_spans()

    assert len(rows(exporter)) == 1
    assert "llmcost.cost_usd" not in outer.attributes
    assert trace.format_span_id(inner.context.span_id) == outer.attributes["llmcost.duplicate_of"]
    assert True is outer.attributes["llmcost.recorded"]


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    """
    `configure()` makes the whole set-up from settings, and the processor shares the exporter's.
    """
    from otel_llmcost import configure

    monkeypatch.setenv("OTEL_LLMCOST_DSN", f"chdb://{tmp_path}/ledger")
    provider = TracerProvider()
    processor = configure(tracer_provider=provider)
    call(provider)
    provider.shutdown()

    assert isinstance(processor, LLMCostSpanProcessor)
    assert (tmp_path / "ledger" / "journal").is_dir()
    assert Settings.from_env().dsn.endswith("/ledger")


def test_text_that_no_encoding_has_loses_no_row(exporter):
    """
    A lone surrogate in a name is replaced; the request is stored with its cost.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call(provider, **{"gen_ai.response.id": "r-\ud800-1"})
    (row,) = rows(exporter)

    assert (row["cost_usd"], row["response_id"]) == ("0.01155", "r-?-1")


def test_an_abandoned_stream_is_a_lower_bound(exporter):
    """
    When the answer's tokens are not known, the row is partial: what it was asked is the least that it cost.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    with provider.get_tracer("t").start_as_current_span("chat", attributes=CALL | {"gen_ai.usage.output_tokens": 0}):
        pass
    seen = {name: value for name, value in CALL.items() if name != "gen_ai.usage.output_tokens"}
    with provider.get_tracer("t").start_as_current_span("chat", attributes=seen):
        pass
    empty, abandoned = rows(exporter)

    assert (empty["price_status"], empty["cost_usd"]) == ("priced", "0.00615")
    assert (abandoned["price_status"], abandoned["reason"]) == ("partial", "output_unknown")
    assert abandoned["cost_usd"] == "0.00615"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cache_read.input_tokens": 0}, ("unpriced", "no_usage", None)),
        ({"output_tokens": 0}, ("unpriced", "no_usage", None)),
        ({"output_tokens": 1200}, ("partial", "input_unknown", "0.0054")),
        ({"input_tokens": 0, "output_tokens": 0}, ("priced", None, "0")),
    ],
    ids=["only a zero part", "only a zero answer", "only an answer", "zeros reported"],
)
def test_half_a_usage_is_no_exact_cost(exporter, usage, expected):
    """
    Zeros beside an unknown input are no usage; an answer without its input is a lower bound; reported zeros cost $0.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    seen = {name: value for name, value in CALL.items() if "usage" not in name}
    seen |= {f"gen_ai.usage.{name}": count for name, count in usage.items()}
    with provider.get_tracer("t").start_as_current_span("chat", attributes=seen):
        pass
    (row,) = rows(exporter)

    assert (row["price_status"], row.get("reason"), row.get("cost_usd")) == expected


def test_the_plain_exporter_tells_nested_spans_apart(exporter):
    """
    Behind a batch processor too, an agent and a wrapper above a request are not billed, and owners on spans count.
    """
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    agent = CALL | {"gen_ai.operation.name": "invoke_agent", "llmcost.team": "support"}
    with (
        tracer.start_as_current_span("agent", attributes=agent),
        tracer.start_as_current_span("chat", attributes=CALL | {"llmcost.team": "support"}),
        tracer.start_as_current_span("POST"),
    ):
        call(provider, **{"gen_ai.response.id": "r1", "llmcost.team": "support"})
    provider.force_flush()

    assert [(row["response_id"], row["team"]) for row in rows(exporter)] == [("r1", "support")]
    provider.shutdown()


def test_a_rate_is_stored_beside_rows_that_were_priced_elsewhere(exporter):
    """
    Enriched by one processor and exported by another, a row's rate is in the ledger with its full content.
    """
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    call(provider)
    provider.force_flush()
    (rate,) = rows(exporter, "llm_rates")

    assert "0.75" in rate["content"]
    provider.shutdown()


def test_what_the_journal_refuses_is_no_record(monkeypatch, exporter):
    """
    A request that the journal refused keeps its cost on the span, claims no record, and is counted.
    """
    seen, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    provider.add_span_processor(SimpleSpanProcessor(seen))

    def full(*_args: object) -> None:
        raise JournalFull("full")

    before = COUNTERS["exporter.rows_refused"]
    monkeypatch.setattr(exporter._journal, "append", full)
    call(provider)
    attributes = seen.get_finished_spans()[0].attributes

    assert attributes["llmcost.cost_usd"] == "0.01155"
    assert "llmcost.recorded" not in attributes
    assert COUNTERS["exporter.rows_refused"] == before + 1


def test_no_more_threads_costs_no_row(monkeypatch, exporter):
    """
    When no thread can be started, rows are journaled all the same and a later row tries again.
    """

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        call(provider)
    call(provider)

    assert exporter._maintenance._thread is not None
    assert len(rows(exporter)) == 2
