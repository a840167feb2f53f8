"""A folder for a journal, journals on it that are closed at the end, and a way to read all its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal, waiting


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """
    Count from 0 in every test.
    """
    COUNTERS.reset()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    The journal's folder; not made yet.
    """
    return tmp_path / "journal"


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[..., Journal]]:
    """
    Make a journal in the folder, for the ledger `test`.
    """
    made: list[Journal] = []

    def begin(**options: object) -> Journal:
        made.append(Journal(folder, ledger="test", **options))
        return made[-1]

    yield begin
    for journal in made:
        journal.close()


def drain_numbers(folder: Path) -> list[int]:
    """
    Take every segment that can be had, as a shipper would, and give the numbers in its rows.
    """
    numbers = []
    for segment in waiting(folder, "test"):
        rows = [json.loads(line) for line in segment.payload().splitlines()]
        assert segment.rows == len(rows)
        assert {*segment.batch_ids} == {row["batch_id"] for row in rows}
        numbers += [row["n"] for row in rows]
        segment.remove()
    return numbers


@pytest.fixture
def drain(folder: Path) -> Callable[[], list[int]]:
    """
    Take every segment out of the folder; give the numbers in its rows.
    """
    return partial(drain_numbers, folder)
