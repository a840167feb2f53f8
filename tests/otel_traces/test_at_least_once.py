"""What the exporter sends twice is found and taken back; history is added once."""

from __future__ import annotations

from itertools import islice

import pytest

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.otel_traces import TracesTable, apply_views, backfill
from otel_llmcost.verify import carry_out, plan, verify
from tests.ledger.samples import START_NS, a_request, ask
from tests.otel_traces.conftest import export, new_table, rollups_of, rows_of, stamped

DAY_NS = 86_400 * 10**9


def problems(ledger: Ledger) -> dict[str, str]:
    """Give what verify finds, by name; what it says of rates aside, which no span of these tests tells."""
    found = verify(ledger, pause_seconds=0)
    return {check.name: check.what for check in found.checks if check.state == "problem" and check.name != "rates"}


def history() -> list[dict]:
    """Give a priced span every sixth day, over three months."""
    return [stamped(a_request(number, start_unix_ns=START_NS - number * 6 * DAY_NS)) for number in range(1, 10)]


def test_a_batch_that_is_sent_again(ledger: Ledger, source: TracesTable, kind: str):
    """
    Its copies are rows; verify counts them with their cost, repair takes exactly them back, and then all agrees.
    """
    first, again = [stamped(a_request(1)), stamped(a_request(2))], [stamped(a_request(2)), stamped(a_request(3))]
    for spans in (first, again, first):
        export(ledger, source, kind, spans, deduplicate_blocks_in_dependent_materialized_views=0)
    found = problems(ledger)

    assert list(found) == ["copies"]
    assert "rows of llm_requests whose span has another row: 3, with $0.03465 too much on the bill" in found["copies"]
    for _ in carry_out(ledger, plan(ledger)):
        pass
    assert problems(ledger) == {}
    assert ask(ledger, "SELECT sum(requests), sum(cost_usd) FROM spend_by_hour") == ["3", "0.03465"]


def test_the_same_block_again(ledger: Ledger, source: TracesTable, kind: str):
    """
    With the exporter's setting that the guide names, a block that is repeated as it was is recognised: no copy at all.
    """
    for _ in range(3):
        export(ledger, source, kind, [stamped(a_request(1))], deduplicate_blocks_in_dependent_materialized_views=1)

    assert (problems(ledger), len(rows_of(ledger))) == ({}, 1)


def test_backfill(ledger: Ledger, kind: str):
    """
    History is added month by month, each span once however often it was sent; a second run adds nothing, also beside spans
    that arrived through the view, and every batch lies in one month.
    """
    source = new_table(ledger, kind)
    export(ledger, source, kind, history())
    export(ledger, source, kind, history()[:3])
    apply_views(ledger, source)
    export(ledger, source, kind, [stamped(a_request(100))])

    assert {each.month: each.added for each in backfill(ledger, source)} == {"202609": 1, "202610": 6, "202611": 2}
    assert sum(each.added for each in backfill(ledger, source)) == 0
    assert (len(rows_of(ledger)), problems(ledger)) == (10, {})
    assert sum(int(row[3]) for row in rollups_of(ledger)[1]) == 10


def test_a_backfill_that_was_interrupted(ledger: Ledger, kind: str):
    """
    What an interrupted run has added stays, and the next one adds the rest; spans of impossible days are added once, too.
    """
    source = new_table(ledger, kind)
    export(
        ledger,
        source,
        kind,
        [*history()[:3], stamped(a_request(200, start_unix_ns=0)), stamped(a_request(201, start_unix_ns=1))],
    )
    (first,) = islice(backfill(ledger, source), 1)

    assert (first.month, first.added, len(rows_of(ledger))) == ("197001", 2, 2)
    assert sum(each.added for each in backfill(ledger, source)) == 3
    assert sum(each.added for each in backfill(ledger, source)) == 0
    assert len(rows_of(ledger)) == 5


@pytest.mark.parametrize("kind", ["map"], indirect=True)
def test_a_day_that_was_added_in_part(ledger: Ledger, kind: str):
    """
    A day of which some rows are there gets the others, in rows and rollups.
    """
    source = new_table(ledger, kind)
    export(ledger, source, kind, [stamped(a_request(1))])
    assert [each.added for each in backfill(ledger, source)] == [1]
    export(ledger, source, kind, [stamped(a_request(2)), stamped(a_request(3))])

    assert [each.added for each in backfill(ledger, source)] == [2]
    assert ask(ledger, "SELECT sum(requests) FROM spend_by_hour") == ["3"]
