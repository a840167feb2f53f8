"""Ledgers for tests: the real engine in this process and the same engine behind HTTP, a fresh database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from tests.clickhouse_double import ClickHouseDouble

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server for all tests."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(params=["embedded", "server"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """An empty ledger with its tables, in either engine: every test that takes it runs twice."""
    dsn = "chdb://memory" if request.param == "embedded" else request.getfixturevalue("server").dsn()
    with connect(replace(parse_dsn(dsn), database=f"test_{next(_numbers)}")) as opened:
        migrations.apply(opened)
        yield opened
    if request.param == "server":
        request.getfixturevalue("server").inject()
