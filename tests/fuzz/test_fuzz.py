"""Hostile spans through the real processor and exporter: nothing reaches the caller, and every span is accounted for."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llmcost import fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.pricing import Pricer
from tests.fuzz.accounting import run
from tests.fuzz.hostile import Hostile

COUNT = int(os.environ.get("LLMCOST_FUZZ_SPANS") or 5_000)
"""`make fuzz` sets both."""
SEED = int(os.environ.get("LLMCOST_FUZZ_SEED") or 20261121)
DEFAULT = 5_000
SHIP_ROWS = 20_000


@pytest.fixture(autouse=True)
def _as_in_an_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    Keep the fence up, as users have it, and the SDK's warnings about each value out of the log.
    """
    monkeypatch.setattr(fence, "RERAISE", False)
    Pricer.default().wait()
    COUNTERS.reset()
    logger = logging.getLogger("opentelemetry")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("seed", [SEED])
def test_every_hostile_span_is_accounted_for(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    No error reaches the caller, every span is a request, a duplicate, no request or refused, and the ledger takes every
    journaled row as it is.
    """
    with connect("chdb://memory") as ledger:
        migrations.apply(ledger)
        account = run(Hostile(seed), COUNT, tmp_path, ledger, SHIP_ROWS)
        stored = {
            table: ledger.command(f"SELECT count() FROM {table}", what="count")  # noqa: S608  # our own names
            for table in ("llm_requests", "llm_adjustments")
        }
    if COUNT != DEFAULT:
        with capsys.disabled():
            sys.stdout.write(f"\n{account}\n")

    assert account.fenced == {}
    assert account.faults == []
    assert (account.missing, account.lost, account.quarantined) == (0, 0, 0)
    assert stored == {table: account.shipped[table] for table in stored}
    assert account.requests + account.charged_later == account.journaled["llm_requests"] > COUNT / 5
    assert account.duplicates > 0 < account.no_request
    assert COUNT == account.spans == account.requests + account.duplicates + account.no_request + account.refused
