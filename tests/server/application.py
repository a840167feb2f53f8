"""
An application with the real SDK, as a process that may die: ends LLM spans, and says each time that `end()` returned.

    python -m tests.server.application <DSN> <number of spans>

Then it flushes, says `flushed`, and lives until its standard input closes.
"""

import sys

from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor
from otel_llmcost.pricing import Pricer

ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.response.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.output_tokens": 1_200,
}


def main(dsn: str, spans: int) -> None:
    """
    Write, tell, wait.
    """
    Pricer.default().wait()  # a busy machine may need longer than a request waits, and these are about other things
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter=ClickHouseSpanExporter(dsn)))
    tracer = provider.get_tracer("tests.server")
    for number in range(spans):
        with tracer.start_as_current_span("chat gpt-5.4-mini", attributes=ATTRIBUTES):
            pass
        print(number, flush=True)  # noqa: T201
    provider.force_flush()
    print("flushed", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
