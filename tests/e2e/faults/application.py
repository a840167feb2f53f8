"""
An application as users have it: the SDK, our processor and exporter, a server for its ledger.

It remembers what it ended and what that must cost. One input token costs one picodollar, by a rate card, so the cost of
a request is the count of its tokens, and no two requests cost the same.
"""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Settings, attributed
from otel_llmcost.pricing import Pricer

__all__ = ["Application"]

RATE_CARD = """
rate_card: faults
currency: USD
provider: openai
source: https://example.com/prices
checked: 2026-11-20
models:
  - match: one-picodollar
    rates:
      - usd_per_million: {input_tokens: 0.000001, output_tokens: 0}
"""
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "one-picodollar",
    "gen_ai.response.model": "one-picodollar",
    "gen_ai.usage.output_tokens": 1,
}
_numbers = count(1)


class Application:
    """Makes calls, and knows what they cost."""

    def __init__(self, dsn: str, folder: Path) -> None:
        card = folder / "card.yaml"
        card.write_text(RATE_CARD)
        settings = Settings(dsn=dsn, journal_dir=folder / "journal", rate_cards=(card,))
        pricer = Pricer.from_settings(settings)
        pricer.wait()
        self.exporter = ClickHouseSpanExporter(settings=settings, pricer=pricer)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(LLMCostSpanProcessor(exporter=self.exporter))
        self._tracer = self.provider.get_tracer("faults")
        self.ended: dict[str, int] = {}
        """The picodollars of each request, by its span's id."""

    def call(self, times: int = 1, *, at_unix_ns: int | None = None) -> None:
        """Make calls; they are the ledger's to keep when this returns."""
        for number in (next(_numbers) for _ in range(times)):
            with attributed(team=f"team-{number % 3}", customer_id=f"customer-{number % 5}", action="reply"):
                attributes = {**CALL, "gen_ai.usage.input_tokens": number, "gen_ai.response.id": f"r-{number}"}
                span = self._tracer.start_span("chat", attributes=attributes, start_time=at_unix_ns)
                span.end(at_unix_ns and at_unix_ns + 1_000_000_000)
            self.ended[f"{span.get_span_context().span_id:016x}"] = number

    def move(self, *at_unix_ns: int) -> None:
        """
        Show one request as a span that knows no usage, and then as one that does: the charge moves by two adjustments.
        """
        number = next(_numbers)
        for usage, start in zip(({}, {"gen_ai.usage.input_tokens": number}), at_unix_ns, strict=True):
            attributes = {**CALL, "gen_ai.response.id": f"r-{number}", **usage}
            if not usage:
                del attributes["gen_ai.usage.output_tokens"]
            span = self._tracer.start_span("chat", attributes=attributes, start_time=start)
            span.end(start + 1_000_000_000)
        self.ended[f"{span.get_span_context().span_id:016x}"] = number

    def drain(self, seconds: float = 20.0) -> bool:
        """Ship until nothing is left; tell whether that came to be in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.exporter.force_flush(int((deadline - time.monotonic()) * 1000)):
                return True
            time.sleep(0.02)
        return False

    def end(self) -> None:
        """End as applications do."""
        self.provider.shutdown()
