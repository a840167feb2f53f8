"""Which span of a group carries the charge, and which try a request was."""

from __future__ import annotations

import os
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
    """Give a price of so many picodollars."""
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
    span_id: str,
    *,
    parent=None,
    start=0,
    end=None,
    trace="t",
    response_id="",
    usage=True,
    cost=5,
    scope="scope",
    **call,
) -> Request:
    """Give a priced span that may be billed."""
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
        scope_name=scope,
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
    """Give a request that failed and shows no usage."""
    return candidate(span_id, usage=False, status="error", error_type="RateLimitError", **facts)


def under(*span_ids: str) -> list[tuple[str, str]]:
    """Give the ancestors of a span, nearest first."""
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
    """Give what each outcome is."""
    return [type(outcome).__name__ for outcome in outcomes]


class TestGroups:
    def test_a_nested_span_with_the_same_response_id_is_a_duplicate(self):
        """
        The outer span of two that show one request is not billed, and names the row that is.
        """
        charging = Charging()
        charging.decide(candidate("inner", parent="outer", response_id="r1"), ancestors=under("outer"))
        (duplicate,) = charging.decide(candidate("outer", response_id="r1"))

        assert (duplicate.reason, duplicate.of_span_id) == ("response_id", "inner")

    def test_siblings_in_other_traces_are_joined_by_response_id(self):
        """
        One request that shows in two traces is one charge.
        """
        charging = Charging()
        charging.decide(candidate("a", trace="t1", response_id="r1"))
        outcomes = charging.decide(candidate("b", trace="t2", response_id="r1"))

        assert kinds(outcomes) == ["Duplicate"]

    def test_two_response_ids_never_share_a_group(self):
        """
        A request made inside another one's span is billed by itself.
        """
        charging = Charging()
        first = charging.decide(candidate("inner", parent="outer", response_id="r1"), ancestors=under("outer"))
        second = charging.decide(candidate("outer", response_id="r2"))

        assert kinds(first + second) == ["Request", "Request"]

    def test_ancestry_joins_where_an_id_is_missing(self):
        """
        A wrapper's span without a response id is a duplicate of the request below it, through spans between them.
        """
        charging = Charging()
        charging.decide(candidate("inner", parent="http", response_id="r1"), ancestors=under("http", "outer"))
        (duplicate,) = charging.decide(candidate("outer"))

        assert (duplicate.reason, duplicate.of_span_id) == ("ancestry", "inner")

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

        assert kinds(then) == ["Duplicate", "Adjustment", "Adjustment"]
        assert {"inner"} == {outcome.of_span_id for outcome in then}
        assert bill(first + then) == 3

    def test_without_a_journal_the_first_charged_span_keeps_the_charge(self):
        """
        A processor that only enriches cannot adjust, so a better span is a duplicate.
        """
        charging = Charging(can_adjust=False)
        charging.decide(candidate("inner", parent="outer", response_id="r1", usage_gaps=("audio",)))
        outcomes = charging.decide(candidate("outer", response_id="r1"))

        assert kinds(outcomes) == ["Duplicate"]

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

        assert bill(outcomes) == 7

    def test_memory_is_bounded(self):
        """
        A group that was pushed out is forgotten, and its late span is charged by itself.
        """
        charging = Charging(max_spans=10)
        for number in range(50):
            charging.decide(candidate(f"s{number}", trace=f"t{number}", response_id=f"r{number}"))

        assert kinds(charging.decide(candidate("late", trace="x", response_id="r0"))) == ["Request"]
        assert kinds(charging.decide(candidate("late", trace="x", response_id="r49"))) == ["Duplicate"]


