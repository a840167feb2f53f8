"""What waited for the receiver arrives, however large it has become."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.collector.processes import Collector, post, running, wait_until
from tests.collector.services import Receiver
from tests.receiver.otlp import a_span, batch, joined

LARGE = {"service.name": "java", "process.command_line": ":".join(f"/app/lib/dependency-{n}.jar" for n in range(1500))}
"""As a JVM's class path makes a resource: 40 KB, on each of few spans."""


def test_a_backlog_of_large_resources_is_taken(tmp_path: Path) -> None:
    """
    What a gateway kept while its receiver was away comes to more bytes than the receiver takes at once (413, which drops
    it for good): every request is billed once nevertheless.
    """
    receiver = Receiver(tmp_path)
    gateway = Collector(
        tmp_path, "gateway.yaml", LLMCOST_RECEIVER=f"http://127.0.0.1:{receiver.port}", LLMCOST_TRACES_PERCENT="0"
    )
    numbers = range(1, 1601)
    with running(gateway):
        for first in numbers[::100]:
            spans = (a_span(number, trace=number) for number in range(first, first + 100))
            assert post(gateway.http, joined(batch(span, resource=LARGE) for span in spans)) == 200
        receiver.start()
        try:
            every = {(f"{number:032x}", f"{number:016x}") for number in numbers}
            wait_until(lambda: every <= receiver.bill().keys(), "the backlog in the ledger")
            billed = receiver.bill()
        finally:
            receiver.end(signal.SIGKILL)

    assert {key: times for key, (times, _) in billed.items()} == dict.fromkeys(every, 1)
