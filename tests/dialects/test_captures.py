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

OURS = ("otel-", "anthropic-sdk-native")
"""The dialects that exist so far."""


def bill(capture: dict) -> list[Request]:
    """Meter a capture as the processor would, and give what is charged in the end: rows with adjustments applied."""
    meter = Meter(Pricer.default(), Charging())
    spans = list(captures.views(capture))
    parents = {(span.trace_id, span.span_id): span.parent_span_id for span in spans}
    charged: dict[tuple[str, str], Request] = {}
    for span in spans:
        ancestors, parent = [], span.parent_span_id
        while parent:
            ancestors.append((span.trace_id, parent))
            parent = parents.get((span.trace_id, parent))
        for outcome in meter.meter(span, NO_OWNER, ancestors=ancestors):
            if isinstance(outcome, Request):
                charged[outcome.span.trace_id, outcome.span.span_id] = outcome
            elif isinstance(outcome, Adjustment) and outcome.sign == 1:
                charged[outcome.of_trace_id, outcome.of_span_id] = outcome.request
            else:
                assert isinstance(outcome, Duplicate | Adjustment)
    return list(charged.values())


def counted(request: Request) -> dict[str, int]:
    """Give the counts of a request that are not zero."""
    usage = request.call.usage
    return {} if usage is None else {name: n for name, n in zip(COUNTS, usage.counts, strict=True) if n}


@pytest.mark.parametrize("name", captures.names(*OURS))
def test_each_billed_request_is_charged_once(name):
    """
    However many spans show a request, it is one charge; failed requests without usage are rows without a cost.
    """
    capture = captures.load(name)
    if capture["observable_charges"] != capture["expected_charges"]:
        pytest.skip(f"these spans cannot show every request: {capture['notes']}")
    charged = [request for request in bill(capture) if request.call.usage is not None]
    unseen = capture["expected_charges"] if capture["usage_known"] == "unknown" else 0

    assert capture["expected_charges"] - unseen == len(charged)


@pytest.mark.parametrize("name", [name for name in captures.names(*OURS) if captures.load(name)["exactly_priceable"]])
def test_an_exact_span_gives_the_providers_own_counts(name):
    """
    Where the spans hold every billed quantity, each count equals what the provider billed.
    """
    capture = captures.load(name)
    expected = Counter(json.dumps(captures.expected_usage(charge), sort_keys=True) for charge in capture["charges"])
    got = [request for request in bill(capture) if request.call.usage is not None]

    assert expected == Counter(json.dumps(counted(request), sort_keys=True) for request in got)


@pytest.mark.parametrize(
    "name", [name for name in captures.names(*OURS) if not captures.load(name)["exactly_priceable"]]
)
def test_a_span_that_hides_money_says_so(name):
    """
    Where a billed quantity is not on the spans, the row has gaps or has no usage: never a silent exact number.
    """
    capture = captures.load(name)
    if not capture["charges"] or capture["observable_charges"] != capture["expected_charges"]:
        pytest.skip("nothing was billed, or not every request shows")
    for request in bill(capture):
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
