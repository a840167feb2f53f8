"""Every recorded span, read by itself: what it shows is right, and what it hides is named."""

from __future__ import annotations

import functools

import pytest

from otel_llmcost.dialects import is_genai, read
from otel_llmcost.model import ModelCall
from tests import captures
from tests.dialects.spans import counted

ALL = captures.names("")
SELLERS = {"openai", "anthropic", "gcp.gemini", "gcp.gen_ai", "azure.ai.openai", "aws.bedrock", "openrouter"}


@functools.cache
def capture(name: str) -> dict:
    """Read a capture once."""
    return captures.load(name)


def calls(name: str) -> dict[str, ModelCall]:
    """Give what each span of a capture reads as, by span id."""
    found = {span.span_id: read(span) for span in captures.views(capture(name))}
    return {span_id: call for span_id, call in found.items() if call is not None}


def best_of(name: str) -> list[ModelCall]:
    """
    Give the best span of each billed request: with usage before without, fewer gaps before more, inner before outer.
    """
    read_calls = calls(name)
    best = []
    for group in capture(name)["billable_span_groups"]:
        members = [read_calls.get(member["span_id"]) for member in group]  # innermost first
        requests = [call for call in members if call is not None and call.kind == "request"]
        assert requests, f"no span of {group} reads as a request"
        best.append(min(requests, key=lambda call: (call.usage is None, len(call.usage_gaps))))
    return best


def agrees(call: ModelCall, charge: dict) -> bool:
    """Tell whether a call shows a charge, reasoning aside where the call says that it does not show it."""
    got, expected = counted(call), captures.expected_usage(charge)
    if "reasoning" in call.usage_gaps and "reasoning_tokens" not in got:
        expected.pop("reasoning_tokens", None)
    return got == expected


@pytest.mark.parametrize("name", [name for name in ALL if capture(name)["exactly_priceable"]])
def test_the_best_span_of_each_request_shows_its_exact_counts(name):
    """
    Where the spans hold every billed quantity, the span that ranks best gives each as the provider billed it.
    """
    charges = list(capture(name)["charges"])
    for call in best_of(name):
        match = next((charge for charge in charges if agrees(call, charge)), None)
        assert match is not None, (counted(call), charges)
        charges.remove(match)
    assert charges == []


@pytest.mark.parametrize("name", [name for name in ALL if not capture(name)["exactly_priceable"]])
def test_a_request_that_cannot_be_exact_says_what_it_hides(name):
    """
    Where a billed quantity is on no span, each request names gaps, or has no usage: never a silent number.
    """
    shown = capture(name)
    for call in best_of(name):
        exact = any(agrees(call, charge) for charge in shown["charges"])
        assert call.usage is None or call.usage_gaps or exact


@pytest.mark.parametrize("name", ALL)
def test_no_other_span_reads_as_a_request_with_usage(name):
    """
    Agents, chains, tools, HTTP calls and raw copies are no requests, whatever tokens they carry.
    """
    billable = {member["span_id"] for group in capture(name)["billable_span_groups"] for member in group}
    others = {span_id: call for span_id, call in calls(name).items() if span_id not in billable}

    assert [call for call in others.values() if call.kind == "request" and call.usage is not None] == []


@pytest.mark.parametrize("name", ALL)
def test_an_unusable_span_is_never_an_exact_zero(name):
    """
    A failed request without usage has none: not a count of 0.
    """
    for call in calls(name).values():
        if call.status != "success":
            assert call.usage is None


@pytest.mark.parametrize("name", ALL)
def test_the_gate_lets_every_model_span_through(name):
    """
    The fast exit misses no span that a dialect reads.
    """
    for span in captures.views(capture(name)):
        assert read(span) is None or is_genai(span.attributes)


@pytest.mark.parametrize("name", ALL)
def test_a_read_call_names_who_bills_and_what_answered(name):
    """
    Every request has a provider and a model; the provider is a seller, never a framework.
    """
    for call in calls(name).values():
        if call.kind == "request" and call.usage is not None:
            assert call.model
            assert call.provider in SELLERS


@pytest.mark.parametrize("name", [name for name in ALL if "error" in name or "timeout" in name])
def test_failures_are_seen_in_every_dialect(name):
    """
    With `error.type`, with an exception event or with the status alone: a failure is a failure, and a timeout one.
    """
    failed = [call for call in calls(name).values() if call.kind == "request"]

    assert failed
    assert (
        {"timeout"} == {call.status for call in failed}
        if "timeout" in name
        else "success" not in {c.status for c in failed}
    )


@pytest.mark.parametrize(
    "name", ["litellm-otel__litellm_cache_hit", *(name for name in ALL if name.endswith("responses_retrieve"))]
)
def test_what_was_not_made_again_is_free(name):
    """
    A stored response that is fetched, and an answer from a gateway's own cache, are never billed.
    """
    kinds = [call.kind for call in calls(name).values()]

    assert (kinds.count("request"), kinds.count("free")) == (1, 1)


@pytest.mark.parametrize(
    "name",
    [
        "strands__strands_agent_tool",
        "pydantic-ai__pydantic_ai_agent_tool",
        "vercel-ai-otel__agent_tool",
        "vercel-ai-legacy__agent_tool",
    ],
)
def test_sums_over_requests_are_aggregates(name):
    """
    A span that repeats the usage of the requests below it is an aggregate, and sums them exactly.
    """
    aggregates = [call for call in calls(name).values() if call.kind == "aggregate" and call.usage is not None]
    totals = {
        count: sum(counted(call).get(count, 0) for call in best_of(name))
        for count in ("input_tokens", "cached_input_tokens", "output_tokens")
    }

    assert aggregates
    for call in aggregates:
        assert totals == {count: counted(call)[count] for count in totals}


@pytest.mark.parametrize(
    "name", [name for name in ALL if "logfire" in name and "stream" in name and "abort" not in name]
)
def test_a_streams_usage_points_at_its_request(name):
    """
    Logfire's second span says when the stream began: just after the span of the request ended.
    """
    spans = {span.span_id: span for span in captures.views(capture(name)) if span.scope_name.startswith("logfire.")}
    began = [call.stream_began_unix_ns for call in calls(name).values() if call.stream_began_unix_ns]
    ended = [
        spans[span_id].end_unix_ns for span_id, call in calls(name).items() if span_id in spans and call.usage is None
    ]

    assert len(began) == 1
    assert 0 <= began[0] - min(ended) < 10**9
