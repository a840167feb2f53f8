"""
The demo's history, made in a process of its own, which alone may own the embedded engine.

    python -m tests.demo.history_process <folder> <requests> <seed> <now, ISO>
"""

import hashlib
import sys
from datetime import date, datetime
from pathlib import Path

from otel_llmcost.demo.history import history
from otel_llmcost.ledger import connect
from otel_llmcost.reports import requests


def main(folder: str, count: str, seed: str, now: str) -> None:
    """
    Make it; print how many requests were said to be stored, and the hash of all rows.
    """
    stored = 0

    def done(more: int) -> None:
        nonlocal stored
        stored += more

    history(Path(folder), int(count), int(seed), done, now=datetime.fromisoformat(now))
    with connect(f"chdb://{folder}") as ledger:
        rows = requests(ledger, since=date(2026, 1, 1), until=date(2027, 1, 1), limit=2 * int(count))
    lines = "\n".join(sorted(map(repr, rows)))
    print(stored, hashlib.sha256(lines.encode()).hexdigest())  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
