"""The chaos as a command: runs plans, prints a table and how to do it again; exit code 3 if ours is not exact,
or a mutant is."""

from __future__ import annotations

import argparse
import sys

from tests.e2e.chaos.driver import Plan, Result, run
from tests.e2e.chaos.mutants import MUTANTS
from tests.e2e.chaos.peers import PEERS

OURS = "otel-llmcost"
_HEAD = (
    "| variant | seed | ended | kills (TERM) | stops | server kills | inserts faulted | lost | doubled | wrong "
    "| rows - want, pUSD | rollups - want, pUSD | drain, s |"
)


def line(result: Result) -> str:
    """Give a run as a line of the table."""
    found, plan = result.audit, result.plan
    rollup = max((cost for _, _, cost in found.rollups_minus_want), key=abs, default=0)
    cells = (
        plan.variant, plan.seed, f"{result.ended:,}", f"{result.killed + result.terminated} ({result.terminated})",
        result.stopped, result.server_kills, f"{result.faulted} of {result.inserts}", f"{found.lost:,}",
        f"{found.doubled:,}", found.ghosts + found.mispriced, f"{found.rows_minus_want:+,}", f"{rollup:+,}",
        f"{result.drain_seconds:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--variant", nargs="*", default=[OURS], help="mutants or peers, by name; or `peers`")
    said = parser.parse_args()
    sys.stdout.write(f"{_HEAD}\n{'|---' * (_HEAD.count('|') - 1)}|\n")
    wrong, again = [], []
    for variant in PEERS if said.variant == ["peers"] else said.variant:
        plan = Plan(seed=said.seed, kills=said.kills, spans=said.spans, variant=variant)
        result = run(plan)
        sys.stdout.write(f"{line(result)}\n")
        again.append(plan.replay)
        sys.stdout.flush()
        if variant not in PEERS and result.is_exact == (variant in MUTANTS):
            wrong.append(f"{variant}: drained {result.drained}, {result.audit}")
    sys.stdout.write("\n".join([*wrong, "Again:", *again, ""]))
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
