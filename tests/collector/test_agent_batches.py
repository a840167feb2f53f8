"""What agents send gateways is never too large for them: a message over their limit is refused for good, and dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector.processes import Collector, Sink, post, running, wait_until
from tests.collector.test_backlog import LARGE
from tests.receiver.otlp import a_span, batch, joined

NUMBERS = range(1, 2401)
TIGHT = "receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 17}}}}"
"""A quarter of what gateway.yaml takes, and just over what agent.yaml cuts at."""


@pytest.mark.parametrize("shared", [False, True])
def test_a_backlog_of_an_agent_is_taken(tmp_path: Path, receiver: Sink, shared: bool) -> None:
    """
    An agent kept 100 MB while the gateway was away, in large resources of single spans or in one of many traces, which
    balancing cuts it into: every request arrives, in messages of a quarter of the gateway's 64 MiB.
    """
    (tmp_path / "tight.yaml").write_text(TIGHT)
    files = "gateway.yaml", str(tmp_path / "tight.yaml")
    gateway = Collector(tmp_path, *files, LLMCOST_RECEIVER=receiver.url, LLMCOST_TRACES_PERCENT="0")
    agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]")
    at_once = len(NUMBERS) if shared else 200
    with running(agent):
        for first in NUMBERS[::at_once]:
            spans = [a_span(number, trace=number) for number in range(first, first + at_once)]
            whole = batch(*spans, resource=LARGE) if shared else joined(batch(each, resource=LARGE) for each in spans)
            assert post(agent.http, whole) == 200
        with running(gateway):
            wait_until(lambda: len(receiver.span_keys()) >= len(NUMBERS), "the backlog at the receiver")

    assert set(receiver.span_keys()) == {(f"{number:032x}", f"{number:016x}") for number in NUMBERS}
