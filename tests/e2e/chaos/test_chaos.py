"""The chaos in short: nothing lost, nothing doubled; and proof that it would notice. `make chaos` is the long one."""

from __future__ import annotations

import os

import pytest

from tests.e2e.chaos.driver import Plan, run
from tests.e2e.chaos.mutants import MUTANTS
from tests.e2e.faults.audit import Audit


def test_nothing_is_lost_and_nothing_is_doubled() -> None:
    """
    Faults 22, 50, 95, 96: five producers are killed and stopped, the server is killed, most inserts fail; then every
    request whose `end()` had returned is stored once, at its cost, and rollups equal rows and adjustments.
    """
    result = run(Plan(kills=10, spans=3000, inserts=15, spans_per_second=150))
    assert result.drained
    assert result.audit == Audit()
    assert result.ended >= 3000


@pytest.mark.skipif("LLMCOST_CHAOS" not in os.environ, reason="the chaos with each protection taken out: make chaos")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_protection_is_needed(mutant: str) -> None:
    """
    With any one protection taken out, the same run finds requests lost, doubled or rollups that differ.
    """
    result = run(Plan(kills=8, spans=2000, inserts=25, spans_per_second=150, variant=mutant))
    assert result.drained
    assert getattr(result.audit, MUTANTS[mutant].breaks)
