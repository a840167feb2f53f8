"""A ledger with a small month in it, and a process (this one) that owns a folder and answers for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_llmcost.fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.ledger import Dsn, Ledger, connect, migrations
from otel_llmcost.ledger.embedded import OwnerLock
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.ledger.wire import Line
from otel_llmcost.server.listener import Listener
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, RATE, a_request, adjust, adjusted, segment, store
from tests.reports.conftest import charges


@pytest.fixture(autouse=True)
def _fresh_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count from 0 in every test, and let no error hide behind the fence."""
    COUNTERS.reset()
    monkeypatch.setattr(otel_llmcost.fence, "RERAISE", True)


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """The month, and one charge that was corrected; nobody writes after this."""
    all_ = charges()
    with ClickHouseDouble() as server, connect(server.dsn("served")) as opened:
        migrations.apply(opened)
        store(opened, all_)
        adjust(opened, [adjusted(all_[0], -1, of=all_[0]), adjusted(a_request(99, price=MINI), 1, of=all_[0])])
        opened.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Dsn]:
    """An embedded ledger's folder, which this process owns."""
    lock = OwnerLock(tmp_path)
    yield Dsn(kind="chdb", path=tmp_path)
    lock.release()


@pytest.fixture
def listener(ledger: Ledger, place: Dsn) -> Iterator[Listener]:
    """Answers for that folder out of that month, and says that one segment is missing."""
    opened = Listener(ledger, place.fingerprint, lambda: ("a segment is missing",))
    assert place.path is not None
    opened.address.write(place.path)
    yield opened
    opened.close(5.0)


@pytest.fixture
def lines() -> Iterator[tuple[Line, Line]]:
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    ends = Line(one), Line(other)
    yield ends
    for end in ends:
        end.close()
