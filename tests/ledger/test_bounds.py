"""Sums of the largest rows: a rollup's numbers never wrap and never round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.model import MAX_COST_PICOUSD, picousd_text
from tests.ledger.samples import ask

ROWS = 1_000_000
TOKENS = 2**41 - 1
"""Three counts of this size, a million times, are the most that fits into the 64 bits of `cache_write_tokens`."""
COST = picousd_text(MAX_COST_PICOUSD - 1)
ROLLUPS = ("spend_by_hour", "spend_by_customer_day", "spend_by_action_day")
COUNTS = ("input_tokens", "cached_input_tokens", "output_tokens")
COSTS = ("cost_usd", "list_cost_usd", "wasted_cost_usd", "retry_cost_usd", "cache_savings_usd")
_INSERT = """
INSERT INTO {table} (timestamp, span_id, status, attempt_kind, price_status, input_tokens, cached_input_tokens,
    cache_write_tokens, cache_write_1h_tokens, cache_write_12h_tokens, output_tokens, cost_usd, list_cost_usd,
    cache_savings_usd{more_columns})
SELECT toDateTime64('2026-11-18 11:00:00', 6, 'UTC'), toString(number), 'error', 'retry', 'priced', {tokens}, {tokens}, {tokens},
    {tokens}, {tokens}, {tokens}, toDecimal64('{cost}', 12), toDecimal64('{cost}', 12), toDecimal64('{cost}', 12){more}
FROM numbers({rows})
"""


def add(ledger: Ledger, table: str, more_columns: str = "", more: str = "") -> None:
    """Add a million rows of the largest numbers to one cell of every rollup."""
    sql = _INSERT.format(table=table, more_columns=more_columns, more=more, tokens=TOKENS, cost=COST, rows=ROWS)
    ledger.command(sql, what=f"fill {table}")


def sums(ledger: Ledger, names: Sequence[str], table: str) -> list[str]:
    """Ask for sums, as text."""
    return ask(ledger, f"SELECT {', '.join(f'toString(sum({name}))' for name in names)} FROM {table}")  # noqa: S608


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger of its own: its rows are many."""
    with connect(replace(parse_dsn("chdb://memory"), database="test_bounds")) as opened:
        migrations.apply(opened)
        yield opened
        opened.command("DROP DATABASE test_bounds", what="clean up", database=False)


def test_a_million_of_the_largest_rows(ledger: Ledger) -> None:
    """
    A million requests of the largest cost, and of 2.2e12 tokens of each kind, sum exactly in every rollup and view; and the
    same adjustments with -1 leave exactly 0.
    """
    add(ledger, "llm_requests")
    for rollup in (*ROLLUPS, "spend_by_request"):
        assert {picousd_text(ROWS * (MAX_COST_PICOUSD - 1))} == set(sums(ledger, COSTS, rollup))
        assert [str(ROWS * TOKENS)] * 3 == sums(ledger, COUNTS, rollup)
        assert [str(3 * ROWS * TOKENS)] == sums(ledger, ["cache_write_tokens"], rollup)

    add(ledger, "llm_adjustments", ", sign", ", -1")
    for rollup in ROLLUPS:
        assert {"0"} == set(sums(ledger, [*COSTS, *COUNTS, "cache_write_tokens", "requests"], rollup))
    assert sums(ledger, ["requests"], "spend_quantiles_by_day") == ["0"]
