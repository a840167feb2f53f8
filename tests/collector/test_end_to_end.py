"""Services in any language, through the real Collector and the receiver, into the ledger: each request once."""

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

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import LLMCostSpanProcessor, Pricer, attributed
from tests.captures import load, names
from tests.collector.otlp import Key, Otlp, as_otlp, bill
from tests.collector.processes import Collector, free_port, post, running, wait_until

MADE_UP_ID: Final = re.compile(r"\b(chatcmpl-|resp_|msg_|gem-)")
"""Every capture was recorded against the same simulator: alike ids would make one request of several captures."""


class Receiver:
    """`otel-llmcost serve --otlp` as a process, on an embedded ledger."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._dsn = f"chdb://{folder}/ledger"
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


def recorded() -> list[Otlp]:
    """Give captures of services that price nothing: JavaScript's AI SDK, and OpenLLMetry."""
    return [
        json.loads(MADE_UP_ID.sub(rf"\g<1>{number}x", json.dumps(load(name)["otlp"])))
        for number, name in enumerate(names("vercel-ai", "openllmetry-openai", "openllmetry-anthropic"))
    ]


def from_python(pricer: Pricer) -> list[Otlp]:
    """Give spans of this SDK, priced at the source by a processor without a journal."""
    finished = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "python"}))
    provider.add_span_processor(LLMCostSpanProcessor(pricer=pricer))
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
                    "gen_ai.response.id": f"python-{number}",
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


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    """Published prices, loaded."""
    found = Pricer.default()
    assert found.wait()
    return found


def test_every_request_once_whatever_is_killed(tmp_path: Path, pricer: Pricer) -> None:
    """
    Spans priced in Python and unpriced spans of JavaScript and OpenLLMetry, while receiver, gateway and agent are killed
    (SIGKILL) and started again: every acknowledged request is in the ledger once, and its cost is that of the direct
    path to the last digit.
    """
    python, others = from_python(pricer), recorded()
    direct = {key: each.request for key, each in bill(_joined(others), pricer).items()}
    direct |= {key: each.request for part in python for key, each in bill(part, pricer).items()}
    receiver = Receiver(tmp_path)
    gateway = Collector(tmp_path, "gateway.yaml", LLMCOST_RECEIVER=f"http://127.0.0.1:{receiver.port}")
    agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]")
    kills = {
        15: lambda: (receiver.end(signal.SIGKILL), receiver.start()),
        30: lambda: (gateway.kill(), gateway.start()),
        45: lambda: (agent.kill(), agent.start()),
        55: lambda: (receiver.end(signal.SIGKILL), gateway.kill(), gateway.start(), receiver.start()),
    }
    receiver.start()
    try:
        with running(gateway, agent):
            for number, part in enumerate(_mixed(python, others)):
                send(agent.http, part)
                kills.get(number, lambda: None)()
            wait_until(lambda: direct.keys() <= _stored(receiver).keys(), "every request in the ledger")
            stored = _stored(receiver)
            verified = receiver.ask("verify")
    finally:
        receiver.end(signal.SIGKILL)

    assert len(direct) > 60
    assert dict.fromkeys(direct, 1) == {key: times for key, (times, _) in stored.items()}
    for key, request in direct.items():
        picousd = getattr(request.price, "cost_picousd", None)
        assert stored[key][1] == (None if picousd is None else Decimal(picousd) / 10**12), key
    assert verified.returncode == 0, verified.stdout


def _joined(parts: list[Otlp]) -> Otlp:
    return {"resourceSpans": [resource for part in parts for resource in part["resourceSpans"]]}


def _mixed(python: list[Otlp], others: list[Otlp]) -> list[Otlp]:
    """Interleave, so that each kill meets both."""
    found = []
    for number in range(max(len(python), len(others))):
        found += [*python[number : number + 1], *others[number : number + 1]]
    return found


def _stored(receiver: Receiver) -> dict[Key, tuple[int, Decimal | None]]:
    """Give how often each request is billed in the end, and its cost."""
    times: dict[Key, int] = defaultdict(int)
    costs: dict[Key, Decimal | None] = {}
    for row in receiver.rows():
        key = row["trace_id"], row["span_id"]
        times[key] += row.get("sign", 1)
        if row["cost_usd"] is not None:
            costs[key] = costs.get(key, Decimal(0)) + row.get("sign", 1) * Decimal(row["cost_usd"])
    return {key: (each, costs.get(key)) for key, each in times.items() if each}
