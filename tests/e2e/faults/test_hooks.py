"""Inside the hooks that the SDK calls: whatever goes wrong there, the user's code neither sees it nor waits for it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import orjson
import pytest
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_llmcost
from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, Settings, counters, fence
from otel_llmcost.attributes import RECORDED
from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import backlog, waiting
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.pricing import Pricer
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.e2e.faults.application import CALL
from tests.e2e.faults.audit import over_http

PACKAGE = str(Path(otel_llmcost.__file__).parent)
UNFENCED = (fence.__file__, counters.__file__)
"""Not behind the fence: the fence's own frames, and what it counts with."""
LONGEST_HOOK_S = 0.005


@pytest.fixture(autouse=True)
def _as_in_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the fence up, as users have it; what it has logged here is not said for the tests that follow."""
    monkeypatch.setattr(fence, "RERAISE", False)
    monkeypatch.setattr(fence, "_seen", set())
    Pricer.default().wait()
    COUNTERS.reset()


@pytest.fixture(name="exporter")
def _exporter(tmp_path: Path) -> Iterator[ClickHouseSpanExporter]:
    exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
    yield exporter
    exporter.shutdown()


@pytest.fixture(name="provider")
def _provider(exporter: ClickHouseSpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    return provider


def call(provider: TracerProvider, *, failing: bool = False) -> Span:
    """Do what the user's code does round a request: it has a result, or an error of its own."""
    attributes = CALL | {"gen_ai.usage.input_tokens": 5, "gen_ai.response.id": os.urandom(16).hex()}
    with provider.get_tracer("hooks").start_as_current_span("chat", attributes=attributes) as span:
        assert isinstance(span, Span)
        if failing:
            raise KeyError("the user's own")
    return span


def stored(exporter: ClickHouseSpanExporter) -> list[str]:
    """Give the ids of the spans in the journal."""
    exporter.force_flush()
    found = []
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        if segment.table == "llm_requests":
            found += [orjson.loads(line)["span_id"] for line in segment.payload().splitlines()]
        segment.release()
    return sorted(found)


def said_lost() -> int:
    """Count what our counters say of rows that were not journaled."""
    counts = COUNTERS.snapshot()
    return sum(count for name, count in counts.items() if name.startswith("fence.") or name == "exporter.rows_refused")


class Saboteur:
    """Lets the n-th call of a function of ours fail, in this thread."""

    def __init__(self, nth: int, error: type[BaseException]) -> None:
        self._left = nth
        self._error = error
        self.done = False

    def __enter__(self) -> Saboteur:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_exception: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE) or code.co_filename in UNFENCED:
            return
        if code.co_flags & inspect.CO_GENERATOR:  # called again as it is closed, where an error reaches nobody
            return
        self._left -= 1
        if self._left == 0:
            self.done = True
            sys.setprofile(None)
            raise self._error(f"injected into {code.co_qualname}")


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, RecursionError, OSError])
def test_each_call_inside_may_fail(
    provider: TracerProvider, exporter: ClickHouseSpanExporter, error: type[Exception]
) -> None:
    """
    Faults 32 and 33: with an error in the n-th call of any function of ours, for every n: no exception reaches the user,
    the user's own is unchanged, and a request that is not in the journal is counted.
    """
    call(provider)
    ended, nth = [], 0
    while True:
        nth += 1
        with Saboteur(nth, error) as saboteur:
            if nth % 2:
                ended.append(f"{call(provider).get_span_context().span_id:016x}")
            else:
                with pytest.raises(KeyError, match="the user's own"):
                    call(provider, failing=True)
        if not saboteur.done:
            break
    rows = stored(exporter)
    assert nth > 60, "so many calls, at least, were let fail"
    assert len(rows) == len(set(rows))
    assert 1 + nth - len(rows) <= said_lost(), "nothing is lost in silence"
    assert len(ended) > 30
    call(provider)
    assert len(stored(exporter)) == len(rows) + 1, "what follows works"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass(
    provider: TracerProvider, exporter: ClickHouseSpanExporter, error: type[BaseException]
) -> None:
    """
    Fault 33: Ctrl-C and `sys.exit` inside a hook are the user's, wherever they strike, and harm no other request.
    """
    ended, nth = [], 0
    while True:
        nth += 1
        try:
            with Saboteur(nth, error):
                call(provider)
        except error:
            ended.append(f"{call(provider).get_span_context().span_id:016x}")
        else:
            break
    rows = stored(exporter)
    assert len(ended) == nth - 1 > 60
    assert len(rows) == len(set(rows))
    assert set(ended) <= set(rows)


def test_flush_and_shutdown_may_fail_inside(tmp_path: Path) -> None:
    """
    Fault 32: with an error in the n-th call of any function of ours, `force_flush` and `shutdown` do not raise.
    """
    nth, saboteur = 0, Saboteur(1, OSError)
    while nth == 0 or saboteur.done:
        nth += 1
        provider = TracerProvider(shutdown_on_exit=False)
        exporter = ClickHouseSpanExporter(f"chdb://{tmp_path}/ledger")
        provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
        call(provider)
        with Saboteur(nth, OSError) as saboteur:
            provider.force_flush()
            provider.shutdown()
        exporter.shutdown()
    assert nth > 10
    assert COUNTERS["fence.force_flush"] > 2 < COUNTERS["fence.shutdown"]
    assert len(stored(exporter)) == nth, "and whatever failed, the rows are there"


