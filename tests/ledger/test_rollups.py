"""P3: rows plus adjustments are the rollups, to the picodollar, whatever arrives how often in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.model import MAX_COST_PICOUSD, Attempt, Owner, Request, Unpriced, Usage, picousd_text
from tests.ledger.samples import START_NS, a_request, adjust, adjusted, ask, priced, store

ROLLUPS = ("spend_by_hour", "spend_by_customer_day", "spend_by_action_day", "spend_by_request")
VIEWS = (
    "daily_by_team",
    "daily_by_feature",
    "daily_by_customer",
    "daily_by_model",
    "daily_by_environment",
    "action_margin",
    "retries_and_waste",
    "cache_savings",
)
SUMS = (
    "toString(sum(requests)), toString(sum(partial_requests)), toString(sum(unpriced_requests)), "
    "toString(sum(failed_without_usage)), toString(sum(input_tokens)), toString(sum(output_tokens)), "
    "toString(sum(cost_usd)), toString(sum(list_cost_usd)), toString(sum(wasted_cost_usd)), toString(sum(retry_cost_usd))"
)

names = st.sampled_from([None, "a", "b", "ü|'\\", "(other)"])
costs = st.one_of(st.integers(0, 10), st.integers(0, MAX_COST_PICOUSD - 1))
prices = st.one_of(
    st.builds(priced, costs, status=st.sampled_from(["priced", "partial"]), list_picousd=costs),
    st.builds(Unpriced, reason=st.sampled_from(["unknown_model", "no_usage"]), detail=st.just("")),
)
requests = st.builds(
    a_request,
    st.integers(1, 2**60),
    price=prices,
    owner=st.builds(
        Owner, team=names, feature=names, customer_id=names, environment=names, action=names, action_id=names
    ),
    usage=st.one_of(
        st.none(), st.builds(Usage, input_tokens=st.integers(0, 2**53 - 1), output_tokens=st.none() | st.integers(0, 9))
    ),
    status=st.sampled_from(["success", "error", "timeout", "cancelled"]),
    attempt=st.builds(Attempt, kind=st.sampled_from(["initial", "retry", "fallback"]), wasted=st.booleans()),
    start_unix_ns=st.integers(START_NS - 30 * 86400 * 10**9, START_NS),
    model=st.sampled_from(["m1", "m2"]),
)


@dataclass(frozen=True)
class Book:
    """A ledger, and every charge that was ever sent to it: examples add to what is there, as segments do."""

    ledger: Ledger
    charges: list[tuple[int, Request]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)


@pytest.fixture(scope="module", params=["embedded", pytest.param("server", marks=pytest.mark.slow)])
def book(request: pytest.FixtureRequest) -> Iterator[Book]:
    """One ledger for all examples, in either engine."""
    dsn = "chdb://memory" if request.param == "embedded" else request.getfixturevalue("server").dsn()
    with connect(replace(parse_dsn(dsn), database="test_rollups")) as opened:
        migrations.apply(opened)
        yield Book(opened)


def cost(request: Request) -> int:
    """The cost in picodollars that a request adds to sums; unknown adds nothing."""
    return 0 if isinstance(request.price, Unpriced) else request.price.cost_picousd


def expected(signed: Sequence[tuple[int, Request]]) -> list[str]:
    """The sums, computed here from the nouns alone, in Python's integers."""

    def of(value: Sequence[int]) -> int:
        return sum(sign * each for (sign, _), each in zip(signed, value, strict=True))

    all_ = [request for _, request in signed]
    unpriced = [isinstance(each.price, Unpriced) for each in all_]
    failed = [
        isinstance(each.price, Unpriced) and each.price.reason == "no_usage" and each.call.status != "success"
        for each in all_
    ]
    wasted = [each.attempt.wasted or each.call.status != "success" for each in all_]
    usage = [each.call.usage or Usage() for each in all_]
    money = [
        of([cost(each) for each in all_]),
        of([0 if isinstance(each.price, Unpriced) else each.price.list_cost_picousd for each in all_]),
        of([cost(each) * is_wasted for each, is_wasted in zip(all_, wasted, strict=True)]),
        of([cost(each) * (each.attempt.kind == "retry") for each in all_]),
    ]
    counts = [
        of([1] * len(all_)),
        of([not isinstance(each.price, Unpriced) and each.price.status == "partial" for each in all_]),
        of([is_unpriced and not is_failed for is_unpriced, is_failed in zip(unpriced, failed, strict=True)]),
        of([int(is_failed) for is_failed in failed]),
        of([each.input_tokens or 0 for each in usage]),
        of([each.output_tokens or 0 for each in usage]),
    ]
    return [*map(str, counts), *map(picousd_text, money)]


