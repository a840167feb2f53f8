"""Spend: parts that sum to the total, whatever it is asked by, and nothing hidden."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import combinations

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import PICO, Priced
from otel_llmcost.reports import DIMENSIONS, Measures, spend
from otel_llmcost.reports.dimensions import column_of, source_for
from tests.reports.conftest import charges

autumn = partial(spend, since=date(2026, 10, 1), until=date(2026, 12, 1))
"""Spend in the period that holds all charges."""
PAIRS = [pair for pair in combinations(DIMENSIONS, 2) if column_of(pair[0]) != column_of(pair[1])]
BILL = sum(each.price.cost_picousd for each in charges() if isinstance(each.price, Priced)) - 10**9 - 1 + 11_550_000_000


def picousd(amount: Decimal) -> int:
    """US dollars in picodollars."""
    return int(amount * PICO)


def test_total_is_the_bill(ledger: Ledger) -> None:
    """
    The total is what was charged, corrections included, to the picodollar.
    """
    report = autumn(ledger, ["team"])

    assert picousd(report.total.cost_usd) == BILL
    assert report.total.requests == 60


@pytest.mark.parametrize("top", [None, 1, 2])
def test_parts_sum_to_the_total(ledger: Ledger, top: int | None) -> None:
    """
    For every pair of dimensions, folded or not, the rows sum to the total in every measure, and to the bill.
    """
    want = autumn(ledger, ["month"]).total

    for pair in PAIRS:
        report = autumn(ledger, pair, top=top)
        assert sum((row.measures for row in report.rows), Measures()) == report.total == want, pair
        assert max(Counter(row.key for row in report.rows).values()) == 1, pair


def test_top_folds_the_rest(ledger: Ledger) -> None:
    """
    The values that cost most stay, the unattributed stays, all others become one row at the end.
    """
    everyone = autumn(ledger, ["customer"])
    folded = autumn(ledger, ["customer"], top=1)
    names = {row.key[0]: row.measures.cost_usd for row in everyone.rows}
    first = max((name for name in names if name != "(unattributed)"), key=lambda name: names[name])

    kept = [row.key[0] for row in folded.rows]
    assert set(kept) <= {first, "(unattributed)", "(other)"}
    assert kept[-1] == "(other)"
    assert names["(unattributed)"] == {row.key[0]: row.measures.cost_usd for row in folded.rows}["(unattributed)"]


def test_top_by_day_keeps_days(ledger: Ledger) -> None:
    """
    With a time among the dimensions, the other one is folded.
    """
    report = autumn(ledger, ["day", "feature"], top=2)

    assert {row.key[0] for row in report.rows} == {row.key[0] for row in autumn(ledger, ["day"]).rows}
    assert len({row.key[1] for row in report.rows} - {"(unattributed)", "(other)"}) == 2


@pytest.mark.parametrize("beside", ["day", "team", "service"])
def test_top_customers_beside_anything(ledger: Ledger, beside: str) -> None:
    """
    Customers, which may be very many, are folded beside another dimension as they are alone.
    """
    alone = {row.key[0]: row.measures for row in autumn(ledger, ["customer"], top=2).rows}
    found: dict[str, Measures] = {}
    for row in autumn(ledger, ["customer", beside], top=2).rows:
        found[row.key[0]] = found.get(row.key[0], Measures()) + row.measures

    assert found == alone


def test_filter(ledger: Ledger) -> None:
    """
    A filter keeps exactly the charges with that value, from whichever table answers.
    """
    by_team = {row.key[0]: row.measures for row in autumn(ledger, ["team"]).rows}

    for by in ("feature", "customer", "action", "service"):
        assert autumn(ledger, [by], where={"team": "search"}).total == by_team["search"], by


def test_period_is_half_open(ledger: Ledger) -> None:
    """
    Days add up: a charge belongs to one of two adjoining periods.
    """
    whole = autumn(ledger, ["team"]).total
    parts = [
        spend(ledger, ["team"], since=since, until=until).total
        for since, until in [(date(2026, 10, 1), date(2026, 11, 10)), (date(2026, 11, 10), date(2026, 12, 1))]
    ]

    assert whole == parts[0] + parts[1]


def test_unknown_costs_are_counted(ledger: Ledger) -> None:
    """
    Partial and unpriced requests make a total a lower bound; failures without usage do not.
    """
    total = autumn(ledger, ["team"]).total

    assert (total.partial_requests, total.unpriced_requests, total.failed_without_usage) == (2, 5, 5)
    assert total.is_lower_bound
    assert not Measures(requests=1, failed_without_usage=1).is_lower_bound


def test_waste_counts_once(ledger: Ledger) -> None:
    """
    A failed retry is wasted once.
    """
    wasted = [
        each.price.cost_picousd
        for each in charges()
        if isinstance(each.price, Priced) and (each.attempt.wasted or each.call.status != "success")
    ]

    assert picousd(autumn(ledger, ["team"]).total.wasted_cost_usd) == sum(wasted)


@pytest.mark.parametrize(
    ("by", "owners"),
    [
        (["team"], ("team",)),
        (["customer"], ("customer_id",)),
        (["team", "customer"], ("team", "customer_id")),
        (["model"], ("team",)),
    ],
)
def test_unattributed_names_its_definition(ledger: Ledger, by: list[str], owners: tuple[str, ...]) -> None:
    """
    The unattributed sum says which owner is missing, and is what those rows sum to.
    """
    report = autumn(ledger, by)
    lacking = [
        each.price.cost_picousd
        for each in charges()
        if isinstance(each.price, Priced) and any(getattr(each.owner, owner) is None for owner in owners)
    ]

    assert report.unattributed_of == owners
    assert picousd(report.unattributed_usd) == sum(lacking)


@pytest.mark.parametrize(
    ("columns", "table"),
    [
        (["team", "day"], "spend_by_hour"),
        (["hour", "model"], "spend_by_hour"),
        (["action", "team"], "spend_by_action_day"),
        (["customer_id", "model"], "spend_by_customer_day"),
        (["customer_id", "status"], "spend_by_request"),
        (["service_name"], "spend_by_request"),
    ],
)
def test_smallest_source(columns: list[str], table: str) -> None:
    """
    The smallest rollup with all dimensions answers; without one, the charges themselves.
    """
    assert source_for(columns).table == table


@pytest.mark.parametrize(
    ("by", "where"),
    [
        (["nope"], {}),
        ([], {}),
        (["team", "team"], {}),
        (["customer", "customer_id"], {}),
        (["team", "day", "model"], {}),
        (["team"], {"nope": "x"}),
        (["team"], {"day": "2026-11-01"}),
        (["team"], dict.fromkeys(list(DIMENSIONS)[:7], "x")),
    ],
)
def test_what_does_not_exist(ledger: Ledger, by: list[str], where: dict[str, str]) -> None:
    """
    A question about something that does not exist is an error, never an empty answer.
    """
    with pytest.raises(ReportError):
        autumn(ledger, by, where=where)


def test_injection_is_a_value(ledger: Ledger) -> None:
    """
    Values are bound: SQL in a filter is a name that nobody has.
    """
    assert autumn(ledger, ["team"], where={"customer": "' OR 1 = 1 --"}).total == Measures()
