"""What the tests of the receiver share: intakes on a journal of their own, and what is in that journal in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import otel_llmcost.fence
from otel_llmcost import ClickHouseSpanExporter
from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import segment_names
from otel_llmcost.journal.frames import read
from otel_llmcost.pricing import Pricer
from otel_llmcost.receiver.bodies import PROTOBUF, read_body
from otel_llmcost.receiver.intake import Intake, Taken
from otel_llmcost.receiver.known import KnownSpans
from otel_llmcost.settings import Settings
from tests.receiver.otlp import as_protobuf

NOT_OF_THE_ROW = ("batch_id", "sign", "of_trace_id", "of_span_id", "adjustment_reason")


@pytest.fixture(autouse=True)
def _fresh_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count from 0 in every test, and let no error hide behind the fence."""
    COUNTERS.reset()
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", True)


@pytest.fixture(scope="session")
def pricer() -> Pricer:
    """Published prices, loaded."""
    found = Pricer.default()
    assert found.wait()
    return found


class Journaling:
    """An intake, and the journal that it writes."""

    def __init__(self, folder: Path, pricer: Pricer, **settings: Any) -> None:
        self.exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{folder}", **settings), pricer=pricer)
        self.known = KnownSpans(self.exporter.journal_dir)
        self.intake = Intake(self.exporter, self.known)

    def take(self, otlp: dict[str, Any]) -> Taken:
        """Take a request as it comes over the wire."""
        return self.intake.take(read_body(as_protobuf(otlp), PROTOBUF))

    def rows(self, table: str = "llm_requests") -> list[dict[str, Any]]:
        """Give what was journaled for a table."""
        return rows_in(self.exporter.journal_dir, table)

    def bill(self) -> Counter[bytes]:
        """Give rows + adjustments."""
        return bill_in(self.exporter.journal_dir)


def remove_journaled(intake: Journaling) -> None:
    """Take the rows out of a journal, as whoever ships them does."""
    intake.exporter.force_flush()
    for name in segment_names(intake.exporter.journal_dir):
        (intake.exporter.journal_dir / str(name)).unlink()


def rows_in(directory: Path, table: str) -> list[dict[str, Any]]:
    """Give the rows of a table that are in a journal."""
    names = [name for name in segment_names(directory) if name.table == table]
    return [orjson.loads(record) for name in names for record in read((directory / str(name)).read_bytes()).records]


def bill_in(directory: Path) -> Counter[bytes]:
    """Give what rows + adjustments in a journal come to: how often each row is billed in the end, in all its columns."""
    found: Counter[bytes] = Counter()
    for table in ("llm_requests", "llm_adjustments"):
        for row in rows_in(directory, table):
            sign = row.get("sign", 1)
            bare = {name: value for name, value in row.items() if name not in NOT_OF_THE_ROW}
            found[orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)] += sign
    assert min(found.values(), default=0) >= 0, "taken back, and never charged"
    return +found


@pytest.fixture
def journaling(tmp_path: Path, pricer: Pricer) -> Iterator[Callable[..., Journaling]]:
    """Make intakes, each with a journal of its own unless they share a folder."""
    made: list[Journaling] = []

    def make(folder: str = "", **settings: Any) -> Journaling:
        made.append(Journaling(tmp_path / (folder or f"ledger-{len(made)}"), pricer, **settings))
        return made[-1]

    yield make
    for each in made:
        each.exporter.shutdown()
        each.known.close()


@pytest.fixture
def intake(journaling: Callable[..., Journaling]) -> Journaling:
    """Make one."""
    return journaling()