def sums(ledger: Ledger, table: str) -> list[str]:
    """The sums of a rollup, as text."""
    return ask(ledger, f"SELECT {SUMS} FROM {table}")  # noqa: S608  # a table of ours


@settings(max_examples=20, deadline=None)
@given(
    stored=st.lists(requests, min_size=1, max_size=12),
    corrected=st.lists(st.tuples(st.integers(0, 11), requests), max_size=6),
    replays=st.integers(0, 2),
)
def test_rows_and_adjustments_are_the_rollups(
    book: Book, stored: list[Request], corrected: list[tuple[int, Request]], replays: int
) -> None:
    """
    Every rollup sums to what was inserted, to twelve decimals, adjustments and replays of any segment included.
    """
    better_of = {index % len(stored): better for index, better in corrected}
    adjustments = [
        adjusted(request, sign, of=stored[index])
        for index, better in better_of.items()
        for request, sign in ((stored[index], -1), (better, 1))
    ]
    token = f"segment-{next(book.numbers)}"
    for _ in range(replays + 1):
        store(book.ledger, stored, token=token)
        if adjustments:
            adjust(book.ledger, adjustments, token=token)
    book.charges.extend([*((1, each) for each in stored), *((each.sign, each.request) for each in adjustments)])

    want = expected(book.charges)
    assert dict.fromkeys(ROLLUPS, want) == {table: sums(book.ledger, table) for table in ROLLUPS}
    known = sum(sign for sign, each in book.charges if not isinstance(each.price, Unpriced))
    assert [str(known)] == ask(book.ledger, "SELECT sum(requests) FROM spend_quantiles_by_day")


def test_nothing_priced(ledger: Ledger) -> None:
    """
    A segment in which no cost is known fills every rollup all the same: a NULL sum would fail the views for ever.
    """
    store(
        ledger, [a_request(number, price=Unpriced(reason="unknown_model")) for number in range(1, 4)], token="nothing"
    )

    for table in ROLLUPS:
        assert ask(ledger, f"SELECT sum(unpriced_requests), sum(cost_usd) FROM {table}") == ["3", "0"], table  # noqa: S608


def test_take_back_leaves_no_trace_in_quantiles(ledger: Ledger) -> None:
    """
    A request that is taken back is out of the distribution of costs, and its better one is in.
    """
    wrong, right = a_request(1, price=priced(5 * 10**12)), a_request(2, price=priced(10**9))
    store(ledger, [wrong], token="quantile")
    adjust(ledger, [adjusted(wrong, -1, of=wrong), adjusted(right, 1, of=wrong)], token="quantile")

    buckets = ask(
        ledger, "SELECT pow(1.02, bucket + 0.5) FROM spend_quantiles_by_day GROUP BY bucket HAVING sum(requests) > 0"
    )

    assert [pytest.approx(float(bucket), rel=0.01) for bucket in buckets] == [0.001]


def test_distinct_actions(ledger: Ledger) -> None:
    """
    Executions of an action are counted once each, however many requests one made; a requestless id counts nothing.
    """
    owners = [Owner(action="reply", action_id=f"r-{number % 4}") for number in range(12)] + [Owner(action="reply")]
    store(ledger, [a_request(number, owner=owner) for number, owner in enumerate(owners, start=1)], token="actions")

    assert ["reply", "13", "4", "action", str(13 * Decimal("0.01155") / 4)] == ask(
        ledger, "SELECT action, requests, actions, unit, unit_cost_usd FROM action_margin"
    )


def test_views_sum_to_the_bill(ledger: Ledger) -> None:
    """
    Every view shows all of the bill.
    """
    store(ledger, [a_request(1), a_request(2, owner=Owner()), a_request(3, price=Unpriced(reason="unknown_model"))])

    for view in VIEWS:
        assert ask(ledger, f"SELECT sum(cost_usd) FROM {view}") == ["0.0231"], view  # noqa: S608


def test_problem_views(ledger: Ledger) -> None:
    """
    What nobody owns and what has no price each has a view that names the service.
    """
    store(
        ledger,
        [a_request(1, owner=Owner(team="a")), a_request(2, price=Unpriced(reason="unknown_model"))],
        token="problems",
    )

    assert ask(ledger, "SELECT service_name, team, requests, cost_usd FROM unattributed") == [
        "api",
        "a",
        "1",
        "0.01155",
    ]
    assert ask(ledger, "SELECT service_name, reason, requests FROM unpriced") == ["api", "unknown_model", "1"]
