"""Which span of a group carries the charge, and which try a request was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_llmcost.charging import Charging
from otel_llmcost.model import (
    NO_OWNER,
    Adjustment,
    Attempt,
    Duplicate,
    ModelCall,
    Priced,
    RateContent,
    Request,
    SpanView,
    Unpriced,
    Usage,
)

SECOND = 10**9
RATE = RateContent(
    rate_id="r", provider="p", model="m", source="s", version="1", effective_from="", effective_to="", content={}
)


def priced(cost: int) -> Priced:
    return Priced(
        status="priced",
        cost_picousd=cost,
        list_cost_picousd=cost,
        components=(("output", cost),),
        cache_savings_picousd=0,
        rate=RATE,
        match_rule="exact",
    )


def candidate(
    span_id: str, *, parent=None, start=0, end=None, trace="t", response_id="", usage=True, cost=5, **call
) -> Request:
    span = SpanView(
        trace_id=trace,
        span_id=span_id,
        parent_span_id=parent,
        name="chat m",
        kind="client",
        start_unix_ns=start * SECOND,
        end_unix_ns=(start + 1 if end is None else end) * SECOND,
        attributes={},
        resource={},
        scope_name="scope",
        scope_version="1",
        status_code="unset",
    )
    facts = {"kind": "request", "operation": "chat", "provider": "openai", "model": "m", **call}
    return Request(
        span=span,
        call=ModelCall(
            dialect="d", response_id=response_id, usage=Usage(output_tokens=cost) if usage else None, **facts
        ),
        owner=NO_OWNER,
        price=priced(cost) if usage else Unpriced(reason="no_usage"),
        attempt=Attempt(),
    )


def failed(span_id: str, **facts) -> Request:
    return candidate(span_id, usage=False, status="error", error_type="RateLimitError", **facts)


def under(*span_ids: str) -> list[tuple[str, str]]:
    return [("t", span_id) for span_id in span_ids]


def bill(outcomes) -> int:
    """Rows + adjustments, in picodollars."""
    total = 0
    for outcome in outcomes:
        match outcome:
            case Request(price=Priced(cost_picousd=cost)):
                total += cost
            case Adjustment(request=Request(price=Priced(cost_picousd=cost)), sign=sign):
                total += sign * cost
    return total


def kinds(outcomes) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


class TestGroups:
    def test_a_nested_span_with_the_same_response_id_is_a_duplicate(self):
        """
        The outer span of two that show one request is not billed, and names the row that is.
        """
        charging = Charging()
        charging.decide(candidate("inner", parent="outer", response_id="r1"), ancestors=under("outer"))
        (duplicate,) = charging.decide(candidate("outer", response_id="r1"))

        assert ("response_id", "inner") == (duplicate.reason, duplicate.of_span_id)

    def test_siblings_in_other_traces_are_joined_by_response_id(self):
        """
        One request that shows in two traces is one charge.
        """
        charging = Charging()
        charging.decide(candidate("a", trace="t1", response_id="r1"))
        outcomes = charging.decide(candidate("b", trace="t2", response_id="r1"))

        assert ["Duplicate"] == kinds(outcomes)

    def test_two_response_ids_never_share_a_group(self):
        """
        A request made inside another one's span is billed by itself.
        """
        charging = Charging()
        first = charging.decide(candidate("inner", parent="outer", response_id="r1"), ancestors=under("outer"))
        second = charging.decide(candidate("outer", response_id="r2"))

        assert ["Request", "Request"] == kinds(first + second)

    def test_ancestry_joins_where_an_id_is_missing(self):
        """
        A wrapper's span without a response id is a duplicate of the request below it, through spans between them.
        """
        charging = Charging()
        charging.decide(candidate("inner", parent="http", response_id="r1"), ancestors=under("http", "outer"))
        (duplicate,) = charging.decide(candidate("outer"))

        assert ("ancestry", "inner") == (duplicate.reason, duplicate.of_span_id)

    def test_a_better_span_moves_the_charge_by_two_adjustments(self):
        """
        When a span with fewer gaps arrives later, rows + adjustments equal its cost, and no second row is written.
        """
        charging = Charging()
        first = charging.decide(
            candidate("inner", parent="outer", response_id="r1", cost=5, usage_gaps=("cached_input",)),
            ancestors=under("outer"),
        )
        then = charging.decide(candidate("outer", response_id="r1", cost=3))

        assert ["Duplicate", "Adjustment", "Adjustment"] == kinds(then)
        assert {"inner"} == {outcome.of_span_id for outcome in then}
        assert 3 == bill(first + then)

    def test_without_a_journal_the_first_charged_span_keeps_the_charge(self):
        """
        A processor that only enriches cannot adjust, so a better span is a duplicate.
        """
        charging = Charging(can_adjust=False)
        charging.decide(candidate("inner", parent="outer", response_id="r1", usage_gaps=("audio",)))
        outcomes = charging.decide(candidate("outer", response_id="r1"))

        assert ["Duplicate"] == kinds(outcomes)

    @pytest.mark.parametrize("inner_first", [True, False])
    def test_the_order_of_arrival_does_not_change_the_bill(self, inner_first):
        """
        Inner before outer or outer before inner: the better span's cost is billed, once.
        """
        charging = Charging()
        inner = (candidate("inner", parent="outer", start=1, cost=7), under("outer"))
        outer = (candidate("outer", cost=5), [])
        outcomes = []
        for request, ancestors in (inner, outer) if inner_first else (outer, inner):
            outcomes += charging.decide(request, ancestors=ancestors)

        assert 7 == bill(outcomes)

    def test_memory_is_bounded(self):
        """
        A group that was pushed out is forgotten, and its late span is charged by itself.
        """
        charging = Charging(max_groups=10)
        for number in range(50):
            charging.decide(candidate(f"s{number}", trace=f"t{number}", response_id=f"r{number}"))

        assert ["Request"] == kinds(charging.decide(candidate("late", trace="x", response_id="r0")))
        assert ["Duplicate"] == kinds(charging.decide(candidate("late", trace="x", response_id="r49")))


class TestAggregates:
    def test_an_aggregate_above_its_requests_is_not_billed(self):
        """
        An agent span that repeats the usage of the requests below it adds nothing.
        """
        charging = Charging()
        charging.decide(candidate("a", parent="agent", response_id="r1"), ancestors=under("agent"))
        charging.decide(candidate("b", parent="agent", response_id="r2"), ancestors=under("agent"))
        (duplicate,) = charging.decide(candidate("agent", kind="aggregate", operation="invoke_agent", cost=10))

        assert "aggregate" == duplicate.reason

    def test_an_aggregate_with_nothing_below_it_is_billed_until_a_request_arrives(self):
        """
        Late requests below a billed aggregate take its charge back, whatever their number.
        """
        charging = Charging()
        outcomes = charging.decide(candidate("agent", kind="aggregate", operation="invoke_agent", cost=10))
        outcomes += charging.decide(candidate("a", parent="agent", start=1, cost=4), ancestors=under("agent"))
        outcomes += charging.decide(candidate("b", parent="agent", start=3, cost=6), ancestors=under("agent"))

        assert 10 == bill(outcomes)
        assert 4 == bill(outcomes[:4])

    def test_an_aggregate_without_usage_is_nothing(self):
        """
        An agent span that carries no usage is no request.
        """
        assert () == Charging().decide(candidate("agent", kind="aggregate", usage=False))

    def test_free_operations_are_duplicates_of_what_they_fetch(self):
        """
        Fetching a stored response is never billed and names the request that was.
        """
        charging = Charging()
        charging.decide(candidate("a", response_id="r1"))
        (duplicate,) = charging.decide(candidate("b", kind="free", response_id="r1"))

        assert isinstance(duplicate, Duplicate)
        assert ("free", "a") == (duplicate.reason, duplicate.of_span_id)


class TestAttempts:
    def attempts(self, *requests: Request) -> list[tuple[str, int, bool]]:
        charging = Charging()
        found = []
        for request in requests:
            (outcome,) = charging.decide(request, ancestors=under("root"))
            found.append((outcome.attempt.kind, outcome.attempt.number, outcome.attempt.wasted))
        return found

    def test_a_request_after_a_failure_is_a_retry(self):
        """
        Same parent, same model, within 60 s of a failure: a retry, counted up.
        """
        got = self.attempts(
            failed("a", parent="root", start=0), failed("b", parent="root", start=2), candidate("c", parent="root", start=5)
        )

        assert [("initial", 1, False), ("retry", 2, False), ("retry", 3, False)] == got

    def test_another_model_after_a_failure_is_a_fallback(self):
        """
        The same work at another provider or model is a fallback.
        """
        got = self.attempts(failed("a", parent="root"), candidate("b", parent="root", start=2, model="other"))

        assert ("fallback", 2, False) == got[1]

    def test_each_failure_is_used_up_by_one_successor(self):
        """
        Two requests after one failure: one is its retry, the other is new work.
        """
        got = self.attempts(
            failed("a", parent="root"), candidate("b", parent="root", start=2), candidate("c", parent="root", start=2)
        )

        assert ["initial", "retry", "initial"] == [kind for kind, _, _ in got]

    @pytest.mark.parametrize(
        "later",
        [
            candidate("b", parent="root", start=0, end=1),
            candidate("b", parent="root", start=62),
            candidate("b", parent="elsewhere", start=2),
            candidate("b", start=2),
        ],
        ids=["parallel", "too late", "other parent", "no parent"],
    )
    def test_what_is_no_retry(self, later):
        """
        Parallel, much later and unrelated requests are new work.
        """
        assert ("initial", 1, False) == self.attempts(failed("a", parent="root"), later)[1]

    def test_a_retry_of_a_charged_failure_is_waste(self):
        """
        When the failed request was itself billed, its retry is marked as waste.
        """
        charged = candidate("a", parent="root", status="error", cost=9)
        got = self.attempts(charged, candidate("b", parent="root", start=2))

        assert ("retry", 2, True) == got[1]

    def test_a_declared_retry_needs_no_failure(self):
        """
        The application may know that it asks again because it disliked a technically fine answer.
        """
        charging = Charging()
        charging.decide(candidate("a", parent="root"))
        (outcome,) = charging.decide(candidate("b", parent="root", start=3), declared="retry")

        assert ("retry", "declared", True) == (outcome.attempt.kind, outcome.attempt.source, outcome.attempt.wasted)

    def test_an_attempt_that_the_source_decided_is_kept(self):
        """
        A row that arrives with its attempt is not judged again.
        """
        stamped = replace(candidate("a"), attempt=Attempt(kind="fallback", number=3))
        (outcome,) = Charging().decide(stamped)

        assert Attempt(kind="fallback", number=3) == outcome.attempt
