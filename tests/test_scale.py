"""docs/scale.md: its SQL runs, and what it derives is what its figures give."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations

GUIDE: Final = (Path(__file__).parent.parent / "docs" / "scale.md").read_text()
STATEMENTS: Final = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]


def run(ledger: Ledger, statement: str) -> None:
    """Run it, or have it parsed where it needs storage that is not here."""
    if "storage_policy" in statement or "TO VOLUME" in statement:
        ledger.command("SELECT formatQuery({sql:String})", {"sql": statement}, what="parse")
    else:
        ledger.command(statement, what="run")


def test_every_statement_is_accepted_by_the_engine() -> None:
    """On a ledger as `schema apply` makes it."""
    assert len(STATEMENTS) == 7
    with connect("chdb://memory") as ledger:
        migrations.apply(ledger)
        for statement in STATEMENTS:
            run(ledger, statement)


def number(pattern: str) -> float:
    """Give the one number that the guide has there."""
    found = re.search(pattern, GUIDE)
    assert found is not None, pattern
    return float(found[1].replace(",", ""))


def test_the_steps_follow_from_the_figures() -> None:
    """Cores, bytes, seconds: computed again."""
    agent, gateway, receiver = number(r"F1 .*?\| (\d+) µs"), number(r"F2 .*?\| (\d+) µs"), number(r"F3 .*?\| (\d+) µs")
    row, journaled, month = number(r"F9 .*?\| (\d+) bytes"), number(r"F8 .*?\| (\d+) bytes"), 30 * 86_400
    small, merge = number(r"F5 .*?\| (\d+) µs"), number(r"F5 .*?and (\d+) to merge")
    assert number(r"agents, one per machine \| (\d+) %") == pytest.approx(1_000 * agent / 1e6 * 100, abs=0.5)
    assert number(r"for one of them to fail; (\d+) %") == pytest.approx(1_000 * gateway / 1e6 * 100, abs=0.5)
    assert number(r"2; (\d+) % of a core together") == pytest.approx(1_000 * receiver / 1e6 * 100, abs=0.5)
    assert number(r"and (\d+) % for their rows") == pytest.approx(1_000 * (small + merge) / 1e6 * 100, abs=0.5)
    assert number(r"agents \| (\d+) cores") == pytest.approx(100_000 * agent / 1e6, abs=0.5)
    assert number(r"gateways \| (\d+) cores") == pytest.approx(100_000 * gateway / 1e6, abs=0.5)
    assert number(r"receivers \| (\d+) at full load") == pytest.approx(100_000 * receiver / 1e6, abs=0.5)
    assert number(r"disk \| (\d+) GB a month") == pytest.approx(1_000 * month * row / 1e9, rel=0.02)
    assert number(r"disk \| (\d+) TB of rows") == pytest.approx(100_000 * month * row / 1e12, rel=0.02)
    assert number(r"outage of the ledger \| (\d+) GB") == pytest.approx(60 * 100_000 * journaled / 1e9, rel=0.02)
    assert number(r"lasts (\d+) hours at 10") == pytest.approx(2**30 / journaled / 10 / 3600, rel=0.02)
    assert number(r"(\d+) minutes at 1,000") == pytest.approx(2**30 / journaled / 1_000 / 60, rel=0.02)
    assert number(r"30 minutes at (\d+)\.") == pytest.approx(100_000 / 1_800, abs=1)
