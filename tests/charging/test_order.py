"""Rows + adjustments are the same bill for any order in which the spans arrive."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.charging import Ancestry, Charging
from otel_llmcost.model import Adjustment, Priced, Request
from tests.charging.test_charging import candidate, failed


def bill(outcomes) -> Counter:
    """What the ledger says in every dimension that the charging decides: span, cost, attempt; zeros left out."""
    total: Counter = Counter()
    for outcome in outcomes:
        sign, request = 1, outcome
        if isinstance(outcome, Adjustment):
            sign, request = outcome.sign, outcome.request
        if isinstance(request, Request):
            cost = request.price.cost_picousd if isinstance(request.price, Priced) else None
            key = (request.span.span_id, cost, request.attempt.kind, request.attempt.number, request.attempt.wasted)
            total[json.dumps(key)] += sign
    return Counter({key: count for key, count in total.items() if count})


def arrive(spans, order: list[int]) -> list:
    """Let spans arrive as OTLP batches would bring them: each with its parent link only."""
    charging, ancestry, outcomes, decided = Charging(), Ancestry(), [], set()
    for index in order:
        request = spans[index]
        span = request.span
        key = (span.trace_id, span.span_id)
        waiting = ancestry.add(key, (span.trace_id, span.parent_span_id) if span.parent_span_id else None)
        if request.call.operation != "none":
            outcomes += charging.decide(request, ancestors=ancestry.chain(key))
            decided.add(key)
        for other in waiting:
            outcomes += charging.extend(other, ancestry.chain(other))
    return outcomes


def between(span_id: str, **facts) -> Request:
    """A span that is no model call: an HTTP request, say."""
    return candidate(span_id, operation="none", **facts)


FORESTS = {
    "wrapper, http span, request": [
        candidate("outer", start=0, end=9, cost=5),
        between("http", parent="outer"),
        candidate("inner", parent="http", start=1, cost=7, response_id="r1"),
    ],
    "three instrumentations of one request": [
        candidate("a", start=0, end=9, cost=5, usage_gaps=("cached_input",)),
        candidate("b", parent="a", start=1, end=8, cost=6),
        candidate("c", parent="b", start=2, end=7, cost=6, usage_gaps=("audio",)),
    ],
    "a wrapper around a failure and its retry": [
        candidate("outer", start=0, end=9, cost=7, response_id="r1", usage_gaps=("audio",)),
        failed("try-1", parent="outer", start=0, end=1),
        candidate("try-2", parent="outer", start=2, end=8, cost=7, response_id="r1"),
    ],
    "a loop of wrapped tries": [
        between("root", start=0, end=30),
        failed("o1", parent="root", start=0, end=3),
        failed("i1", parent="o1", start=1, end=2),
        failed("o2", parent="root", start=4, end=7),
        failed("i2", parent="o2", start=5, end=6),
        candidate("o3", parent="root", start=8, end=12, cost=7, model="other"),
        candidate("i3", parent="o3", start=9, end=11, cost=7, model="other"),
    ],
    "an agent above its requests": [
        candidate("agent", kind="aggregate", operation="invoke_agent", start=0, end=20, cost=11),
        candidate("a", parent="agent", start=1, end=5, cost=5, response_id="r1"),
        candidate("b", parent="agent", start=6, end=9, cost=6, response_id="r2"),
    ],
    "siblings of two instrumentations, in other traces": [
        candidate("a", trace="t1", response_id="r1", cost=5, start=0, end=4),
        candidate("b", trace="t2", response_id="r1", cost=5, start=1, end=3, usage_gaps=("audio",)),
    ],
    "siblings without ids, of two instrumentations": [
        candidate("a1", scope="one", cost=5, start=0, end=4),
        candidate("b1", scope="two", cost=5, start=0, end=4, usage_gaps=("audio",)),
        candidate("a2", scope="one", cost=5, start=2, end=6),
        candidate("b2", scope="two", cost=5, start=2, end=6, response_id="r2"),
    ],
    "two requests without ids below one wrapper": [
        candidate("outer", start=0, end=20, cost=6),
        candidate("a", parent="outer", start=1, end=5, cost=5),
        candidate("b", parent="outer", start=6, end=9, cost=6),
    ],
}
EXPECTED = {
    "wrapper, http span, request": 7,
    "three instrumentations of one request": 6,
    "a wrapper around a failure and its retry": 7,
    "a loop of wrapped tries": 7,
    "an agent above its requests": 11,
    "siblings of two instrumentations, in other traces": 5,
    "siblings without ids, of two instrumentations": 10,
    "two requests without ids below one wrapper": 11,
}


@pytest.mark.parametrize("name", FORESTS)
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_any_order_of_arrival_gives_the_same_bill(name, seed):
    """
    For known stacks of instrumentations, each shuffled arrival gives one bill, and it is the right amount.
    """
    spans = FORESTS[name]
    order = list(range(len(spans)))
    expected = bill(arrive(spans, order))
    Random(seed).shuffle(order)
    got = bill(arrive(spans, order))

    assert expected == got
    assert EXPECTED[name] == sum(json.loads(key)[1] or 0 for key in got.elements())


@st.composite
def forests(draw) -> list[Request]:
    """Random trees of requests, wrappers, aggregates, failures and other spans."""
    spans: list[Request] = []
    for number in range(draw(st.integers(2, 8))):
        parent = draw(st.none() | st.sampled_from([span.span.span_id for span in spans])) if spans else None
        start = draw(st.integers(0, 40))
        facts = {"parent": parent, "start": start, "end": start + draw(st.integers(1, 20))}
        facts["scope"] = draw(st.sampled_from(["one", "two"]))
        kind = draw(st.sampled_from(["request", "request", "request", "failed", "aggregate", "none"]))
        if kind == "failed":
            spans.append(failed(f"s{number}", **facts))
        elif kind == "none":
            spans.append(between(f"s{number}", **facts))
        else:
            spans.append(
                candidate(
                    f"s{number}",
                    cost=draw(st.integers(1, 3)),
                    kind=kind,
                    response_id=draw(st.sampled_from(["", "", "r1", "r2"])),
                    usage_gaps=draw(st.sampled_from([(), ("audio",)])),
                    **facts,
                )
            )
    return spans


@settings(max_examples=400)
@given(spans=forests(), seed=st.integers(0, 10**6))
def test_random_forests_give_one_bill_in_any_order(spans, seed):
    """
    Whatever the tree, two orders of arrival give the same rows + adjustments in every dimension.
    """
    order = list(range(len(spans)))
    Random(seed).shuffle(order)

    assert bill(arrive(spans, list(range(len(spans))))) == bill(arrive(spans, order))
