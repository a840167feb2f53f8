"""A sum that lacks the cost of some requests is marked as a lower bound, on whatever page it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.wording import Money
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import NO_OWNER, UNATTRIBUTED
from otel_llmcost.reports import Measures, spend
from otel_llmcost.reports.period import period
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import PERIOD
from tests.dashboard.reading import text
from tests.ledger.samples import MINI, UNPRICED, a_request, store

DAYS = period(*re.findall(r"\d{4}-\d\d-\d\d", PERIOD))


def _by(ledger: Ledger, dimension: str) -> dict[str, Measures]:
    found = spend(ledger, [dimension], since=DAYS.since, until=DAYS.until)
    return {row.key[0]: row.measures for row in found.rows}


def test_what_has_no_team_costs_at_least_so_much(
    server: ClickHouseDouble, house: House, open_browser: Callable[..., TestClient]
) -> None:
    """What has no team costs at least so much, where some of it has no price."""
    with connect(server.dsn("bounds")) as ledger:
        migrations.apply(ledger)
        store(ledger, [a_request(1, price=MINI, owner=NO_OWNER), a_request(2, price=UNPRICED, owner=NO_OWNER)])
        page = open_browser(replace(house, ledger=ledger)).get(f"/?{PERIOD}").text

    assert "Without a team ≥ $0.01 100.0% of cost" in text(page)


def test_the_few_that_cost_most_cost_at_least_so_much(browser: TestClient, ledger: Ledger) -> None:
    """The few customers that cost most cost at least so much, where some of their requests have no price."""
    named = [measures for key, measures in _by(ledger, "customer").items() if key != UNATTRIBUTED]
    few = sum(named[:5], Measures())

    assert few.is_lower_bound
    assert f"of the cost: {' '.join(str(Money.of(few)).split())}" in text(browser.get(f"/customers?{PERIOD}").text)


def test_waste_is_at_least_so_much_on_every_page(browser: TestClient, ledger: Ledger) -> None:
    """Waste is at least so much, and the same, on the overview and where it is explored."""
    total = sum(_by(ledger, "team").values(), Measures())
    waste = " ".join(str(Money.wasted(total)).split())

    assert waste.startswith("≥")
    assert f"Waste {waste} " in text(browser.get(f"/?{PERIOD}").text)
    assert waste in text(browser.get(f"/explore?{PERIOD}").text)
