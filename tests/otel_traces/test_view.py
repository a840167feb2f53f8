"""The view over a table of traces: the rows that a journal would have had, and nothing that fails the insert of others."""

from __future__ import annotations

import pytest

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.otel_traces import TracesTable
from tests.ledger.samples import store
from tests.otel_traces.conftest import export, new_ledger, rollups_of, rows_of, stamped
from tests.otel_traces.requests import captured, random_requests


@pytest.mark.parametrize("requests", [list(captured()), list(random_requests(7, 2000))], ids=["captures", "random"])
def test_same_rows_as_a_journal(ledger: Ledger, source: TracesTable, kind: str, requests):
    """
    Every column of every row, and every rollup, is what the same request has on the direct way, to the last digit.
    """
    assert len(requests) > 100
    with new_ledger() as direct:
        store(direct, requests)
        export(ledger, source, kind, map(stamped, requests))

        for ours, theirs in zip(rows_of(ledger), rows_of(direct), strict=True):
            assert ours == theirs
        assert rollups_of(ledger) == rollups_of(direct)
