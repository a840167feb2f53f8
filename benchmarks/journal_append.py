"""
What a row costs its caller: `Journal.append` beside a bare `os.write` of the same bytes, and what reading costs.

Directional: run it on a quiet machine. `python benchmarks/journal_append.py [rows]`
"""

from __future__ import annotations

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
def maintained(journal: Journal) -> Iterator[None]:
    """Sync the journal all the time, where an application does it once a second."""
    stop = threading.Event()

    def maintain() -> None:
        while not stop.wait(0.001):
            journal.maintain()

    thread = threading.Thread(target=maintain)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        journal = Journal(Path(place) / "journal", ledger="benchmark", max_bytes=1 << 40)
        journal.append("llm_requests", "202611", ROW)
        bytes_per_row = len(ROW) + 51 + 8  # batch_id and its brace, line end, length and checksum
        bare = os.open(Path(place) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        record = b"x" * bytes_per_row
        gc.disable()
        for turn in range(3):
            print(f"-- {rows} rows of {len(ROW)} bytes, turn {turn + 1}")
            write = show("os.write, bare", microseconds(lambda: os.write(bare, record), rows))
            append = show("Journal.append", microseconds(lambda: journal.append("llm_requests", "202611", ROW), rows))
            print(f"over the bare write    {append - write:.2f} us, ratio {append / write:.2f}")
        print("-- the same while the disk is saturated and each row is synced as soon as possible")
        with saturated(Path(place)), maintained(journal):
            show("os.write, bare", microseconds(lambda: os.write(bare, record), rows))
            show("Journal.append", microseconds(lambda: journal.append("llm_requests", "202611", ROW), rows))
        gc.enable()
        journal.flush()
        start, count, size = time.perf_counter(), 0, 0
        for segment in waiting(Path(place) / "journal", "benchmark"):
            size += len(segment.payload())
            count += segment.rows
            segment.remove()
        spent = time.perf_counter() - start
        print(f"-- adopt, check, slice, remove: {count / spent:,.0f} rows/s, {size / spent / 1e6:,.0f} MB/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
