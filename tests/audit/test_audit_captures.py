"""Every recorded trace, audited: charged as often as the provider bills, exact where it can be, flagged where not."""

from __future__ import annotations

import functools
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.audit import AuditedRequest
from otel_llmcost.model import COUNTS, Priced, Usage
from otel_llmcost.pricing import Pricer, arithmetic, normalise_provider
from tests import captures
from tests.audit.conftest import Auditor

ALL = captures.names("")


@functools.cache
def capture(name: str) -> dict:
    """Read a capture once."""
    return captures.load(name)


def shows_every_request(name: str) -> bool:
    """Tell whether the spans of a capture can show all that was billed."""
    return bool(capture(name)["observable_charges"] == capture(name)["expected_charges"])


def billed(audited: Auditor, name: str) -> list[AuditedRequest]:
    """Audit a capture, and give its requests, failures that owe nothing aside."""
    found = audited(capture(name)["otlp"])
    assert not found.problems
    return [each for each in found.requests if each.cost_status != "failed_no_usage"]


def counts_of(each: AuditedRequest) -> dict[str, int]:
    """Give the counts of a request that are not zero."""
    return {name: count for name in COUNTS if isinstance(count := each.row[name], int) and count}


@pytest.mark.parametrize("name", [name for name in ALL if shows_every_request(name)])
def test_each_request_is_charged_once(audited: Auditor, name: str):
    """
    However many spans show a request, in however many traces: what the provider bills once is here once.
    """
    assert capture(name)["expected_charges"] == len(billed(audited, name))


@pytest.mark.parametrize("name", [name for name in ALL if not shows_every_request(name)])
def test_what_the_spans_hide_or_split_is_never_made_up(audited: Auditor, name: str):
    """
    Where spans hide a request, or nothing links two spans of one, the count stays between what they show and the truth.
    """
    shown, true = capture(name)["observable_charges"], capture(name)["expected_charges"]

    assert min(shown, true) <= len(billed(audited, name)) <= max(shown, true)


