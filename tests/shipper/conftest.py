"""A journal with rows in sealed segments, and a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import otel_llmcost.fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal
from tests.shipper.ledgers import MemoryLedger


@pytest.fixture(autouse=True)
def _fresh_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Count from 0 in every test, and let no error hide behind the fence.
    """
    COUNTERS.reset()
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", True)


@pytest.fixture
def ledger() -> MemoryLedger:
    """
    An empty ledger that takes everything.
    """
    return MemoryLedger()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    The journal's folder.
    """
    return tmp_path / "journal"


@pytest.fixture
def seal(folder: Path) -> Iterator[Callable[..., None]]:
    """
    Write numbered rows into one sealed segment.
    """
    journal = Journal(folder, ledger="test")

    def seal(numbers: Iterable[int], *, table: str = "llm_requests") -> None:
        for number in numbers:
            journal.append(table, "202611", b'{"n":%d}' % number)
        journal.flush()

    yield seal
    journal.close()
