"""
The owner of an embedded ledger, as a process that may die: ships its journal, then prints what is stored.

    python -m tests.shipper.embedded_process <ledger's folder> [inserts to survive before kill -9 between insert and removal]
"""

import json
import os
import signal
import sys
from pathlib import Path

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.shipper import ship_once

TOTALS = (
    "SELECT count(), uniqExact(span_id), sum(cost_usd), (SELECT sum(requests) FROM spend_by_hour), "
    "(SELECT sum(cost_usd) FROM spend_by_hour) FROM llm_requests"
)


def totals(ledger: Ledger) -> list[str]:
    """
    Give rows, distinct rows, their cost, the rollup's rows, the rollup's cost.
    """
    return [str(value) for value in ledger.command(TOTALS, what="count the rows")]


def main(folder: Path, survived: int | None) -> None:
    """
    Ship; die after so many inserts if told.
    """
    ledger = connect(f"chdb://{folder}")
    migrations.apply(ledger)
    insert, done = ledger.insert, 0

    def dying(table: str, payload: bytes, *, token: str) -> None:
        nonlocal done
        insert(table, payload, token=token)
        done += 1
        if done == survived:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.insert = dying  # type: ignore[method-assign]
    shipped = ship_once(ledger, folder / "journal", fingerprint="test")
    print(json.dumps({"left": shipped.left, "stopped": str(shipped.stopped), "totals": totals(ledger)}))  # noqa: T201
    ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
