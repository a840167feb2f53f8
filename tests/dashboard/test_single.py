"""A ledger with one request makes sense on every page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.pages import PAGES
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.ledger.row import rate_row
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import PERIOD
from tests.ledger.samples import MINI, RATE, a_request, segment, store

PATHS = [place.path for place in PAGES if "{" not in place.path]


@pytest.fixture(scope="module")
def single(server: ClickHouseDouble) -> str:
    """Store the worked request, and nothing else; give its ledger's DSN."""
    dsn = server.dsn("single")
    with connect(dsn) as ledger:
        migrations.apply(ledger)
        store(ledger, [a_request(1, price=MINI)])
        ledger.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
    return dsn


@pytest.mark.parametrize("path", PATHS)
def test_every_page_of_one_request_is_shown(
    house: House, open_browser: Callable[..., TestClient], single: str, path: str
) -> None:
    """No page needs more than one request, and those that show the whole cost show this one's."""
    with connect(single) as ledger:
        answer = open_browser(replace(house, ledger=ledger)).get(f"{path}?{PERIOD}")
    assert answer.status_code == 200
    if path in ("/", "/explore", "/requests", "/customers", "/rates"):
        assert "$0.01" in answer.text
