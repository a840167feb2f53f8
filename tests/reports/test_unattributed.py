"""Unattributed: which services lack which owners, in sums that are spend's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import NO_OWNER, PICO, Owner, Priced
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.unattributed import WithoutOwner, unattributed
from tests.ledger.samples import OWNER, START_NS, UNPRICED, a_request, adjust, adjusted, priced, store
from tests.reports.conftest import charges

AUTUMN = Period(date(2026, 10, 1), date(2026, 12, 1))


@pytest.mark.parametrize("owner", ["team", "feature", "customer", "environment"])
def test_each_owner_lacks_what_spend_says(ledger: Ledger, owner: str) -> None:
    """
    What lacks an owner sums to the row `(unattributed)` of `spend` by that owner, in requests and cost.
    """
    rows = spend(ledger, [owner], since=AUTUMN.since, until=AUTUMN.until).rows
    want = next((row.measures for row in rows if row.key == ("(unattributed)",)), None)

    found = unattributed(ledger, period=AUTUMN).without(owner)

    if want is None:
        assert found == WithoutOwner()
    else:
        assert (found.requests, found.cost_usd) == (want.requests, want.cost_usd)
        assert (found.partial_requests, found.unpriced_requests) == (want.partial_requests, want.unpriced_requests)


def test_what_lacks_any_owner_counts_once(ledger: Ledger) -> None:
    """
    The total counts a charge once that lacks two owners; a correction under other owners is not of the unattributed.
    """
    owners = ("team", "feature", "customer_id", "environment")
    lacking = [each for each in charges() if any(getattr(each.owner, owner) is None for owner in owners)]
    better = a_request(99, owner=Owner(team="growth", customer_id="acme"))  # takes the place of an owned charge
    costs = [each.price.cost_picousd for each in (*lacking, better) if isinstance(each.price, Priced)]

    total = unattributed(ledger, period=AUTUMN).total

    assert total.requests == len(lacking) + 1
    assert total.cost_usd * PICO == sum(costs)


def test_services_and_what_they_lack(empty: Ledger) -> None:
    """
    Each service is told with exactly what it lacks, most costly first, with its first and last instant.
    """
    nobody = replace(OWNER, team=None, customer_id=None)
    taken_back = a_request(7, price=priced(PICO), owner=NO_OWNER, service="mended")
    store(
        empty,
        [
            a_request(1, price=priced(PICO), owner=nobody, service="checkout"),
            a_request(2, price=UNPRICED, owner=nobody, service="checkout", start_unix_ns=START_NS + 3_600 * 10**9),
            a_request(3, price=priced(2 * PICO), owner=replace(OWNER, environment=None), service="checkout"),
            a_request(4, price=priced(9 * PICO), service="checkout"),
            a_request(5, price=priced(5 * PICO), owner=NO_OWNER, service=""),
            taken_back,
        ],
    )
    adjust(empty, [adjusted(taken_back, -1, of=taken_back)])

    rows = unattributed(empty, period=AUTUMN).rows

    assert [(row.service_name, row.lacks, row.measures.requests, row.measures.cost_usd) for row in rows] == [
        ("", ("team", "feature", "customer_id", "environment"), 1, Decimal(5)),
        ("checkout", ("environment",), 1, Decimal(2)),
        ("checkout", ("team", "customer_id"), 2, Decimal(1)),
    ]
    assert [row.measures.is_lower_bound for row in rows] == [False, False, True]
    assert rows[2].first_seen_at == datetime(2026, 11, 18, 11, 6, 40, 123456, UTC)
    assert rows[2].last_seen_at == datetime(2026, 11, 18, 12, 6, 40, 123456, UTC)


def test_filters(ledger: Ledger) -> None:
    """
    A filter keeps the charges with that value, and what is no owner cannot be lacked.
    """
    of_team = unattributed(ledger, period=AUTUMN, where={"team": "search"})

    assert all("team" not in row.lacks for row in of_team.rows)
    assert 0 < of_team.total.requests < unattributed(ledger, period=AUTUMN).total.requests
    with pytest.raises(ReportError, match="model is no owner"):
        of_team.without("model")
    with pytest.raises(ReportError):
        unattributed(ledger, period=AUTUMN, where={"day": "2026-11-01"})
