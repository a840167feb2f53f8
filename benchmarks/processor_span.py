"""
What our processor adds to a span, beside `BaggageSpanProcessor` and the OTLP encoding of the same span.

One process, one thread, CPU time of the thread, interleaved rounds, medians of the rounds; each figure is what the
set-up costs over the same span without a processor. Directional: compare the ratios, not the microseconds.

    python benchmarks/processor_span.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from opentelemetry import baggage, context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Pricer, Usage

SPANS = 1_000
OWNER = {"team": "support", "feature": "reply-draft", "customer_id": "acme", "environment": "prod", "request_id": "r-1"}
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini-2026-03-17",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
    "server.address": "api.openai.com",
    "server.port": 443,
    "openai.response.service_tier": "default",
}
OTHER = {f"http.attribute.{number}": number for number in range(10)}


class _Kept(SpanProcessor):
    """Keeps the last spans, for the encoder."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans = [*self.spans[-511:], span]


def provider_with(*processors: SpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def own(number: int) -> dict[str, object]:
    """Give what differs from request to request: counts too, so that no amount of money is made twice."""
    return {
        "gen_ai.response.id": f"chatcmpl-{time.time_ns()}-{number}",
        "gen_ai.usage.input_tokens": 10_000 + 3 * number,
        "gen_ai.usage.cache_read.input_tokens": 2_000 + number,
        "gen_ai.usage.output_tokens": 1_200 + 7 * number,
    }


def cpu_us_per_span(provider: TracerProvider, attributes: dict[str, object], numbered: bool) -> float:
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai", "1.3b0")
    values = [attributes | (own(i) if numbered else {}) for i in range(SPANS)]
    began = time.thread_time_ns()
    for each in values:
        span = tracer.start_span("chat gpt-5.4-mini", attributes=each)
        span.end()
    return (time.thread_time_ns() - began) / 1000 / SPANS


def encode_us_per_span(spans: list[ReadableSpan]) -> float:
    began = time.thread_time_ns()
    encode_spans(spans).SerializeToString()
    return (time.thread_time_ns() - began) / 1000 / len(spans)


def main(rounds: int) -> None:
    Pricer.default().price(  # wait for the price data once, before anything is timed
        provider="openai", model="gpt-5.4-mini", usage=Usage(input_tokens=1), at=_now()
    )
    owned = context.get_current()
    for name, value in OWNER.items():
        owned = baggage.set_baggage(f"llmcost.{name}", value, owned)
    context.attach(owned)
    with tempfile.TemporaryDirectory() as folder:
        journaling = ClickHouseSpanExporter(f"chdb://{folder}/ledger")
        kept = _Kept()
        setups: dict[str, tuple[Callable[[], TracerProvider], dict[str, object]]] = {
            "GenAI span, no processor": (provider_with, CALL),
            "GenAI span, BaggageSpanProcessor": (
                lambda: provider_with(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)),
                CALL,
            ),
            "GenAI span, ours, enriching only": (lambda: provider_with(LLMCostSpanProcessor()), CALL),
            "GenAI span, ours, with the journal": (lambda: provider_with(LLMCostSpanProcessor(journaling)), CALL),
            "other span, no processor": (provider_with, OTHER),
            "other span, BaggageSpanProcessor": (
                lambda: provider_with(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)),
                OTHER,
            ),
            "other span, ours, with the journal": (lambda: provider_with(LLMCostSpanProcessor(journaling)), OTHER),
        }
        providers = {name: (make(), attributes) for name, (make, attributes) in setups.items()}
        samples: dict[str, list[float]] = {name: [] for name in providers}
        for _ in range(rounds):
            for name, (provider, attributes) in providers.items():
                samples[name].append(cpu_us_per_span(provider, attributes, numbered=attributes is CALL))
        medians = {name: statistics.median(values) for name, values in samples.items()}
        cpu_us_per_span(provider_with(kept), CALL, numbered=True)
        encoding = statistics.median(encode_us_per_span(kept.spans) for _ in range(rounds))
        _print(medians, encoding)
        journaling.shutdown()


def _print(medians: dict[str, float], encoding: float) -> None:
    print(f"{'CPU us per span':40} {'total':>8} {'added':>8} {'x Baggage':>10} {'x OTLP':>8}")
    for kind in ("GenAI span", "other span"):
        bare = medians[f"{kind}, no processor"]
        peer = medians[f"{kind}, BaggageSpanProcessor"] - bare
        for name, median in medians.items():
            if name.startswith(kind):
                added = median - bare
                print(f"{name:40} {median:8.2f} {added:8.2f} {added / peer:10.2f} {added / encoding:8.2f}")
    print(f"{'OTLP encoding of the bare GenAI span':40} {encoding:8.2f}")


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
