"""
Resident memory while spans pass: flat, however many. Sealed segments are deleted, as a shipper would.

    python benchmarks/memory_flat.py [million spans]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed

STEP = 100_000
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini-2026-03-17",
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
}


def resident_mib() -> float:
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        exporter = ClickHouseSpanExporter(f"chdb://{folder}/ledger")
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
        tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai", "1.3b0")
        began = time.monotonic()
        for number in range(int(millions * 1_000_000)):
            attributes = CALL | {
                "gen_ai.response.id": f"chatcmpl-{number}",
                "gen_ai.usage.input_tokens": 2_000 + number % 50_000,
            }
            with attributed(team="support", customer_id=number % 100_000):
                tracer.start_span("chat gpt-5.4-mini", attributes=attributes).end()
            if number % STEP == STEP - 1:
                exporter.force_flush()
                for segment in Path(folder, "ledger", "journal").glob("*.sealed"):
                    segment.unlink()
                if (number + 1) % 1_000_000 == 0:
                    print(
                        f"{(number + 1) // 1_000_000} M spans  {resident_mib():.1f} MiB  {time.monotonic() - began:.0f} s",
                        flush=True,
                    )
        exporter.shutdown()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
