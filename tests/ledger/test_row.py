"""Rows: what the ledger is told about a request, and what is kept out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext

import orjson
import pytest

from otel_llmcost.ledger.row import (
    adjustment_row,
    encode_request,
    encode_row,
    month_of,
    outcome_row,
    rate_row,
    request_row,
)
from otel_llmcost.model import MAX_COST_PICOUSD, MAX_COUNT, NO_OWNER, PICO, Attempt, Owner, Request, Usage
from tests.ledger.samples import MINI, RATE, UNPRICED, a_request, adjusted, priced


def test_worked_example() -> None:
    """
    8,000 fresh, 2,000 cached and 1,200 output tokens of gpt-5.4-mini cost $0.01155, and the row says how.
    """
    row = request_row(a_request())

    assert tuple(
        row[name]
        for name in ("cost_usd", "input_cost_usd", "cached_input_cost_usd", "output_cost_usd", "cache_savings_usd")
    ) == ("0.01155", "0.006", "0.00015", "0.0054", "0.00135")
    assert row["timestamp"] == "2026-11-18 11:06:40.123456"
    assert orjson.loads(orjson.dumps(row)) == row


def test_missing_owner_is_explicit() -> None:
    """
    A missing owner is a value that reports show, never an empty string.
    """
    row = request_row(a_request(owner=NO_OWNER))

    assert [row[name] for name in ("team", "feature", "customer_id", "environment")] == ["(unattributed)"] * 4
    assert row["action"] == "(none)"


def test_unpriced_has_no_cost() -> None:
    """
    A request without a known cost has a reason and no cost column at all.
    """
    row = request_row(a_request(price=UNPRICED))

    assert (row["price_status"], row["reason"], row["detail"]) == ("unpriced", "unknown_model", "no rate for gpt-x")
    assert not [name for name in row if name.endswith("_usd")]


@pytest.mark.parametrize("count", [-1, MAX_COUNT, 1.5, True])
def test_impossible_count(count: int) -> None:
    """
    What is not a count below 2**53 is left out and named: the text format would wrap it without a word.
    """
    row = request_row(a_request(usage=Usage(input_tokens=count, output_tokens=1), price=UNPRICED))

    assert "input_tokens" not in row
    assert f"input_tokens={count!r}" in str(row["detail"])


@pytest.mark.parametrize("price", [priced(10**6 * PICO), priced(1, list_picousd=10**6 * PICO)])
def test_impossible_cost(price: object) -> None:
    """
    A million dollars for one request is not a price: the row is unpriced and says why.
    """
    row = request_row(a_request(price=price))  # type: ignore[arg-type]

    assert (row["price_status"], row["reason"]) == ("unpriced", "invalid_usage")
    assert "cost_usd" not in row


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "1e30"])
def test_impossible_provider_cost(cost: str) -> None:
    """
    A provider's cost that is no sum of money is left out and named.
    """
    row = request_row(a_request(provider_cost_usd=Decimal(cost)))

    assert "provider_cost_usd" not in row
    assert "provider's cost" in str(row["detail"])


def test_provider_cost_has_twelve_decimals() -> None:
    """
    What a provider reported is kept to the picodollar, as plain digits.
    """
    assert request_row(a_request(provider_cost_usd=Decimal("1E-12")))["provider_cost_usd"] == "0.000000000001"


@pytest.mark.parametrize(
    ("start_unix_ns", "timestamp", "month"),
    [
        (0, "2000-01-01 00:00:00.000000", "200001"),
        (5 * 10**18, "2099-12-31 23:59:59.999999", "209912"),
    ],
)
def test_impossible_clock(start_unix_ns: int, timestamp: str, month: str) -> None:
    """
    A clock far off is clamped, so that it opens no partition of 1970, and the row says what was seen.
    """
    row = request_row(a_request(start_unix_ns=start_unix_ns))

    assert (timestamp, month, month) == (row["timestamp"], month_of(row), month_of(start_unix_ns))
    assert str(start_unix_ns) in str(row["detail"])


def test_end_before_start() -> None:
    """
    A clock that stepped back gives a duration of 0 and a note, not a huge one.
    """
    row = request_row(a_request(duration_ns=-5))

    assert (row["duration_us"], row["detail"]) == (0, "the span ended 5 ns before it started")


def test_adjustment_keeps_its_own_numbers() -> None:
    """
    An adjustment has the request's numbers as they were charged, a sign, and the row that it corrects.
    """
    first, better = a_request(1), a_request(2, attempt=Attempt(kind="retry", number=2, wasted=True))
    row = adjustment_row(adjusted(better, 1, of=first))

    assert (1, first.span.trace_id, first.span.span_id, "response_id") == (
        row["sign"],
        row["of_trace_id"],
        row["of_span_id"],
        row["adjustment_reason"],
    )
    assert (row["cost_usd"], row["attempt_kind"], row["attempt"], row["wasted"]) == ("0.01155", "retry", 2, True)


def test_rate_content_is_stable() -> None:
    """
    The content of a rate is written in one order, so that its hash can be checked again.
    """
    backwards = replace(RATE, content=dict(reversed(list(RATE.content.items()))))

    assert rate_row(RATE)["content"] == rate_row(backwards)["content"]


def test_outcome_is_money() -> None:
    """
    The worth of an action is a finite sum with six decimals.
    """
    row = outcome_row(start_unix_ns=0, action="reply", action_id="r-1", value_usd=Decimal("1.5"))

    assert (row["value_usd"], row["customer_id"]) == ("1.500000", "(unattributed)")
    with pytest.raises(ValueError, match="NaN"):
        outcome_row(start_unix_ns=0, action="reply", action_id="r-1", value_usd=Decimal("NaN"))


@pytest.mark.parametrize("context", [Context(prec=6), Context(prec=28, traps=[Inexact, InvalidOperation])])
def test_the_callers_decimals_are_its_own(context: Context) -> None:
    """
    Whatever decimal context a program has set, money is written exactly.
    """
    with localcontext(context):
        row = request_row(a_request(provider_cost_usd=Decimal("123456.123456789012345")))
        outcome = outcome_row(start_unix_ns=0, action="a", action_id="1", value_usd=Decimal("-123456789.123456"))

    assert (row["provider_cost_usd"], outcome["value_usd"]) == ("123456.123456789012", "-123456789.123456")


@pytest.mark.parametrize("value", ["0.0000004", "12.3456789"])
def test_outcome_is_never_rounded(value: str) -> None:
    """
    A worth that six decimals do not hold is refused, never stored as another.
    """
    with pytest.raises(ValueError, match="at most 6 decimals"):
        outcome_row(start_unix_ns=0, action="a", action_id="1", value_usd=Decimal(value))


def test_numbers_of_thousands_of_digits() -> None:
    """
    A number that Python refuses to write makes a note, not a traceback.
    """
    huge = 10**5000
    span = replace(a_request().span, start_unix_ns=huge, end_unix_ns=-huge)
    usage = Usage(input_tokens=huge, output_tokens=1)
    row = request_row(replace(a_request(usage=usage, price=priced(huge)), span=span))

    assert "input_tokens" not in row
    assert row["price_status"] == "unpriced"
    assert len(str(row["detail"])) < 1000


@pytest.mark.parametrize(
    "request_",
    [
        a_request(),
        a_request(owner=NO_OWNER),
        a_request(
            owner=Owner(team="b\u00fcro", action_id="7", request_id="r", extra={"tier": "gold"}, source="baggage")
        ),
        a_request(price=UNPRICED),
        a_request(price=priced(MAX_COST_PICOUSD)),
        a_request(
            price=replace(MINI, status="partial", missing_rates=("audio_input_tokens",), reason="no_component_rate")
        ),
        a_request(model="lone \ud800"),
        a_request(usage=Usage(input_tokens=-1)),
        replace(a_request(), attempt=Attempt(kind="retry", number=2, source="inferred", wasted=True)),
    ],
)
def test_a_request_is_encoded_as_its_row(request_: Request) -> None:
    """
    The bytes of the journal say what the row says, each column once: also the second time, when parts are remembered.
    """
    for _ in range(2):
        pairs: list[tuple[str, object]] = json.loads(encode_request(request_), object_pairs_hook=list)

        assert len(dict(pairs)) == len(pairs)
        assert {name: dict(value) if name == "owner_extra" else value for name, value in pairs} == json.loads(
            encode_row(request_row(request_))
        )
