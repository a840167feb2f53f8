"""
The receiver, from a body in protobuf to its journal: GenAI spans a second on one core, beside decoding the body alone.

    python benchmarks/receiver.py [million spans]

Spans have 12 attributes, one parent each that is no model call, and no content; bodies have 2,000 of them, as a Collector
sends. Prepared bodies are sent again with other ids. Sealed segments are deleted, as a shipper would.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llmcost import ClickHouseSpanExporter
from otel_llmcost.pricing import Pricer
from otel_llmcost.receiver.bodies import PROTOBUF, read_body
from otel_llmcost.receiver.intake import Intake
from otel_llmcost.receiver.known import KnownSpans
from otel_llmcost.settings import Settings

CALLS = 1_000
"""Of a body; as many other spans are in it."""
START_NS = 1_793_534_400 * 10**9
TEXTS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini-2026-03-17",
    "server.address": "api.openai.com",
    "llmcost.team": "support",
    "llmcost.feature": "reply-draft",
}


def make_body(number: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    name = resource_spans.resource.attributes.add(key="service.name")
    name.value.string_value = "web"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "@opentelemetry/instrumentation-openai"
    rng = random.Random(number)
    for index in range(CALLS):
        trace_id, parent = rng.randbytes(16), rng.randbytes(8)
        start = START_NS + (number * CALLS + index) * 1_000_000
        times = {"start_time_unix_nano": start, "end_time_unix_nano": start + 10**9}
        scope_spans.spans.add(trace_id=trace_id, span_id=parent, name="POST /reply", kind=2, **times)
        span = scope_spans.spans.add(
            trace_id=trace_id,
            span_id=rng.randbytes(8),
            parent_span_id=parent,
            name="chat gpt-5.4-mini",
            kind=3,
            **times,
        )
        texts = TEXTS | {
            "gen_ai.response.id": f"chatcmpl-{number}-{index}",
            "llmcost.customer_id": str(rng.randrange(100_000)),
        }
        for key, text in texts.items():
            span.attributes.add(key=key).value.string_value = text
        counts = {
            "gen_ai.usage.input_tokens": 2_000 + rng.randrange(50_000),
            "gen_ai.usage.cache_read.input_tokens": 2_000,
            "gen_ai.usage.output_tokens": 1_200,
        }
        for key, count in counts.items():
            span.attributes.add(key=key).value.int_value = count
    body: bytes = request.SerializeToString()
    return body


def resident_mib() -> float:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pricer = Pricer.default()
        pricer.wait()
        exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{folder}/ledger"), pricer=pricer)
        intake = Intake(exporter, KnownSpans())
        decoding = reading = 0.0
        metered: list[float] = []
        bodies = max(1, int(millions * 1_000_000) // CALLS)
        for number in range(bodies):
            body = make_body(number)
            began = time.thread_time()
            ExportTraceServiceRequest.FromString(body)
            decoded = time.thread_time()
            for _ in read_body(body, PROTOBUF):
                pass
            read = time.thread_time()
            taken = intake.take(read_body(body, PROTOBUF))
            metered.append(1e6 * (time.thread_time() - read) / CALLS)
            reading += read - decoded
            decoding += decoded - began
            assert (taken.spans, taken.rejected) == (2 * CALLS, 0)
            if number % 50 == 49 or number == bodies - 1:
                exporter.force_flush()
                for segment in Path(folder, "ledger", "journal").glob("*.sealed"):
                    segment.unlink()
            if number % 250 == 249 or number == bodies - 1:
                spans = (number + 1) * CALLS
                parts = [1e6 * seconds / spans for seconds in (reading, decoding)]
                middle, best = statistics.median(metered), min(metered)
                print(
                    f"{spans / 1e6:.2f} M GenAI spans  CPU per GenAI span and its parent: {middle:.0f} us median, {best:.0f} us "
                    f"best body ({1e6 / middle:,.0f} and {1e6 / best:,.0f}/s per core), of it read {parts[0]:.0f} us; "
                    f"protobuf decode alone {parts[1]:.1f} us  {resident_mib():.0f} MiB",
                    flush=True,
                )
        gc.collect()
        exporter.shutdown()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
