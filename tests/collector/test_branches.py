"""What each branch carries, and where each trace goes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.collector.processes import Collector, Sink, post, running, wait_until
from tests.receiver.otlp import a_span, batch

DRAWN = random.Random(7)
TRACES = [DRAWN.getrandbits(128) for _ in range(300)]
"""As random as trace ids are: samplers and balancers go by them."""
PLAIN = {"http.request.method": "POST"}


def test_sampling_loses_no_cost(tmp_path: Path, receiver: Sink, backend: Sink) -> None:
    """
    Traces are sampled behind the fork: the receiver gets every request once and nothing else, the tracing backend some
    traces, each of them whole.
    """
    gateway = Collector(
        tmp_path, "gateway.yaml", LLMCOST_RECEIVER=receiver.url, LLMCOST_TRACES=backend.url, LLMCOST_TRACES_PERCENT="20"
    )
    with running(gateway):
        for trace in TRACES:
            spans = a_span(1, trace=trace, attributes=PLAIN), a_span(2, parent=1, trace=trace)
            assert post(gateway.http, batch(*spans)) == 200
        wait_until(lambda: len(receiver.span_keys()) >= len(TRACES), "every request at the receiver")
        wait_until(lambda: len(backend.span_keys()) >= len(TRACES) // 10, "some traces at the backend")

    assert Counter(receiver.span_keys()) == Counter((f"{trace:032x}", f"{2:016x}") for trace in TRACES)
    sampled = Counter(trace for trace, _ in backend.span_keys())
    assert 0 < len(sampled) < len(TRACES) // 2
    assert set(sampled.values()) == {2}


def test_a_trace_goes_to_one_gateway(tmp_path: Path, receiver: Sink, backend: Sink) -> None:
    """Agents spread traces over gateways, and spans of one trace that come one by one still meet in one of them."""
    sinks = (receiver, backend)
    gateways = [
        Collector(folder, "gateway.yaml", LLMCOST_RECEIVER=sink.url, LLMCOST_TRACES_PERCENT="0")
        for sink, folder in zip(sinks, (tmp_path / "one", tmp_path / "two"), strict=True)
        if not folder.mkdir()
    ]
    addresses = ", ".join(f"127.0.0.1:{gateway.grpc}" for gateway in gateways)
    agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[{addresses}]")
    with running(*gateways, agent):
        for number in (1, 2, 3):
            for trace in TRACES[:40]:
                assert post(agent.http, batch(a_span(number, trace=trace))) == 200
        wait_until(lambda: sum(len(sink.span_keys()) for sink in sinks) >= 120, "every request at a receiver")

    one, two = ({trace for trace, _ in sink.span_keys()} for sink in sinks)
    assert one
    assert two
    assert not one & two
    assert len(one | two) == 40
