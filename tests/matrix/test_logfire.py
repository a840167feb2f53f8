"""Beside Logfire, whose provider is a proxy and whose wrappers do not forward every hook; `make test-matrix MATRIX=logfire`."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed, auto, configure
from otel_llmcost.journal import waiting

logfire = pytest.importorskip("logfire", reason="installed by `make test-matrix MATRIX=logfire`: it pins the SDK")

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
}


@pytest.fixture(name="exporter")
def _exporter(tmp_path) -> Iterator[ClickHouseSpanExporter]:
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    yield exporter
    exporter.shutdown()


def start(*processors, **options) -> None:
    """Configure Logfire as an application does, sending nothing."""
    logfire.configure(
        send_to_logfire=False, console=False, metrics=False, additional_span_processors=processors, **options
    )


def call() -> None:
    """Make one model call's span below one of Logfire's, for a team."""
    tracer = trace.get_tracer("app")
    with (
        attributed(team="support"),
        logfire.span("GET /"),
        tracer.start_as_current_span("chat", attributes=CALL),
    ):
        pass


def rows(exporter: ClickHouseSpanExporter) -> list[tuple[str, str]]:
    """Give the cost and team of each journaled request."""
    exporter.force_flush()
    found = []
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        if segment.table == "llm_requests":
            found += [orjson.loads(line) for line in segment.payload().splitlines()]
        segment.release()
    return [(row["cost_usd"], row["team"]) for row in found]


def test_as_an_additional_span_processor(exporter):
    """
    Through Logfire's own argument, whose wrapper does not forward `_on_ending`: one priced and owned row a request.
    """
    start(LLMCostSpanProcessor(exporter=exporter))
    call()

    assert rows(exporter) == [("0.01155", "support")]


def test_added_to_its_provider(exporter):
    """
    Added to Logfire's provider: the row, and Logfire's own exporters see the cost.
    """
    seen = InMemorySpanExporter()
    start(SimpleSpanProcessor(seen))
    trace.get_tracer_provider().add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call()
    chat = [span for span in seen.get_finished_spans() if span.name == "chat"]

    assert rows(exporter) == [("0.01155", "support")]
    assert [span.attributes["llmcost.cost_usd"] for span in chat] == ["0.01155"]


def test_by_environment_and_again_after_a_second_configure(monkeypatch, tmp_path):
    """
    `configure()` and the hook find Logfire's provider; a second `logfire.configure()`, which forgets what was added by
    hand, needs one more call, and then there is one row a request as before.
    """
    monkeypatch.setenv("OTEL_LLMCOST_DSN", f"chdb://{tmp_path}/ledger")
    start()
    first = configure()
    auto.pre_instrument()
    call()
    start()
    auto.pre_instrument()
    second = configure()
    call()

    assert first is not second
    assert rows(second._exporter) == [("0.01155", "support")] * 2


def test_requests_that_its_head_sampling_drops_are_priced(exporter):
    """
    With Logfire's head sampling at 0, `configure()` still gets every request.
    """
    start(sampling=logfire.SamplingOptions(head=0.0))
    processor = configure(settings=exporter.settings)
    call()

    assert rows(processor._exporter) == [("0.01155", "support")]
