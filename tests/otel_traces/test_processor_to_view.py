"""From the real processor without a journal to rows that can be explained: what it writes is what the view reads."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed
from otel_llmcost import spans as sdk
from otel_llmcost.attributes import CALL, RATE
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.otel_traces import TracesTable
from otel_llmcost.model import INITIAL, NO_OWNER, ModelCall, Request, Unpriced
from otel_llmcost.verify import verify
from tests.otel_traces.conftest import export, exported, rows_of

SAID = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini-2026-03-17",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
}


def ended(ours: LLMCostSpanProcessor, calls: int) -> list[ReadableSpan]:
    """Make so many calls under an owner; give their spans as other exporters see them."""
    seen, provider = InMemorySpanExporter(), TracerProvider(resource=Resource({"service.name": "api"}))
    provider.add_span_processor(ours)
    provider.add_span_processor(SimpleSpanProcessor(seen))
    with attributed(team="support", feature="reply-draft", customer_id="acme"):
        for _ in range(calls):
            provider.get_tracer("test").start_span("chat", attributes=SAID).end()
    return list(seen.get_finished_spans())


def written(span: ReadableSpan) -> dict[str, Any]:
    """Give an ended span as the Collector's exporter writes it."""
    view = sdk.view(span)
    call = ModelCall(dialect="", kind="request", operation="", provider="", model="")
    bare = Request(span=view, call=call, owner=NO_OWNER, price=Unpriced(reason=""), attempt=INITIAL)
    return exported(bare, view.attributes)


def test_a_ledger_without_any_journal(ledger: Ledger, source: TracesTable, kind: str):
    """
    Calls of a service whose processor has no exporter are rows with their exact cost, owner and provenance, and verify finds
    nothing to complain of: each rate's content came along, once.
    """
    spans = ended(LLMCostSpanProcessor(), 3)
    export(ledger, source, kind, map(written, spans))
    rows = rows_of(ledger)

    assert {(row["cost_usd"], row["team"], row["service_name"], row["dialect"]) for row in rows} == {
        (Decimal("0.01155"), "support", "api", "semconv")
    }
    assert all(row["rate_source"] and row["match_rule"] and row["owner_source"] == "baggage" for row in rows)
    assert [RATE in (span.attributes or {}) for span in spans] == [True, False, False]
    found = verify(ledger, pause_seconds=0)
    assert [check.what for check in found.checks if check.state == "problem"] == []
    (rate,) = ledger._client.query("SELECT rate_id, content FROM llm_rates").result_rows
    assert (rate[0], bool(orjson.loads(rate[1]))) == (rows[0]["rate_id"], True)


def test_a_journaled_span_is_no_larger(tmp_path: Path):
    """
    A span whose row is in a journal carries neither of the attributes that only a view needs.
    """
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    (span,) = ended(LLMCostSpanProcessor(exporter=exporter), 1)
    exporter.shutdown()

    assert {CALL, RATE}.isdisjoint(span.attributes or {})


def test_a_rate_is_told_again(monkeypatch: pytest.MonkeyPatch):
    """
    When its time is over, a rate's content is on a span again, because the first one may have been lost on its way.
    """
    monkeypatch.setattr("otel_llmcost.processor._RATE_EVERY_S", 0.0)

    assert [RATE in (span.attributes or {}) for span in ended(LLMCostSpanProcessor(), 2)] == [True, True]
