"""Services in any language, through the real Collector and the receiver, into the ledger: each request once."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import pytest

from otel_llmcost import Pricer
from tests.collector.otlp import Otlp, bill
from tests.collector.processes import Collector, running, wait_until
from tests.collector.services import Receiver, from_python, recorded, send
from tests.receiver.otlp import joined


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
    direct = {key: each.request for key, each in bill(joined(others), pricer).items()}
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
            wait_until(lambda: direct.keys() <= receiver.bill().keys(), "every request in the ledger")
            stored = receiver.bill()
            verified = receiver.ask("verify")
    finally:
        receiver.end(signal.SIGKILL)

    assert len(direct) > 60
    assert dict.fromkeys(direct, 1) == {key: times for key, (times, _) in stored.items()}
    for key, request in direct.items():
        picousd = getattr(request.price, "cost_picousd", None)
        assert stored[key][1] == (None if picousd is None else Decimal(picousd) / 10**12), key
    assert verified.returncode == 0, verified.stdout


def _mixed(python: list[Otlp], others: list[Otlp]) -> list[Otlp]:
    """Interleave, so that each kill meets both."""
    found = []
    for number in range(max(len(python), len(others))):
        found += [*python[number : number + 1], *others[number : number + 1]]
    return found
