"""
What a row costs its caller: `Journal.append` beside a bare `os.write` of the same bytes, and what reading costs.

Directional: run it on a quiet machine. `python benchmarks/journal_append.py [rows] [--saturate] [--idle SECONDS]`:
with the disk kept busy by another process only, or what an exporter costs that has nothing to do.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_llmcost.journal import Journal, waiting

ROW = b'{"timestamp":"2026-11-21T12:00:00.000000Z","team":"search","text":"%s"}' % (b"x" * 740)


def microseconds(work: Callable[[], object], times: int) -> list[float]:
    """Time each call; the clock's own 0.1 us is in every figure, on both sides alike."""
    clock, spent = time.perf_counter_ns, []
    for _ in range(times):
        start = clock()
        work()
        spent.append((clock() - start) / 1000)
    return sorted(spent)


def show(what: str, spent: list[float]) -> float:
    p50, p99, p999 = (spent[int(len(spent) * share)] for share in (0.5, 0.99, 0.999))
    print(f"{what:<22} p50 {p50:6.2f} us   p99 {p99:6.2f} us   p99.9 {p999:7.2f} us")
    return p50


@contextmanager
def saturated(place: Path) -> Iterator[None]:
    """Keep the disk busy from another process: 4 MiB, fsync, again."""
    code = (
        "import os,sys\nf=os.open(sys.argv[1],os.O_CREAT|os.O_RDWR)\nwhile 1: os.pwrite(f,b'x'*(1<<22),0); os.fsync(f)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(place / "noise")])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def maintained(journal: Journal, every_seconds: float) -> Iterator[None]:
    """Sync the journal from another thread; an application does it once a second."""
    stop = threading.Event()

    def maintain() -> None:
        while not stop.wait(every_seconds):
            journal.maintain()

    thread = threading.Thread(target=maintain)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def appending(place: Path, journal: Journal, rows: int) -> None:
    bytes_per_row = len(ROW) + 51 + 8  # batch_id and its brace, line end, length and checksum
    bare = os.open(place / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    record = b"x" * bytes_per_row
    for turn in range(3):
        print(f"-- {rows} rows of {len(ROW)} bytes, turn {turn + 1}")
        write = show("os.write, bare", microseconds(lambda: os.write(bare, record), rows))
        append = show("Journal.append", microseconds(lambda: journal.append("llm_requests", "202611", ROW), rows))
        print(f"over the bare write    {append - write:.2f} us, ratio {append / write:.2f}")
    os.close(bare)


def appending_to_a_busy_disk(place: Path, journal: Journal, rows: int) -> None:
    for every_seconds in (1.0, 0.001):
        print(f"-- the same while the disk is saturated and rows are synced every {every_seconds} s")
        with saturated(place), maintained(journal, every_seconds):
            show("Journal.append", microseconds(lambda: journal.append("llm_requests", "202611", ROW), rows))


def reading(place: Path, journal: Journal) -> None:
    journal.flush()
    start, count, size = time.perf_counter(), 0, 0
    for segment in waiting(place / "journal", "benchmark"):
        size += len(segment.payload())
        count += segment.rows
        segment.remove()
    spent = time.perf_counter() - start
    print(f"-- adopt, check, slice, remove: {count / spent:,.0f} rows/s, {size / spent / 1e6:,.0f} MB/s")


def idling(place: Path, seconds: float) -> None:
    """Measure this process while its exporter, which has written before, has nothing to do."""
    from otel_llmcost import ClickHouseSpanExporter, Settings

    settings = Settings(dsn="http://127.0.0.1:9/llmcost", journal_dir=place / "idle", metrics=False)
    exporter = ClickHouseSpanExporter(settings=settings)
    exporter.append("llm_rates", 1_795_000_000_000_000_000, {"rate_id": "benchmark"})
    exporter.force_flush(2000)
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        segment.remove()
    time.sleep(3)  # the shipper's first pause
    cpu, start = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - start)
    print(f"-- an idle exporter, {threading.active_count()} threads: {share:.4%} of a core over {seconds:.0f} s")
    exporter.shutdown()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("rows", nargs="?", type=int, default=60_000)
    options.add_argument("--saturate", action="store_true")
    options.add_argument("--idle", type=float, metavar="SECONDS")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if chosen.idle:
            idling(place, chosen.idle)
            return
        journal = Journal(place / "journal", ledger="benchmark", max_bytes=1 << 40)
        journal.append("llm_requests", "202611", ROW)
        gc.disable()
        if not chosen.saturate:
            appending(place, journal, chosen.rows)
        appending_to_a_busy_disk(place, journal, chosen.rows)
        gc.enable()
        reading(place, journal)


if __name__ == "__main__":
    main()
