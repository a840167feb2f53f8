"""Emitters and versions that no capture shows, as their documentation or source says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from otel_llmcost.dialects import is_genai, read
from tests.dialects.documented import EXAMPLES as SOME
from tests.dialects.documented_more import MORE
from tests.dialects.spans import counted, span

EXAMPLES = SOME | MORE


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_documented_span_reads_as_its_provider_would_bill(name):
    """
    Provider, counts and gaps follow from the emitter's documented way of writing, through the gate.
    """
    view, provider, counts, gaps = EXAMPLES[name]
    call = read(view)

    assert is_genai(view.attributes)
    assert call is not None
    assert ("request", provider, counts) == (call.kind, call.provider, counted(call))
    assert set(gaps) <= set(call.usage_gaps)
    assert call.invalid_usage == ()


def test_a_client_that_tried_again_says_so():
    """
    Claude Code's second attempt is one resend inside the client.
    """
    call = read(EXAMPLES["Claude Code"][0])

    assert call is not None
    assert (call.resend_count, call.response_id, call.status) == (1, "", "success")


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("LiteLLM V2", Decimal("0.01")),
        ("OpenRouter Broadcast", Decimal("0.01")),
        ("OpenLIT, Anthropic", None),
    ],
)
def test_a_reported_cost_is_kept_and_zero_is_unknown(name, cost):
    """
    What an emitter believes a call cost is kept beside ours; its 0 means that it knows no price.
    """
    call = read(EXAMPLES[name][0])

    assert call is not None
    assert cost == call.provider_cost_usd


def test_the_tier_that_served_is_read_where_it_stands():
    """
    The Vercel AI SDK keeps OpenAI's tier in its metadata: it is known, so it is no gap.
    """
    call = read(EXAMPLES["Vercel AI SDK, OpenAI's tier in its metadata"][0])

    assert call is not None
    assert call.service_tier == "priority"
    assert "service_tier" not in call.usage_gaps


def test_zeros_on_a_failed_call_are_no_usage():
    """
    LiteLLM V2 writes zeros on failures: nobody counted anything.
    """
    call = read(
        span(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "litellm.call_id": "c",
                "gen_ai.usage.input_tokens": 0,
                "gen_ai.usage.output_tokens": 0,
                "litellm.cost.total": 0.0,
            },
            scope="litellm",
            status_code="error",
        )
    )

    assert call is not None
    assert (call.usage, call.provider_cost_usd, call.status) == (None, None, "error")


def test_litellm_on_the_applications_own_span_is_read_by_its_call_id():
    """
    The default callback writes onto the application's parent span: LiteLLM's rules hold there too.
    """
    usage = "Usage(completion_tokens=20, prompt_tokens=100, prompt_tokens_details=PromptTokensDetailsWrapper(cached_tokens=80))"
    call = read(
        span(
            {
                "gen_ai.operation.name": "acompletion",
                "gen_ai.system": "",
                "litellm.call_id": "c",
                "litellm.provider.model": "azure/my-deployment",
                "gen_ai.response.id": "chatcmpl-4a702604-f5b6-494f-aa28-af8822c2fccb",
                "metadata.usage_object": usage,
            },
            scope="app",
            kind="server",
        )
    )

    assert call is not None
    assert (call.dialect, call.provider, call.response_id) == ("litellm", "azure.ai.openai", "")
    assert counted(call) == {"input_tokens": 20, "cached_input_tokens": 80, "output_tokens": 20}


def test_a_stream_whose_usage_openlit_guessed_has_none():
    """
    OpenLIT counts words where no usage came: that is no usage.
    """
    guessed = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 8,
        "gen_ai.usage.output_tokens": 7,
    }
    told = {**guessed, "gen_ai.usage.cache_read.input_tokens": 0}
    calls = [read(span(attributes, scope="openlit.instrumentation.openai")) for attributes in (guessed, told)]

    assert [counted(call) for call in calls] == [{}, {"input_tokens": 8, "output_tokens": 7}]


def test_the_first_name_is_read_and_none_is_added():
    """
    Old and new names on one span are one number.
    """
    call = read(
        span(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.prompt_tokens": 10,
                "gen_ai.usage.cache_read.input_tokens": 4,
                "gen_ai.usage.cache_read_input_tokens": 4,
            }
        )
    )

    assert counted(call) == {"input_tokens": 6, "cached_input_tokens": 4}


def test_counts_that_are_no_counts_are_named():
    """
    Negative counts, text and fractions are invalid usage, said with the attribute; nothing is guessed from them.
    """
    call = read(
        span({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": -1})
    )

    assert call is not None
    assert call.invalid_usage == ("gen_ai.usage.input_tokens='12'", "gen_ai.usage.output_tokens=-1")
    assert call.usage is None
