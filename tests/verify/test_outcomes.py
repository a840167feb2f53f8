"""Outcomes that a restored journal stored again: found, and taken back once."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import encode_row, outcome_row
from otel_llmcost.verify import Check, carry_out, plan, steps, verify
from otel_llmcost.verify.outcomes import find_repeated_outcomes, take_outcomes_back
from otel_llmcost.verify.verification import EVER
from tests.ledger.samples import START_NS, ask

VALUE = "SELECT toString(sum(value_usd)) FROM action_margin"


def keep(ledger: Ledger, batch_id: str, values: Iterable[str], *, token: str) -> None:
    """Store a batch of outcomes at one instant, as a shipper does."""
    rows = (
        outcome_row(
            action="resolve", action_id="r-1", value_usd=Decimal(each), start_unix_ns=START_NS, customer_id="acme"
        )
        for each in values
    )
    ledger.insert("llm_outcomes", b"\n".join(encode_row({"batch_id": batch_id, **row}) for row in rows), token=token)


def outcomes(ledger: Ledger) -> Check:
    """What verify says of them."""
    (check,) = (each for each in verify(ledger, pause_seconds=0).checks if each.name == "outcomes")
    return check


def test_a_batch_that_was_stored_again(ledger: Ledger) -> None:
    """
    A batch that is there three times is told with its exact value; a repair leaves it once, and a second one nothing.
    """
    keep(ledger, "once", ["12", "8"], token="1")
    before = ask(ledger, VALUE)
    for token in "234":
        keep(ledger, "again", ["7.5", "-0.000001", "7.5"], token=token)
    found, planned = outcomes(ledger), plan(ledger, pause_seconds=0)

    assert (found.state, found.figures[0]["outcomes"], found.figures[0]["value_usd"]) == ("problem", 6, "29.999998")
    assert "take back 6 outcomes of 2026-11-18, value $29.999998: batch again was stored 3 times" in [*steps(planned)]
    assert [*carry_out(ledger, planned, pause_seconds=0)] == [
        "taken back: outcomes that were stored again: 6, value $29.999998"
    ]
    assert (before, ask(ledger, VALUE)) == (["20"], ["34.999999"])
    assert (outcomes(ledger).state, bool(plan(ledger, pause_seconds=0))) == ("ok", False)


def test_two_repairs_of_one_batch(ledger: Ledger) -> None:
    """
    Two repairs that both saw a batch twice take it back once; a copy that comes later is taken back too.
    """
    keep(ledger, "again", ["10"], token="1")
    keep(ledger, "again", ["10"], token="2")
    seen = find_repeated_outcomes(ledger, EVER)
    for _ in range(2):
        assert [*take_outcomes_back(ledger, seen)]
    keep(ledger, "again", ["10"], token="3")
    later = find_repeated_outcomes(ledger, EVER)

    assert ask(ledger, VALUE) == ["20"]
    assert [*take_outcomes_back(ledger, later)]
    assert (ask(ledger, VALUE), outcomes(ledger).state) == (["10"], "ok")


def test_equal_outcomes_of_one_batch(ledger: Ledger) -> None:
    """
    Outcomes that an application recorded twice beside others are its own affair.
    """
    keep(ledger, "own", ["10", "10", "3"], token="1")

    assert (outcomes(ledger).state, ask(ledger, VALUE)) == ("ok", ["23"])
