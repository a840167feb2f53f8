"""
What it costs to bring journaled rows into a ledger with all its rollups, how long a killed fleet's journal takes, and how
many inserts a fleet of small processes makes, each shipping by itself and with one shipper per machine.

Directional: run it on a quiet machine, with 3 GB free. `python benchmarks/ship_rows.py [--rows 1000000] [--seconds 60]`
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from benchmarks.ledger_scale import a_request  # noqa: E402  # as a script, the root is on the path only now
from otel_llmcost.journal import Journal, segment_names  # noqa: E402
from otel_llmcost.ledger import Ledger, connect, migrations  # noqa: E402
from otel_llmcost.ledger.row import encode_row, month_of, request_row  # noqa: E402
from otel_llmcost.shipper import drain, ship_once  # noqa: E402
from tests.clickhouse_double import ClickHouseDouble  # noqa: E402

SEGMENT_ROWS = 65_536
PRODUCERS = 4
FLEET = 20
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000, help="journaled by processes that are then killed")
    parser.add_argument("--seconds", type=int, default=60, help="how long the small processes run")
    parser.add_argument("--produce", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--embedded", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.embedded:
        ship_to_folder(arguments.embedded)
        return
    if arguments.produce:
        produce(arguments.produce, arguments.rows)
        return
    with tempfile.TemporaryDirectory(prefix="llmcost-ship-") as place:
        folder = Path(place)
        (folder / "rows").write_bytes(b"\n".join(encoded_rows()))
        ship_to_server(folder)
        ship_in_a_process_of_its_own(folder)
        recover(folder, arguments.rows)
        compare_fleets(folder, arguments.seconds)


def encoded_rows() -> Iterator[bytes]:
    import random

    chance = random.Random(1)
    for index in range(SEGMENT_ROWS):
        yield encode_row(request_row(a_request(chance, index)))


def fill(folder: Path, rows: Path, count: int) -> Journal:
    """Journal so many rows, as a process does that never gets to seal its last segment."""
    journal = Journal(folder, ledger="benchmark", max_bytes=1 << 40)
    month = month_of(1_790_000_000_000_000_000)
    for row in islice(cycle(rows.read_bytes().split(b"\n")), count):
        journal.append("llm_requests", month, row)
    return journal


def produce(folder: Path, count: int) -> None:
    """Write, say so, and wait to be killed."""
    journal = fill(folder / "journal", folder / "rows", count)
    print("written", flush=True)
    time.sleep(3600)
    journal.close()


def cpu_seconds(pid: int) -> float:
    """Give the CPU time of a process, all its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@contextmanager
def merges_held_back(ledger: Ledger) -> Iterator[None]:
    """Keep the engine's own merging out of the figure: it happens at its leisure, and costs the same for every way in."""
    ledger.command("SYSTEM STOP MERGES", what="hold merges back")
    yield
    ledger.command("SYSTEM START MERGES", what="let merges go on")


def ship_to_server(folder: Path) -> None:
    """Ship full segments over HTTP to the engine in another process; CPU of both."""
    with ClickHouseDouble() as server, connect(server.dsn()) as ledger:
        migrations.apply(ledger)
        pid = server.process.pid
        rows, (engine, cpu, spent) = best_turn(ledger, folder, lambda: (cpu_seconds(pid), time.process_time()))
    print(
        f"over HTTP, segments of {SEGMENT_ROWS:,} rows: {rows / (engine + cpu):,.0f} rows per CPU-second (shipper "
        f"{1e6 * cpu / rows:.1f} us a row, engine {1e6 * engine / rows:.1f}), {rows / spent:,.0f} rows/s; best of 3"
    )


def ship_to_folder(folder: Path) -> None:
    """Ship full segments into an embedded ledger: shipper and engine are one process."""
    with connect(f"chdb://{folder}/embedded") as ledger:
        migrations.apply(ledger)
        rows, (_, cpu, spent) = best_turn(ledger, folder, lambda: (0.0, time.process_time()))
    print(
        f"embedded, segments of {SEGMENT_ROWS:,} rows: {rows / cpu:,.0f} rows per CPU-second, {rows / spent:,.0f} rows/s; "
        "best of 3"
    )


