"""What spans go through: our processor, or the SDK's batch processor with exporters as people write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor
from otel_llmcost.pricing import Pricer
from tests.e2e.chaos.work import INPUT_PICODOLLARS, OUTPUT_PICODOLLARS, Place

QUEUED = "BatchSpanProcessor, our exporter"
PLAIN = "BatchSpanProcessor, plain inserts"
REPEATING = "BatchSpanProcessor, inserts repeated until they succeed"
_SETTINGS = {"date_time_input_format": "basic"}
PEERS = (QUEUED, PLAIN, REPEATING)
UNJOURNALED = {PLAIN: 1, REPEATING: 20}
"""Those with an exporter of their own, and how often it tries a batch."""


def processor(place: Place, pricer: Pricer) -> SpanProcessor:
    """Make what the variant's provider gets."""
    if place.variant in UNJOURNALED:
        return BatchSpanProcessor(PlainExporter(place.dsn, UNJOURNALED[place.variant]))
    exporter = ClickHouseSpanExporter(settings=place.settings, pricer=pricer)
    if place.variant == QUEUED:
        return BatchSpanProcessor(exporter)
    return LLMCostSpanProcessor(exporter=exporter, settings=place.settings)


class PlainExporter(SpanExporter):
    """Prices a batch of spans and inserts it; without a journal and without a token."""

    def __init__(self, dsn: str, tries: int) -> None:
        self._place = urlsplit(dsn)
        self._tries = tries
        self._client: Client | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Insert the batch, as often as allowed, until the client says that it did."""
        rows = "\n".join(json.dumps(row) for span in spans if (row := _row(span)))
        for _ in range(self._tries if rows else 0):
            try:
                self._connected().raw_insert("llm_requests", insert_block=rows, settings=_SETTINGS, fmt="JSONEachRow")
            except ClickHouseError:
                continue
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE if rows else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held."""

    def _connected(self) -> Client:
        if self._client is None:
            self._client = clickhouse_connect.get_client(
                host=self._place.hostname,
                port=self._place.port,
                username=self._place.username,
                password=unquote(self._place.password or ""),
                database=self._place.path.strip("/"),
            )
        return self._client


def _row(span: ReadableSpan) -> dict[str, object] | None:
    attributes = span.attributes or {}
    counts = attributes.get("gen_ai.usage.input_tokens"), attributes.get("gen_ai.usage.output_tokens")
    if not (isinstance(counts[0], int) and isinstance(counts[1], int)) or not span.start_time or not span.context:
        return None
    pico = counts[0] * INPUT_PICODOLLARS + counts[1] * OUTPUT_PICODOLLARS
    return {
        "timestamp": f"{span.start_time // 10**9}.{span.start_time % 10**9 // 1000:06d}",
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "response_id": attributes["gen_ai.response.id"],
        "team": f"team-{(counts[0] - 1) % 7}",
        "input_tokens": counts[0],
        "output_tokens": counts[1],
        "price_status": "priced",
        "cost_usd": f"{pico // 10**12}.{pico % 10**12:012d}",
    }
