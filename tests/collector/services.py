"""Services that send spans, and the receiver that they end at: what the tests from end to end share."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Pricer, attributed
from tests.captures import load, names
from tests.collector.otlp import Key, Otlp, as_otlp
from tests.collector.processes import free_port, post, wait_until

MADE_UP_ID: Final = re.compile(r"\b(chatcmpl-|resp_|msg_|gem-)")
"""Every capture was recorded against the same simulator: alike ids would make one request of several captures."""


class Receiver:
    """`otel-llmcost serve --otlp` as a process, on an embedded ledger."""

    def __init__(self, folder: Path, dsn: str = "") -> None:
        self.port = free_port()
        self._dsn = dsn or f"chdb://{folder}/ledger"
        self._log = folder / "receiver.log"
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [sys.executable, "-m", "otel_llmcost", "serve", "--dsn", self._dsn, "--otlp", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        wait_until(
            lambda: post(self.port, {"resourceSpans": []}) == 200, f"the receiver is up: {self._log.read_text()}"
        )

    def end(self, how: signal.Signals) -> None:
        """End it, in the middle of whatever it does or in good order."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same ledger."""
        return subprocess.run(
            [sys.executable, "-m", "otel_llmcost", *arguments, "--dsn", self._dsn, "--format", "json"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Give all rows of the ledger, adjustments with their sign."""
        found = self.ask("requests", "--since", "2020-01-01", "--limit", "100000")
        assert found.returncode == 0, found.stderr
        held = json.loads(found.stdout)
        return list(held if isinstance(held, list) else held["requests"])

    def bill(self) -> dict[Key, tuple[int, Decimal | None]]:
        """Give how often each request is billed in the end, rows and adjustments together, and its cost."""
        times: dict[Key, int] = defaultdict(int)
        costs: dict[Key, Decimal | None] = {}
        for row in self.rows():
            key, sign = (row["trace_id"], row["span_id"]), row["sign"]
            times[key] += sign
            if row["cost_usd"] is not None:
                costs[key] = (costs.get(key) or Decimal(0)) + sign * Decimal(row["cost_usd"])
        return {key: (each, costs.get(key)) for key, each in times.items() if each}


def recorded() -> list[Otlp]:
    """Give captures of services that price nothing: JavaScript's AI SDK, and OpenLLMetry."""
    return [
        json.loads(MADE_UP_ID.sub(rf"\g<1>{number}x", json.dumps(load(name)["otlp"])))
        for number, name in enumerate(names("vercel-ai", "openllmetry-openai", "openllmetry-anthropic"))
    ]


def from_python(pricer: Pricer, exporter: ClickHouseSpanExporter | None = None) -> list[Otlp]:
    """Give spans of this SDK, priced at the source by a processor; without `exporter` no journal accounts for them."""
    finished = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "python"}))
    provider.add_span_processor(LLMCostSpanProcessor(exporter, pricer=pricer))
    provider.add_span_processor(SimpleSpanProcessor(finished))
    for number in range(40):
        with attributed(team="support", customer_id=f"customer-{number}"):
            span = provider.get_tracer("tests.python").start_span("chat gpt-5.4-mini")
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-5.4-mini",
                    "gen_ai.response.model": "gpt-5.4-mini",
                    "gen_ai.response.id": f"python-{exporter is None}-{number}",
                    "gen_ai.usage.input_tokens": 1_001 + number,
                    "gen_ai.usage.output_tokens": 77,
                }
            )
            span.end()
    provider.shutdown()
    return [as_otlp([span]) for span in finished.get_finished_spans()]


def send(port: int, otlp: Otlp) -> None:
    """Send until it is acknowledged, as every OTLP exporter does."""
    deadline = time.monotonic() + 90
    while post(port, otlp) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
