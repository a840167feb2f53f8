"""
An application with metrics: two requests into the ledger of the DSN given, then its own metrics as JSON lines.

    python -m tests.metrics.application <dsn> [fork]
"""

import json
import os
import sys

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Pricer, attributed
from tests.metrics.collected import collected


def main(dsn: str, *, fork: bool) -> None:
    """Send one request before the meter provider is there, and one after; ship both."""
    pricer = Pricer.default()
    assert pricer.wait(), "prices are read before anything is timed by them"
    exporter = ClickHouseSpanExporter(dsn, pricer=pricer)
    provider = TracerProvider(resource=Resource.create({"service.name": "drafts"}))
    provider.add_span_processor(LLMCostSpanProcessor(exporter))
    request(provider)
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    request(provider)
    assert provider.force_flush()
    if fork and os.fork() > 0:
        os.wait()
        os._exit(0)
    for each in collected(reader):
        print(json.dumps(each), flush=True)  # noqa: T201
    os._exit(0)


def request(provider: TracerProvider) -> None:
    """Make one request: 0.012 USD at the published price."""
    with attributed(team="support", feature="draft", customer_id="acme"):
        span = provider.get_tracer("app").start_span(
            "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
        )
        span.set_attribute("gen_ai.response.model", "gpt-5.4-mini")
        span.set_attributes({"gen_ai.usage.input_tokens": 10_000, "gen_ai.usage.output_tokens": 1_000})
        span.end()


if __name__ == "__main__":
    main(sys.argv[1], fork="fork" in sys.argv)
