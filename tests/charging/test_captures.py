"""The dialects and the charging against recorded spans of real instrumentations."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from otel_llmcost.charging import Charging
from otel_llmcost.dialects import read
from otel_llmcost.meter import Meter
from otel_llmcost.model import COUNTS, NO_OWNER, Adjustment, Duplicate, Request
from otel_llmcost.pricing import Pricer
from tests import captures


def bill(capture: dict) -> list[Request]:
    """Meter a capture as the processor would, and give what is charged in the end: rows + adjustments."""
    meter = Meter(Pricer.default(), Charging())
    spans = list(captures.views(capture))
    parents = {(span.trace_id, span.span_id): span.parent_span_id for span in spans}
    signs: Counter[tuple[str, str]] = Counter()
    requests: dict[tuple[str, str], Request] = {}
    for span in spans:
        ancestors, parent = [], span.parent_span_id
        while parent:
            ancestors.append((span.trace_id, parent))
            parent = parents.get((span.trace_id, parent))
        for outcome in meter.meter(span, NO_OWNER, ancestors=ancestors):
            if isinstance(outcome, Duplicate):
                continue
            sign, request = (outcome.sign, outcome.request) if isinstance(outcome, Adjustment) else (1, outcome)
            key = (request.span.trace_id, request.span.span_id)
            signs[key] += sign
            requests[key] = request
    assert set(signs.values()) <= {0, 1}
    return [requests[key] for key, sign in signs.items() if sign]


def priced_usage(request: Request) -> str:
    """Give the counts of a request that have a price: reasoning is inside output, and some emitters do not show it."""
    counts = counted(request)
    if "reasoning" in request.call.usage_gaps:
        counts.pop("reasoning_tokens", None)
    return json.dumps(counts, sort_keys=True)


def fitting(charge: dict, request: Request) -> str:
    """Give a charge's counts as far as the request's emitter can show them."""
    counts = captures.expected_usage(charge)
    if "reasoning" in request.call.usage_gaps:
        counts.pop("reasoning_tokens", None)
    return json.dumps(counts, sort_keys=True)


def counted(request: Request) -> dict[str, int]:
    """Give the counts of a request that are not zero."""
    usage = request.call.usage
    return {} if usage is None else {name: n for name, n in zip(COUNTS, usage.counts, strict=True) if n}


@pytest.mark.parametrize("name", captures.names(""))
def test_each_billed_request_is_charged_once(name):
    """
    However many spans show a request, it is one charge: never more rows than requests, and where the spans can show
    every request, no fewer. A request whose usage no span shows is a row without a cost.
    """
    capture = captures.load(name)
    charged = [request for request in bill(capture) if request.call.usage or request.call.status == "success"]

    assert len(charged) <= max(capture["expected_charges"], capture["usage_known"] == "unknown")
    if capture["observable_charges"] == capture["expected_charges"]:
        assert len(charged) >= capture["expected_charges"]


@pytest.mark.parametrize("name", [name for name in captures.names("") if captures.load(name)["exactly_priceable"]])
def test_an_exact_span_gives_the_providers_own_counts(name):
    """
    Where the spans hold every billed quantity, each count equals what the provider billed.
    """
    capture = captures.load(name)
    left = list(capture["charges"])
    for request in bill(capture):
        if request.call.usage is None:
            continue
        charge = next((each for each in left if fitting(each, request) == priced_usage(request)), None)
        assert charge is not None, (priced_usage(request), left)
        left.remove(charge)

    assert left == []


def hides(name: str) -> bool:
    """Tell whether a capture bills something that its spans do not show, and shows every request."""
    capture = captures.load(name)
    all_seen = capture["observable_charges"] == capture["expected_charges"]
    return not capture["exactly_priceable"] and bool(capture["charges"]) and all_seen


@pytest.mark.parametrize("name", [name for name in captures.names("") if hides(name)])
def test_a_span_that_hides_money_says_so(name):
    """
    Where a billed quantity is not on the spans, the row has gaps or has no usage: never a silent exact number.
    """
    for request in bill(captures.load(name)):
        assert request.call.usage_gaps or request.call.usage is None


def test_free_operations_are_never_charged():
    """
    Fetching a response, or counting tokens, makes no row.
    """
    capture = captures.load("otel-genai-openai__openai_responses_retrieve")
    operations = [request.call.operation for request in bill(capture)]

    assert operations == ["chat"]


def test_a_span_that_is_no_model_call_reads_as_none():
    """
    A span without a GenAI operation, or with one that makes no model request, is not read.
    """
    view = next(captures.views(captures.load("otel-genai-openai__openai_chat_async")))
    tool = type(view)(
        **{**{f: getattr(view, f) for f in view.__slots__}, "attributes": {"gen_ai.operation.name": "execute_tool"}}
    )
    plain = type(view)(**{**{f: getattr(view, f) for f in view.__slots__}, "attributes": {"http.method": "GET"}})

    assert (read(tool), read(plain)) == (None, None)
