"""
The receiver, from a body in protobuf to its journal: GenAI spans a second on one core, beside decoding the body alone.

    python benchmarks/receiver.py [million spans]

Spans have 12 attributes, one parent each that is no model call, and no content; bodies have 2,000 of them, as a Collector
sends. Prepared bodies are sent again with other ids. Sealed segments are deleted, as a shipper would. CPU time of the thread
is counted; the machine's memory is shown after each half million GenAI spans.
"""

from __future__ import annotations

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
PREPARED = 16
SHOWN_EVERY = 500
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


class Prepared:
    """A body, and where its ids are."""

    def __init__(self, number: int) -> None:
        self._body = bytearray(make_body(number))
        self._random = rng = random.Random(number)
        self._places: list[tuple[int, ...]] = []
        at = 0
        for index in range(CALLS):
            trace, parent, span = rng.randbytes(16), rng.randbytes(8), rng.randbytes(8)
            rng.randrange(100_000), rng.randrange(50_000)
            found = []
            for each in (trace, parent, trace, span, parent, f"chatcmpl-{number:08}{index:08}".encode()):
                at = self._body.index(each, at) + len(each)
                found.append(at - len(each))
            self._places.append(tuple(found))

    def again(self) -> bytes:
        """Give the body with ids that no other body had."""
        body, draw = self._body, self._random.randbytes
        for trace, parent, trace_too, span, parent_too, response in self._places:
            ids = draw(32)
            body[trace : trace + 16] = body[trace_too : trace_too + 16] = ids[:16]
            body[parent : parent + 8] = body[parent_too : parent_too + 8] = ids[16:24]
            body[span : span + 8] = ids[24:]
            body[response + 9 : response + 25] = ids[24:].hex().encode()
        return bytes(body)


def make_body(number: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    name = resource_spans.resource.attributes.add(key="service.name")
    name.value.string_value = "web"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "@opentelemetry/instrumentation-openai"
    rng = random.Random(number)
    for index in range(CALLS):
        trace_id, parent, span_id = rng.randbytes(16), rng.randbytes(8), rng.randbytes(8)
        start = START_NS + (number * CALLS + index) * 1_000_000
        times = {"start_time_unix_nano": start, "end_time_unix_nano": start + 10**9}
        scope_spans.spans.add(trace_id=trace_id, span_id=parent, name="POST /reply", kind=2, **times)
        span = scope_spans.spans.add(
            trace_id=trace_id, span_id=span_id, parent_span_id=parent, name="chat gpt-5.4-mini", kind=3, **times
        )
        own = {
            "gen_ai.response.id": f"chatcmpl-{number:08}{index:08}",
            "llmcost.customer_id": str(rng.randrange(100_000)),
        }
        for key, text in (TEXTS | own).items():
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


class Times:
    """CPU time in microseconds for each GenAI span of a body."""

    def __init__(self) -> None:
        self._metered: list[float] = []
        self._read: list[float] = []
        self._decoded: list[float] = []

    def take(self, intake: Intake, body: bytes) -> None:
        """Decode a body, read it and take it, one after the other."""
        began = time.thread_time()
        ExportTraceServiceRequest.FromString(body)
        decoded = time.thread_time()
        for _ in read_body(body, PROTOBUF):
            pass
        read = time.thread_time()
        taken = intake.take(read_body(body, PROTOBUF))
        metered = time.thread_time()
        assert (taken.spans, taken.rejected) == (2 * CALLS, 0)
        for times, seconds in (
            (self._metered, metered - read),
            (self._read, read - decoded),
            (self._decoded, decoded - began),
        ):
            times.append(1e6 * seconds / CALLS)

    def __str__(self) -> str:
        middle, mean, best = statistics.median(self._metered), statistics.mean(self._metered), min(self._metered)
        return (
            f"CPU per GenAI span and its parent: {middle:.0f} us in the middle body, {mean:.0f} on average, {best:.0f} in the "
            f"best ({1e6 / middle:,.0f}, {1e6 / mean:,.0f} and {1e6 / best:,.0f}/s per core), "
            f"of it read {statistics.median(self._read):.0f} us (best {min(self._read):.0f}); "
            f"protobuf decode alone {statistics.median(self._decoded):.1f} us"
        )


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pricer = Pricer.default()
        pricer.wait()
        exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{folder}/ledger"), pricer=pricer)
        known = KnownSpans(exporter.journal_dir)
        intake = Intake(exporter, known)
        prepared = [Prepared(number) for number in range(PREPARED)]
        times = Times()
        bodies = max(1, int(millions * 1_000_000) // CALLS)
        for number in range(1, bodies + 1):
            times.take(intake, prepared[number % PREPARED].again())
            if number % 50 == 0 or number == bodies:
                exporter.force_flush()
                for segment in exporter.journal_dir.glob("*.sealed"):
                    segment.unlink()
            if number % SHOWN_EVERY == 0 or number == bodies:
                spans = number * CALLS / 1e6
                print(f"{spans:.2f} M GenAI spans  {times}  {resident_mib():.0f} MiB, {len(known):,} known", flush=True)
                times = Times()
        exporter.shutdown()
        known.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
