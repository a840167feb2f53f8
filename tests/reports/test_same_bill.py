"""Every report divides the same bill: whatever was charged, moved and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger import Ledger
from otel_llmcost.model import Attempt, Owner, Usage
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.caching import caching
from otel_llmcost.reports.margin import margin
from otel_llmcost.reports.quality import quality
from otel_llmcost.reports.unattributed import unattributed
from otel_llmcost.reports.waste import failures, waste
from tests.ledger.samples import UNPRICED, a_request, adjust, adjusted, priced, store

_numbers = count(1)
NAMES = st.one_of(st.none(), st.sampled_from(["a", "(other)", "x'; DROP TABLE llm_requests --"]))
OWNERS = st.builds(
    Owner, team=NAMES, feature=NAMES, customer_id=NAMES, environment=NAMES, action=NAMES, action_id=NAMES
)
ATTEMPTS = st.sampled_from(
    [Attempt(), Attempt(kind="retry", number=2), Attempt(kind="retry", number=3, wasted=True), Attempt(kind="fallback")]
)
CHARGES = st.lists(
    st.tuples(
        st.one_of(st.just(UNPRICED), st.builds(priced, st.integers(0, 10**13))),
        OWNERS,
        st.sampled_from(["success", "error", "timeout", "cancelled"]),
        ATTEMPTS,
        st.one_of(st.none(), st.builds(Usage, input_tokens=st.integers(0, 99), cached_input_tokens=st.integers(0, 99))),
        st.sampled_from(["charged", "taken back", "moved"]),
    ),
    min_size=1,
    max_size=8,
)


@given(charges=CHARGES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_report_divides_the_same_bill(empty: Ledger, charges: list) -> None:
    """
    Totals of every report are the total of `spend` of the same day, to the picodollar.
    """
    number = next(_numbers)
    day = date(2026, 1, 1) + timedelta(days=number)  # each example has a day, and so a bill, of its own
    start = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 10**9
    requests = [
        a_request(
            1000 * number + place,
            price=price,
            owner=owner,
            status=status,
            attempt=attempt,
            usage=usage,
            start_unix_ns=start,
        )
        for place, (price, owner, status, attempt, usage, _) in enumerate(charges)
    ]
    store(empty, requests, token=f"r{number}")
    fates = [(request, charge[-1]) for request, charge in zip(requests, charges, strict=True)]
    taken = [adjusted(request, -1, of=request) for request, fate in fates if fate != "charged"]
    better = [
        adjusted(replace(request, owner=Owner(team="b"), attempt=Attempt()), 1, of=request)
        for request, fate in fates
        if fate == "moved"
    ]
    if taken:
        adjust(empty, [*taken, *better], token=f"a{number}")
    period = Period(day, day + timedelta(days=1))

    bill = spend(empty, ["month"], since=period.since, until=period.until).total

    wasted = waste(empty, "feature", period=period, top=1).total.whole
    assert (wasted.requests, wasted.cost_usd, wasted.wasted_cost_usd) == (
        bill.requests,
        bill.cost_usd,
        bill.wasted_cost_usd,
    )
    failed = failures(empty, period=period, top=1)
    assert (sum(row.requests for row in failed), sum(row.cost_usd for row in failed)) == (
        wasted.failures,
        wasted.failed_cost_usd,
    )
    assert caching(empty, period=period).total.whole == bill
    earned = margin(empty, period=period).total
    assert (earned.requests, earned.cost_usd, earned.unpriced_requests) == (
        bill.requests,
        bill.cost_usd,
        bill.unpriced_requests,
    )
    teams = {row.key[0]: row.measures for row in spend(empty, ["team"], since=period.since, until=period.until).rows}
    without_team = unattributed(empty, period=period).without("team")
    if "(unattributed)" in teams:
        assert without_team.cost_usd == teams["(unattributed)"].cost_usd
    else:
        assert without_team.cost_usd == 0
    known = quality(empty, period=period)
    assert sum(each.requests for each in known.by_reason()) == bill.unpriced_requests + bill.partial_requests
    assert known.usage_gaps.total_usd == bill.cost_usd
