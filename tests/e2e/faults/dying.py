"""
An application that ends in the way that it is told, for the tests of what survives.

    python -m tests.e2e.faults.dying <how> <folder> <DSN>

Standard output has the id of each span whose `end()` had returned, one a line, written at once. A span that the journal
refused, and said so, is written with a minus sign.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

from opentelemetry.sdk.trace import Span, TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Settings
from otel_llmcost.attributes import RECORDED
from tests.e2e.faults.application import CALL

USAGE = {"gen_ai.usage.input_tokens": 5}


def begin(dsn: str, folder: Path) -> TracerProvider:
    """Set up what an application has: a provider that shuts down when the interpreter ends, with our processor."""
    provider = TracerProvider()
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=dsn, journal_dir=folder / "journal"))
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    return provider


def end_spans(provider: TracerProvider, count: int) -> None:
    """End spans, and say so after each."""
    tracer = provider.get_tracer("dying")
    for _ in range(count):
        span = tracer.start_span("chat", attributes=CALL | USAGE | {"gen_ai.response.id": os.urandom(16).hex()})
        span.end()
        assert isinstance(span, Span)
        recorded = (span.attributes or {}).get(RECORDED) is True
        os.write(1, f"{'' if recorded else '-'}{span.get_span_context().span_id:016x}\n".encode())


def wait_to_be_killed() -> None:
    """Tell that all is done, and wait; a signal that who started the tests ignores, as nohup does, ends it too."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    os.write(1, b"ready\n")
    time.sleep(60)


def crash() -> None:
    """Read at address 0, as a faulty C extension does."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    ctypes.string_at(0)


def exec_another(provider: TracerProvider) -> None:
    """Become another program, which ends spans of its own."""
    if "again" not in sys.argv:
        os.execv(sys.executable, [sys.executable, "-m", "tests.e2e.faults.dying", *sys.argv[1:], "again"])  # noqa: S606


def fork_while_spans_end(provider: TracerProvider) -> None:
    """Fork while another thread is at it; children end spans too, and leave without a good-bye."""
    thread = threading.Thread(target=end_spans, args=(provider, 300))
    thread.start()
    children = []
    while thread.is_alive() and len(children) < 8:
        if not (child := os.fork()):
            end_spans(provider, 20)
            os._exit(0)
        children.append(child)
        time.sleep(0.01)
    for child in children:
        os.waitpid(child, 0)
    thread.join()


def work_in_a_pool(provider: TracerProvider) -> None:
    """Let a pool's processes end spans, each of which is replaced after two tasks, and killed at the end."""
    _shared.append(provider)
    context = multiprocessing.get_context("fork")
    with context.Pool(3, maxtasksperchild=2) as pool:
        pool.map(_task, range(12), chunksize=1)
    children = [context.Process(target=end_spans, args=(provider, 20)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()


_shared: list[TracerProvider] = []
"""What a forked worker finds."""


def _task(_number: int) -> None:
    end_spans(_shared[0], 10)


def end_spans_while_the_interpreter_ends(provider: TracerProvider) -> None:
    """End spans in a daemon thread and in handlers that run at exit, before and after the provider's own."""
    atexit.register(end_spans, provider, 10)
    threading.Thread(target=end_spans, args=(provider, 100_000), daemon=True).start()
    time.sleep(0.2)


WAYS = {
    "waits": lambda _provider: wait_to_be_killed(),
    "exits at once": lambda _provider: os._exit(7),
    "aborts": lambda _provider: os.abort(),
    "crashes": lambda _provider: crash(),
    "returns": lambda _provider: None,
    "exits": lambda _provider: sys.exit(3),
    "raises": lambda _provider: 1 / 0,
    "shuts down": lambda provider: provider.shutdown(),
    "becomes another": exec_another,
    "forks": fork_while_spans_end,
    "has a pool": work_in_a_pool,
    "ends spans at exit": end_spans_while_the_interpreter_ends,
}


def main(how: str, folder: str, dsn: str) -> None:
    """End spans, and then end."""
    if how == "ends spans at exit":
        atexit.register(lambda: end_spans(provider, 10))  # runs after the provider has shut down
    provider = begin(dsn, Path(folder))
    end_spans(provider, 100)
    WAYS[how](provider)


if __name__ == "__main__":
    main(*sys.argv[1:4])
