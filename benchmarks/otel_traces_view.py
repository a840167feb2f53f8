"""
What the view over a Collector's table of traces costs: spans into that table alone, with the view, and with every rollup.

The engine is embedded, and spans are inserted in blocks as the Collector's exporter does. Directional: run it on a quiet
machine. `python benchmarks/otel_traces_view.py [--rows 65536] [--turns 5]`
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from benchmarks.ledger_scale import a_request  # noqa: E402  # as a script, the root is on the path only now
from otel_llmcost.ledger import Ledger, connect, migrations  # noqa: E402
from otel_llmcost.ledger.otel_traces import TracesTable, apply_views  # noqa: E402
from tests.otel_traces.conftest import KINDS, export, new_table, stamped  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=65_536, help="spans of one insert")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    chance = random.Random(1)
    spans = [stamped(a_request(chance, index)) for index in range(arguments.rows)]
    size = sum(len(orjson.dumps(span["SpanAttributes"])) for span in spans) / len(spans)
    print(f"{arguments.rows:,} priced spans an insert, {size:,.0f} bytes of attributes each; best of {arguments.turns}")
    with tempfile.TemporaryDirectory(prefix="llmcost-view-") as folder, connect(f"chdb://{folder}/ledger") as ledger:
        migrations.apply(ledger)
        ledger.command("SYSTEM STOP MERGES", what="hold merges back")
        for kind in KINDS:
            measure(ledger, kind, spans, arguments.turns)


def measure(ledger: Ledger, kind: str, spans: list[dict[str, Any]], turns: int) -> None:
    """Fill a table without the views and one with them, turn about, from a third that has the spans."""
    held, alone, viewed = (new_table(ledger, kind) for _ in range(3))
    export(ledger, held, kind, spans)
    apply_views(ledger, viewed)
    pairs = [(turn(ledger, held, alone), turn(ledger, held, viewed)) for _ in range(turns)]
    for name, spent in zip(("alone", "with view, rows and rollups"), zip(*pairs, strict=True), strict=True):
        cpu, wall = (min(each[place] for each in spent) / len(spans) for place in (0, 1))
        print(
            f"{kind:<4} {name:<27} {1 / wall:>9,.0f} spans/s {1 / cpu:>9,.0f} per CPU-second, {1e6 * cpu:.1f} us each"
        )


def turn(ledger: Ledger, held: TracesTable, target: TracesTable) -> tuple[float, float]:
    """Give (CPU, wall) seconds of the engine for one insert of one block; each turn has traces of its own."""
    cpu, wall = time.process_time(), time.perf_counter()
    one_block = (
        "max_threads = 1, max_insert_threads = 1, min_insert_block_size_rows = 1000000, min_insert_block_size_bytes = 0"
    )
    ledger.command(
        f"INSERT INTO {target} SELECT * REPLACE (lower(hex(generateUUIDv4())) AS TraceId) FROM {held} SETTINGS {one_block}",  # noqa: S608
        what="copy spans",
    )
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    main()