def test_two_providers(tmp_path: Path, exporter: ClickHouseSpanExporter) -> None:
    """
    Fault 34: two providers with a processor each, and one provider with two, make one row of each request.
    """
    providers = [TracerProvider(shutdown_on_exit=False) for _ in range(2)]
    for provider in providers:
        for _ in range(2):
            provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    ended = sorted(f"{call(providers[number % 2]).get_span_context().span_id:016x}" for number in range(100))
    assert stored(exporter) == ended


def test_many_threads_while_segments_are_sealed(provider: TracerProvider, exporter: ClickHouseSpanExporter) -> None:
    """
    Fault 35: 64 threads end 500 spans each while the journal is sealed all the time; each is there once.
    """
    ended: list[list[int]] = [[] for _ in range(64)]
    stop = threading.Event()

    def end(mine: list[int]) -> None:
        for _ in range(500):
            mine.append(call(provider).get_span_context().span_id)

    def seal() -> None:
        while not stop.is_set():
            exporter.force_flush()

    threads = [threading.Thread(target=end, args=(mine,)) for mine in ended]
    sealing = threading.Thread(target=seal)
    for thread in [*threads, sealing]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    sealing.join()
    assert stored(exporter) == sorted(f"{span_id:016x}" for mine in ended for span_id in mine)
    assert COUNTERS["journal.torn"] == COUNTERS["journal.damaged"] == 0


def test_the_event_loop(
    provider: TracerProvider, exporter: ClickHouseSpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Fault 31: of 10,000 tasks, every tenth cancelled inside its request, each is one row; no hook holds the loop's thread
    for 5 ms of its own time.
    """
    longest = 0.0

    def timed(hook: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object, **options: object) -> None:
            nonlocal longest
            began = time.thread_time()
            hook(*arguments, **options)
            longest = max(longest, time.thread_time() - began)

        return run

    call(provider)
    (processor,) = provider._active_span_processor._span_processors
    for hook in ("on_start", "_on_ending", "on_end"):
        monkeypatch.setattr(processor, hook, timed(getattr(processor, hook)))

    async def request(number: int) -> None:
        attributes = CALL | {"gen_ai.usage.input_tokens": number, "gen_ai.response.id": f"r-{number}"}
        with provider.get_tracer("hooks").start_as_current_span("chat", attributes=attributes):
            await asyncio.sleep(3600 if number % 10 == 0 else 0.01)

    async def requests() -> int:
        tasks = [asyncio.create_task(request(number)) for number in range(10_000)]
        await asyncio.sleep(0.1)
        for task in tasks[::10]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return sum(isinstance(result, asyncio.CancelledError) for result in results)

    gc.disable()  # with 10,000 tasks alive a collection takes 50 to 160 ms, with us or without, in whoever allocates next
    try:
        assert asyncio.run(requests()) == 1000
    finally:
        gc.enable()
    rows = stored(exporter)
    assert len(rows) == len(set(rows)) == 10_001
    assert longest < LONGEST_HOOK_S


@pytest.fixture(name="hung", scope="module")
def _hung() -> Iterator[ClickHouseDouble]:
    with ClickHouseDouble() as server:
        server.inject(Fault("before", "hang", times=1000, value="30"))
        yield server


def test_shutdown_and_flush_keep_their_time(tmp_path: Path, hung: ClickHouseDouble) -> None:
    """
    Fault 36: with a server that hangs, `force_flush` says False after its timeout, `shutdown` ends within 2 seconds and
    may be called again, and a flush afterwards neither hangs nor claims success.
    """
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=hung.dsn(), journal_dir=tmp_path / "journal"))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    call(provider)
    assert (took(lambda: provider.force_flush(500)), exporter.force_flush(100)) == (pytest.approx(0.5, abs=0.4), False)
    assert took(provider.shutdown) < 2.0 + 0.5
    assert took(exporter.shutdown) < 0.1
    assert took(lambda: exporter.force_flush(500)) < 1.0
    assert not exporter.force_flush(100)
    span = call(provider)
    assert RECORDED not in (span.attributes or {}), "what ends after the shutdown claims no record"
    assert COUNTERS["exporter.rows_refused"] == 1


def test_a_program_of_a_second_ships_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 24: what ended since the start is in the ledger after the shutdown, though no segment was due to be sealed.
    """
    monkeypatch.setattr("otel_llmcost.exporter._EXIT_S", 20.0)  # this machine may have other work
    with ClickHouseDouble() as server:
        with connect(server.dsn()) as ledger:
            migrations.apply(ledger)
        exporter = ClickHouseSpanExporter(settings=Settings(dsn=server.dsn(), journal_dir=tmp_path / "journal"))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
        ended = [f"{call(provider).get_span_context().span_id:016x}" for _ in range(10)]
        provider.shutdown()
        rows = over_http(server.dsn())("SELECT span_id FROM llm_requests ORDER BY span_id")
    assert [span_id for [span_id] in rows] == sorted(ended)
    assert backlog(exporter.journal_dir).segments == 0


def took(work: Callable[[], object]) -> float:
    """Give the seconds that something took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_later_processors_see_every_span(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch, exporter: ClickHouseSpanExporter
) -> None:
    """
    Fault 32: when our hooks fail, the exporters of the application's other processors still get each span.
    """
    seen = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    monkeypatch.setattr(exporter.meter, "meter", lambda *_arguments, **_options: 1 / 0)
    for _ in range(5):
        call(provider)
    assert len(seen.get_finished_spans()) == 5