@pytest.mark.parametrize("name", [name for name in ALL if capture(name)["exactly_priceable"]])
def test_exact_captures_have_the_charges_of_the_provider(audited: Auditor, pricer: Pricer, name: str):
    """
    Each count equals what the provider billed, and the cost is what the pricer says of those very counts.

    Reasoning is inside output and has no price of its own here: a span may hide it, when the row says so.
    """
    charges = list(capture(name)["charges"])
    for each in billed(audited, name):
        call = each.request.call
        match = next((charge for charge in charges if agrees(each, charge)), None)
        assert match is not None, (counts_of(each), charges)
        charges.remove(match)
        at = datetime.fromtimestamp(each.request.span.start_unix_ns // 10**9, UTC)
        price = pricer.price(
            provider=normalise_provider(match["provider"]),
            model=match["model"],
            usage=Usage(**captures.expected_usage(match)),
            at=at,
            service_tier=match["service_tier"],
            attributes=call.price_attributes,
        )
        assert isinstance(price, Priced)
        assert (each.cost_usd, each.cost_status) == (price.cost_usd, price.status)
        assert price.cost_usd == sum(line.cost_usd or 0 for line in arithmetic(price.rate.content, call.usage))
    assert charges == []


def agrees(each: AuditedRequest, charge: dict) -> bool:
    """Tell whether a request has the counts of a charge."""
    got, expected = counts_of(each), captures.expected_usage(charge)
    if each.row["reasoning_tokens"] is None and "reasoning" in each.request.call.usage_gaps:
        expected.pop("reasoning_tokens", None)
    return got == expected


@pytest.mark.parametrize("name", [name for name in ALL if not capture(name)["exactly_priceable"]])
def test_what_cannot_be_exact_says_so(audited: Auditor, name: str):
    """
    Where a billed quantity is on no span, the request names what its emitter hides, or has no cost, or has it after all.
    """
    for each in billed(audited, name):
        exact = any(agrees(each, charge) for charge in capture(name)["charges"])
        assert each.request.call.usage_gaps or each.cost_usd is None or exact


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_is_never_0(audited: Auditor, name: str):
    """
    No request costs $0, and a total with an unknown in it is a lower bound, or not known at all.
    """
    found = audited(capture(name)["otlp"])
    unknown = [each for each in found.requests if each.cost_usd is None and each.cost_status != "failed_no_usage"]

    assert all(each.cost_usd != 0 for each in found.requests)
    assert not unknown or found.totals.is_lower_bound
    assert found.totals.cost_usd != 0 or not [each for each in found.requests if each.cost_status != "failed_no_usage"]


def test_the_total_is_the_sum_of_the_rows(audited: Auditor):
    """
    All captures together: the rows' costs sum to the total exactly, and each span is in one place only.
    """
    found = audited(*(capture(name)["otlp"] for name in ALL))
    carriers = [(each.request.span.trace_id, each.request.span.span_id) for each in found.requests]
    aside = [each.span for each in found.duplicates if each.reason != "same_span"]

    assert found.totals.cost_usd == sum((each.cost_usd or Decimal(0) for each in found.requests), Decimal(0))
    assert sum(found.totals.by_cost_status.values()) == len(found.requests)
    assert max(Counter(carriers + aside).values()) == 1


@pytest.mark.parametrize("name", captures.names("otel-genai-openai-agents__"))
def test_agents_without_requests_are_not_free(audited: Auditor, name: str):
    """
    An instrumentation that shows agents and no requests: the total is not known, and not $0.
    """
    totals = audited(capture(name)["otlp"]).totals

    assert (totals.cost_usd, totals.is_lower_bound) == (None, True)
    assert totals.agents_without_requests > 0


def test_every_duplicate_names_a_billed_request(audited: Auditor):
    """
    A span that is not charged names the span that is, unless what it repeats was never billed.
    """
    for name in ALL:
        found = audited(capture(name)["otlp"])
        billed_spans = {each.request.span.span_id for each in found.requests}
        for each in found.duplicates:
            assert each.reason == "free" or (each.of and each.of[1] in billed_spans), (name, each)


def lines_of(otlp: dict) -> list[str]:
    """Give one line of JSON per span."""
    return [
        json.dumps({"resourceSpans": [{**resource, "scopeSpans": [{**scope, "spans": [span]}]}]})
        for resource in otlp["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@given(data=st.data(), name=st.sampled_from(ALL))
@settings(max_examples=60, deadline=None)
def test_the_order_of_lines_and_files_changes_nothing(audited: Auditor, data: st.DataObject, name: str):
    """
    One line a span, in any order, in any split over two files: the same answer as the whole trace in one document.
    """
    otlp = capture(name)["otlp"]
    lines = data.draw(st.permutations(lines_of(otlp)))
    cut = data.draw(st.integers(0, len(lines)))
    files = ["\n".join(lines[:cut]), "\n".join(lines[cut:])]
    whole, split = audited(otlp).as_json(), audited(*(each for each in files if each)).as_json()

    assert whole == split


def test_the_order_of_all_captures_changes_nothing(audited: Auditor):
    """
    All captures in one audit, and in reverse: the same answer.
    """
    held = [capture(name)["otlp"] for name in ALL]

    assert audited(*held).as_json() == audited(*reversed(held)).as_json()


def test_no_content_is_in_the_answer(audited: Auditor):
    """
    Texts that people and models wrote, in attributes and bodies, are nowhere in the answer.
    """
    answer = json.dumps(audited(*(capture(name)["otlp"] for name in ALL)).as_json())
    contents = {text for name in ALL for line in lines_of(capture(name)["otlp"]) for text in _texts(json.loads(line))}

    assert contents
    assert [text for text in contents if text in answer] == []


def _texts(held: object) -> list[str]:
    """Give every attribute text that is prose: four words or more."""
    if isinstance(held, dict):
        if isinstance(text := held.get("stringValue"), str):
            return [text] if len(text.split()) >= 4 else []
        return [text for value in held.values() for text in _texts(value)]
    return [text for value in held for text in _texts(value)] if isinstance(held, list) else []