class TestAggregates:
    def test_an_aggregate_above_its_requests_is_not_billed(self):
        """
        An agent span that repeats the usage of the requests below it adds nothing.
        """
        charging = Charging()
        charging.decide(candidate("a", parent="agent", response_id="r1"), ancestors=under("agent"))
        charging.decide(candidate("b", parent="agent", response_id="r2"), ancestors=under("agent"))
        (duplicate,) = charging.decide(candidate("agent", kind="aggregate", operation="invoke_agent", cost=10))

        assert duplicate.reason == "aggregate"

    def test_an_aggregate_with_nothing_below_it_is_billed_until_a_request_arrives(self):
        """
        Late requests below a billed aggregate take its charge back, whatever their number.
        """
        charging = Charging()
        outcomes = charging.decide(candidate("agent", kind="aggregate", operation="invoke_agent", cost=10))
        outcomes += charging.decide(candidate("a", parent="agent", start=1, cost=4), ancestors=under("agent"))
        outcomes += charging.decide(candidate("b", parent="agent", start=3, cost=6), ancestors=under("agent"))

        assert bill(outcomes) == 10
        assert bill(outcomes[:3]) == 4

    def test_an_aggregate_without_usage_is_nothing(self):
        """
        An agent span that carries no usage is no request.
        """
        assert Charging().decide(candidate("agent", kind="aggregate", usage=False)) == ()

    def test_free_operations_are_duplicates_of_what_they_fetch(self):
        """
        Fetching a stored response is never billed and names the request that was.
        """
        charging = Charging()
        charging.decide(candidate("a", response_id="r1"))
        (duplicate,) = charging.decide(candidate("b", kind="free", response_id="r1"))

        assert isinstance(duplicate, Duplicate)
        assert (duplicate.reason, duplicate.of_span_id) == ("free", "a")


class TestAttempts:
    def _attempts(self, *requests: Request) -> list[tuple[str, int, bool]]:
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
        got = self._attempts(
            failed("a", parent="root", start=0),
            failed("b", parent="root", start=2),
            candidate("c", parent="root", start=5),
        )

        assert got == [("initial", 1, False), ("retry", 2, False), ("retry", 3, False)]

    def test_another_model_after_a_failure_is_a_fallback(self):
        """
        The same work at another provider or model is a fallback.
        """
        got = self._attempts(failed("a", parent="root"), candidate("b", parent="root", start=2, model="other"))

        assert got[1] == ("fallback", 2, False)

    def test_each_failure_is_used_up_by_one_successor(self):
        """
        Two requests after one failure: one is its retry, the other is new work.
        """
        got = self._attempts(
            failed("a", parent="root"), candidate("b", parent="root", start=2), candidate("c", parent="root", start=2)
        )

        assert [kind for kind, _, _ in got] == ["initial", "retry", "initial"]

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
        assert self._attempts(failed("a", parent="root"), later)[1] == ("initial", 1, False)

    def test_a_retry_of_a_charged_failure_is_waste(self):
        """
        When the failed request was itself billed, its retry is marked as waste.
        """
        charged = candidate("a", parent="root", status="error", cost=9)
        got = self._attempts(charged, candidate("b", parent="root", start=2))

        assert got[1] == ("retry", 2, True)

    def test_a_declared_retry_needs_no_failure(self):
        """
        The application may know that it asks again because it disliked a technically fine answer.
        """
        charging = Charging()
        charging.decide(candidate("a", parent="root"))
        (outcome,) = charging.decide(candidate("b", parent="root", start=3), declared="retry")

        assert (outcome.attempt.kind, outcome.attempt.source, outcome.attempt.wasted) == ("retry", "declared", True)

    def test_an_attempt_that_the_source_decided_is_kept(self):
        """
        A row that arrives with its attempt is not judged again.
        """
        stamped = replace(candidate("a"), attempt=Attempt(kind="fallback", number=3))
        (outcome,) = Charging().decide(stamped)

        assert Attempt(kind="fallback", number=3) == outcome.attempt


class TestIdentity:
    def test_a_small_id_that_comes_again_is_another_request(self):
        """
        Some local servers draw ids from a few hundred: the same id later, or with nothing else in common, is billed.
        """
        charging = Charging()
        outcomes = charging.decide(candidate("a", trace="t1", response_id="chatcmpl-42", start=0))
        outcomes += charging.decide(candidate("b", trace="t2", response_id="chatcmpl-42", start=60))
        outcomes += charging.decide(
            candidate("c", trace="t3", response_id="chatcmpl-42", start=60, cost=9, model="other", provider="anthropic")
        )

        assert kinds(outcomes) == ["Request"] * 3

    @pytest.mark.parametrize(
        ("second", "expected"),
        [
            ({"trace": "t2", "start": 0, "end": 2}, ["Request", "Duplicate"]),
            ({"trace": "t2", "start": 1, "end": 6}, ["Request", "Request"]),
            ({"trace": "t2", "start": 0, "end": 2, "parent": "job"}, ["Request", "Duplicate"]),
        ],
        ids=["one within the other", "merely overlapping", "one of them a root"],
    )
    def test_equal_totals_join_only_what_wraps_one_another(self, second, expected):
        """
        Two instrumentations of one request lie within one another; requests that merely overlap are two.
        """
        charging = Charging()
        outcomes = charging.decide(candidate("a", trace="t1", scope="one", start=0, end=4))
        outcomes += charging.decide(candidate("b", scope="two", **second))

        assert kinds(outcomes)[:2] == expected

    def test_a_priced_span_is_better_than_one_without_a_price(self):
        """
        A known cost is never replaced by an unknown one, however complete that span is otherwise.
        """
        charging = Charging()
        known = candidate("inner", parent="outer", response_id="r", usage_gaps=("audio",))
        unknown = replace(candidate("outer", response_id="r"), price=Unpriced(reason="unknown_model"))
        outcomes = charging.decide(known, ancestors=under("outer")) + charging.decide(unknown)

        assert kinds(outcomes) == ["Request", "Duplicate"]