def ship_in_a_process_of_its_own(folder: Path) -> None:
    """Run that in a child: an engine keeps to one folder for as long as its process lives."""
    subprocess.run([sys.executable, __file__, "--embedded", str(folder)], check=True)


def best_turn(
    ledger: Ledger, folder: Path, clocks: Callable[[], tuple[float, float]]
) -> tuple[int, tuple[float, float, float]]:
    """Ship the same rows again and again; the first turn warms up. Give how many, and the least CPU and seconds."""
    count = 4 * SEGMENT_ROWS
    turns = []
    for _ in range(4):
        fill(folder / "turn", folder / "rows", count).close()
        with merges_held_back(ledger):
            before, start = clocks(), time.perf_counter()
            shipped = ship_once(ledger, folder / "turn", fingerprint="benchmark")
            after, spent = clocks(), time.perf_counter() - start
        assert (shipped.rows, shipped.left) == (count, 0), shipped
        turns.append((after[0] - before[0], after[1] - before[1], spent))
    return count, min(turns[1:], key=lambda turn: turn[0] + turn[1])


def recover(folder: Path, rows: int) -> None:
    """Let processes write, kill them with SIGKILL, and ship what they left into an embedded ledger."""
    command = [sys.executable, __file__, "--produce", str(folder), "--rows", str(rows // PRODUCERS)]
    producers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PRODUCERS)]
    for producer in producers:
        assert producer.stdout is not None
        producer.stdout.readline()
        producer.send_signal(signal.SIGKILL)
        producer.wait()
    journal = folder / "journal"
    segments = len(segment_names(journal))
    with connect(f"chdb://{folder}/ledger") as ledger:
        migrations.apply(ledger)
        with merges_held_back(ledger):
            cpu, start = time.process_time(), time.perf_counter()
            drained = drain(ledger, journal, fingerprint="benchmark", wait_seconds=0.0)
            spent, cpu = time.perf_counter() - start, time.process_time() - cpu
        assert (drained.rows, drained.left) == (rows, 0), drained
        counted = ledger.command("SELECT count() FROM llm_requests", what="count")
        assert counted == rows, counted
    print(
        f"after kill -9 of {PRODUCERS} processes: {rows:,} rows in {segments} segments adopted, checked and in the embedded "
        f"ledger after {spent:.1f} s; {rows / cpu:,.0f} rows per CPU-second, shipper and engine"
    )


class CountingLedger:
    """Counts inserts."""

    def __init__(self) -> None:
        self.inserts = self.rows = 0

    def insert(self, table: str, payload: bytes, *, token: str) -> None:
        """Count."""
        self.inserts += 1
        self.rows += payload.count(b"\n")

    def has_batch(self, table: str, batch_id: str) -> bool:
        """Know nothing."""
        return False

    def mark_for_repair(self, table: str, month: str, batch_id: str, reason: str) -> None:
        """Find nothing to mark."""
        raise AssertionError


def compare_fleets(folder: Path, seconds: int) -> None:
    """Let 20 journals take a row a second each, in two folders: one shipped as each seals, one every 5 seconds, merged."""
    places = {merging: folder / f"fleet-{merging}" for merging in (False, True)}
    ledgers = {merging: CountingLedger() for merging in places}
    fleet = [Journal(place, ledger="benchmark") for place in places.values() for _ in range(FLEET)]
    row = (folder / "rows").read_bytes().partition(b"\n")[0]
    start = time.perf_counter()
    for second in range(seconds):
        for number, journal in enumerate(fleet):
            time.sleep(max(0.0, start + second + number / len(fleet) - time.perf_counter()))
            journal.append("llm_requests", "202609", row)
            journal.maintain()
            if number < FLEET:
                ship_once(ledgers[False], places[False], fingerprint="benchmark")
        if second % 5 == 4:
            ship_once(ledgers[True], places[True], fingerprint="benchmark", merging=True)
    for merging, ledger in ledgers.items():
        who = "one shipper, merged" if merging else "each ships by itself"
        print(
            f"{FLEET} processes, a row a second each, {seconds} s, {who}: {ledger.inserts / seconds:.2f} inserts/s, "
            f"{ledger.rows / max(1, ledger.inserts):.0f} rows each"
        )


if __name__ == "__main__":
    main()
