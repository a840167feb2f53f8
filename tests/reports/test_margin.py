"""Margin: costs that sum to the bill, values only where they were recorded, and no margin out of nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import PICO, Owner
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.margin import margin
from tests.ledger.samples import UNPRICED, a_request, priced, segment, store

AUTUMN = Period(date(2026, 10, 1), date(2026, 12, 1))
DAY = date(2026, 11, 18)


def outcomes(ledger: Ledger, rows: Iterable[tuple[str, str, str]], batch_id: str = "o-1") -> None:
    """Record outcomes, (action, customer, value), of the day that sample requests are of."""
    names = ("action", "customer_id", "value_usd")
    lines = [{"timestamp": f"{DAY} 12:00:00", "action_id": "x", **dict(zip(names, row, strict=True))} for row in rows]
    ledger.insert("llm_outcomes", segment(lines, batch_id), token=batch_id)


def of_action(action: str | None, action_id: str | None = None, **rest: str) -> Owner:
    """An owner with an action."""
    return Owner(**{"team": "search", "customer_id": "acme"} | rest, action=action, action_id=action_id)


@pytest.mark.parametrize(
    "where", [{}, {"team": "search"}, {"action": "reply"}, {"service": "service-1"}, {"customer": "acme"}]
)
def test_costs_are_the_bill(ledger: Ledger, where: dict[str, str]) -> None:
    """
    Rows, and days of rows, sum to what `spend` gives by action, whichever table answers.
    """
    want = {row.key[0]: row.measures for row in spend(ledger, ["action"], **period(), where=where).rows}

    report = margin(ledger, period=AUTUMN, where=where)

    assert want.keys() == {row.key for row in report.rows}
    for row in report.rows:
        measures = want[row.key]
        assert (measures.cost_usd, measures.requests) == (row.whole.cost_usd, row.whole.requests)
        assert measures.partial_requests == row.whole.partial_requests
        assert measures.unpriced_requests == row.whole.unpriced_requests
        assert row.whole.cost_usd == sum((day.cost_usd for _, day in row.days), Decimal(0))
        assert row.whole.requests == sum(day.requests for _, day in row.days)
    total = spend(ledger, ["month"], **period(), where=where).total
    assert (total.cost_usd, total.requests) == (report.total.cost_usd, report.total.requests)


def period() -> dict[str, date]:
    """The same period, as `spend` takes it."""
    return {"since": AUTUMN.since, "until": AUTUMN.until}


@pytest.mark.parametrize("where", [{}, {"service": "api"}])
def test_unit_cost_is_of_an_execution_where_they_are_known(empty: Ledger, where: dict[str, str]) -> None:
    """
    Three requests of two executions cost half each; requests without an execution cost their third.
    """
    known = [a_request(n, price=priced(PICO), owner=of_action("reply", f"r-{n % 2}")) for n in range(1, 4)]
    unknown = [a_request(n, price=priced(2 * PICO), owner=of_action(None)) for n in range(4, 7)]
    store(empty, [*known, *unknown])

    none, reply = margin(empty, period=AUTUMN, where=where).rows

    assert (none.key, none.whole.unit, none.whole.actions) == ("(none)", "request", 0)
    assert Decimal(2) == none.whole.unit_cost_usd
    assert (reply.key, reply.whole.unit, reply.whole.actions) == ("reply", "action", 2)
    assert Decimal("1.5") == reply.whole.unit_cost_usd


def test_nothing_recorded_is_not_zero(empty: Ledger) -> None:
    """
    An action without recorded values has no value and no margin; costs are set against values of valued actions alone.
    """
    store(
        empty,
        [
            a_request(1, price=priced(3 * PICO), owner=of_action("reply", "r-1")),
            a_request(2, price=priced(5 * PICO), owner=of_action("summary", "s-1")),
        ],
    )
    outcomes(empty, [("reply", "acme", "4.25"), ("reply", "acme", "0.5"), ("call", "acme", "7")])

    report = margin(empty, period=AUTUMN)

    found = {row.key: row.whole for row in report.rows}
    assert (found["summary"].value, found["summary"].margin_usd) == (None, None)
    reply = found["reply"].value
    assert reply is not None
    assert (2, Decimal("4.75"), Decimal("1.75")) == (reply.outcomes, reply.value_usd, found["reply"].margin_usd)
    assert (0, Decimal(7)) == (found["call"].requests, found["call"].margin_usd)
    assert Decimal("8.75") == report.valued.margin_usd
    assert [(DAY, Decimal("1.75"))] == [(day, each.margin_usd) for day, each in report.rows[1].days]


def test_a_value_of_zero_is_recorded(empty: Ledger) -> None:
    """
    An outcome that was worth nothing is a value: the margin is what it cost.
    """
    store(empty, [a_request(1, price=priced(PICO), owner=of_action("reply", "r-1"))])
    outcomes(empty, [("reply", "acme", "0")])

    (row,) = margin(empty, period=AUTUMN).rows

    assert Decimal(-1) == row.whole.margin_usd


def test_outcomes_that_were_taken_back_count_off(empty: Ledger) -> None:
    """
    A batch of outcomes that was stored twice, and taken back once, counts once.
    """
    outcomes(empty, [("reply", "acme", "2")], "o-1")
    empty.command("INSERT INTO llm_outcomes SELECT * FROM llm_outcomes WHERE batch_id = 'o-1'", what="store again")
    outcomes(empty, [("reply", "acme", "-2")], "taken-back-o-1")

    (row,) = margin(empty, period=AUTUMN).rows

    assert row.whole.value is not None
    assert (1, Decimal(2)) == (row.whole.value.outcomes, row.whole.value.value_usd)


def test_values_know_a_customer_and_no_team(empty: Ledger) -> None:
    """
    Filtered by customer, values are that customer's; filtered by what values do not have, there are none, and it says so.
    """
    store(empty, [a_request(n, owner=of_action("reply", f"r-{n}", customer_id=f"c-{n}")) for n in (1, 2)])
    outcomes(empty, [("reply", "c-1", "4"), ("reply", "c-2", "8")])

    by_customer = margin(empty, period=AUTUMN, where={"customer": "c-2"})
    by_team = margin(empty, period=AUTUMN, where={"team": "search"})

    assert by_customer.has_values
    assert by_customer.rows[0].whole.value is not None
    assert Decimal(8) == by_customer.rows[0].whole.value.value_usd
    assert (by_team.has_values, by_team.rows[0].whole.value) == (False, None)


def test_an_unknown_cost_makes_a_lower_bound(empty: Ledger) -> None:
    """
    Where a request of an action has no price, its cost is a lower bound; of other actions it is not.
    """
    prices = {"reply": UNPRICED, "call": priced(1)}
    store(empty, [a_request(n, price=prices[action], owner=of_action(action)) for n, action in enumerate(prices)])

    found = {row.key: row.whole.is_lower_bound for row in margin(empty, period=AUTUMN).rows}

    assert found == {"reply": True, "call": False}


def test_nothing(empty: Ledger) -> None:
    """
    A ledger without charges has no actions, and no unit cost.
    """
    report = margin(empty, period=AUTUMN)

    assert (report.rows, report.total.unit_cost_usd, report.valued.margin_usd) == ((), None, None)


def test_what_does_not_exist(ledger: Ledger) -> None:
    """
    A filter by something that does not exist is an error, never an empty answer.
    """
    with pytest.raises(ReportError, match="no dimension 'nope'"):
        margin(ledger, period=AUTUMN, where={"nope": "x"})