class TestUndo:
    def test_a_refused_row_is_not_built_on(self):
        """
        When the journal refused a row, a better span later makes a row of its own and takes nothing back.
        """
        charging = Charging()
        charging.undo(charging.decide(candidate("a", parent="b", response_id="r", usage_gaps=("audio",))))
        outcomes = charging.decide(candidate("b", response_id="r", cost=3))

        assert bill(outcomes) == 3
        assert "Adjustment" not in kinds(outcomes)

    def test_a_refused_move_leaves_the_charge_where_it_was(self):
        """
        When the journal refused the adjustments, the next better span moves the charge from where it really is.
        """
        charging = Charging()
        written = charging.decide(
            candidate("a", parent="b", response_id="r", usage_gaps=("audio", "images")), ancestors=under("b", "c")
        )
        refused = charging.decide(
            candidate("b", parent="c", response_id="r", cost=4, usage_gaps=("audio",)), ancestors=under("c")
        )
        charging.undo([outcome for outcome in refused if not isinstance(outcome, Duplicate)])
        written += charging.decide(candidate("c", response_id="r", cost=3))

        assert bill(written) == 3

    def test_an_attempt_that_was_told_stays_told(self):
        """
        A retry is not un-declared when the failure before it is forgotten under a busy parent.
        """
        charging = Charging()
        outcomes = charging.decide(failed("f", parent="root"), ancestors=under("root"))
        for number in range(200):
            outcomes += charging.decide(
                candidate(f"s{number}", parent="root", start=2 + number // 20), ancestors=under("root")
            )

        assert [each.attempt.kind for each in outcomes if isinstance(each, Request)].count("retry") == 1
        assert not [each for each in outcomes if isinstance(each, Adjustment)]

    def test_a_forked_child_starts_with_nothing(self):
        """
        A child's charging is free to decide, whatever its parent held at the fork.
        """
        charging = Charging()
        charging.decide(candidate("a", response_id="r"))
        with charging._lock:
            child = os.fork()
            if not child:
                os._exit(0 if kinds(charging.decide(candidate("b", response_id="r"))) == ["Request"] else 1)

        assert os.waitpid(child, 0)[1] == 0


class TestFailures:
    def test_a_failure_that_names_no_model_is_followed_by_a_retry(self):
        """
        Some emitters name the model only on success: the next try at the same provider is a retry, not a fallback.
        """
        charging = Charging()
        charging.decide(failed("a", parent="root", model=""), ancestors=under("root"))
        (outcome,) = charging.decide(candidate("b", parent="root", start=2), ancestors=under("root"))

        assert outcome.attempt.kind == "retry"

    def test_one_failure_that_two_instrumentations_show_is_one_row(self):
        """
        Two failed spans of one trace, one within the other in time but not in ancestry, are one failed request.
        """
        charging = Charging()
        charging.decide(failed("a", parent="x", scope="one", start=1, end=2))
        second = charging.decide(failed("b", parent="y", scope="two", start=0, end=3, model=""))

        assert kinds(second) == ["Duplicate", "Adjustment", "Adjustment"]

    def test_parallel_failures_of_one_instrumentation_are_rows_each(self):
        """
        Two requests of one instrumentation that fail at the same time are two.
        """
        charging = Charging()
        outcomes = charging.decide(failed("a", parent="x")) + charging.decide(failed("b", parent="x"))

        assert kinds(outcomes) == ["Request", "Request"]

    def test_back_to_back_requests_with_one_id_are_requests_each(self):
        """
        One instrumentation shows a response twice only in spans around one another, so what follows is new.
        """
        charging = Charging()
        outcomes = charging.decide(candidate("a", response_id="chatcmpl-7", start=0, end=1))
        outcomes += charging.decide(candidate("b", response_id="chatcmpl-7", start=2, end=3))

        assert kinds(outcomes) == ["Request", "Request"]
