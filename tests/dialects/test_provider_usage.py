"""Providers' own bodies and usage objects: the exact source."""

from __future__ import annotations

from decimal import Decimal

import pytest

from otel_llmcost.dialects.provider_usage import SHAPES, read_response, read_usage
from otel_llmcost.dialects.raw import MAX_JSON, parse_json, parse_repr
from otel_llmcost.model import COUNTS

BODIES = {
    "openai_chat": (
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1795000000,
            "model": "gpt-5.4",
            "service_tier": "priority",
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 30, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 20},
            },
        },
        {
            "input_tokens": 20,
            "cached_input_tokens": 40,
            "cache_write_tokens": 10,
            "audio_input_tokens": 30,
            "output_tokens": 30,
            "audio_output_tokens": 20,
            "reasoning_tokens": 7,
        },
        ("gpt-5.4", "chatcmpl-1", "priority"),
    ),
    "openai_responses": (
        {
            "id": "resp_1",
            "object": "response",
            "model": "gpt-5.6-sol",
            "output": [
                {"type": "reasoning"},
                {"type": "web_search_call", "action": {"type": "search"}},
                {"type": "web_search_call", "action": {"type": "open_page"}},
                {"type": "file_search_call"},
                {"type": "message", "content": [{"type": "output_text", "text": "web_search_call"}]},
            ],
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {
                    "cached_tokens": 40,
                    "cache_write_tokens": 30,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 10},
                },
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 7},
            },
        },
        {
            "input_tokens": 30,
            "cached_input_tokens": 40,
            "cache_write_tokens": 20,
            "cache_write_12h_tokens": 10,
            "output_tokens": 50,
            "reasoning_tokens": 7,
            "web_search_calls": 1,
            "file_search_calls": 1,
        },
        ("gpt-5.6-sol", "resp_1", ""),
    ),
    "anthropic": (
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-opus-4-6",
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 5,
                "output_tokens": 20,
                "cache_read_input_tokens": 80,
                "cache_creation_input_tokens": 15,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 5},
                "server_tool_use": {"web_search_requests": 2},
                "output_tokens_details": {"thinking_tokens": 3},
                "service_tier": "standard",
                "speed": "fast",
                "inference_geo": "us",
                "iterations": [
                    {"type": "compaction", "input_tokens": 1000, "output_tokens": 100},
                    {"type": "message", "input_tokens": 5, "output_tokens": 20},
                ],
            },
        },
        {
            "input_tokens": 1005,
            "cached_input_tokens": 80,
            "cache_write_tokens": 10,
            "cache_write_1h_tokens": 5,
            "output_tokens": 120,
            "web_search_calls": 2,
            "reasoning_tokens": 3,
        },
        ("claude-opus-4-6", "msg_1", "standard"),
    ),
    "gemini": (
        {
            "responseId": "gem-1",
            "modelVersion": "gemini-2.5-flash",
            "candidates": [{"content": {}, "groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 6,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 133,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 70},
                    {"modality": "AUDIO", "tokenCount": 30},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
            },
        },
        {
            "input_tokens": 46,
            "cached_input_tokens": 30,
            "audio_input_tokens": 20,
            "cached_audio_input_tokens": 10,
            "output_tokens": 27,
            "reasoning_tokens": 7,
            "web_search_calls": 2,
        },
        ("gemini-2.5-flash", "gem-1", ""),
    ),
    "bedrock": (
        {
            "output": {"message": {"role": "assistant"}},
            "stopReason": "end_turn",
            "serviceTier": {"type": "flex"},
            "usage": {
                "inputTokens": 5,
                "outputTokens": 20,
                "totalTokens": 120,
                "cacheReadInputTokens": 80,
                "cacheWriteInputTokens": 15,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 5}],
            },
        },
        {
            "input_tokens": 5,
            "cached_input_tokens": 80,
            "cache_write_tokens": 10,
            "cache_write_1h_tokens": 5,
            "output_tokens": 20,
        },
        ("", "", "flex"),
    ),
    "bedrock, Llama": (
        {"generation": "x", "prompt_token_count": 5, "generation_token_count": 20, "stop_reason": "stop"},
        {"input_tokens": 5, "output_tokens": 20},
        ("", "", ""),
    ),
    "cohere": (
        {
            "id": "c1",
            "usage": {
                "billed_units": {"input_tokens": 5, "output_tokens": 20},
                "tokens": {"input_tokens": 70, "output_tokens": 22},
            },
        },
        {"input_tokens": 5, "output_tokens": 20},
        ("", "c1", ""),
    ),
    "langchain": (
        {
            "id": "r",
            "usage_metadata": {
                "input_tokens": 100,
                "output_tokens": 20,
                "total_tokens": 120,
                "input_token_details": {
                    "cache_read": 80,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 10,
                    "ephemeral_1h_input_tokens": 5,
                },
                "output_token_details": {"reasoning": 3},
            },
        },
        {
            "input_tokens": 5,
            "cached_input_tokens": 80,
            "cache_write_tokens": 10,
            "cache_write_1h_tokens": 5,
            "output_tokens": 20,
            "reasoning_tokens": 3,
        },
        ("", "r", ""),
    ),
}


def counts_of(usage):
    """Give the counts that are not zero."""
    return {} if usage is None else {name: n for name, n in zip(COUNTS, usage.counts, strict=True) if n}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_as_it_is_billed(name):
    """
    Each provider's own meaning of its own fields, in counts that never overlap.
    """
    body, counts, told = BODIES[name]
    read = read_response(body)

    assert counts == counts_of(read.usage)
    assert told == (read.model, read.response_id, read.service_tier)
    assert (read.invalid_usage, read.gaps) == ((), ())


def test_every_shape_has_an_example():
    """
    No row of the table is untested.
    """
    assert {shape.name for shape in SHAPES} <= BODIES.keys()


def test_speed_and_place_come_from_the_usage():
    """
    Anthropic says in its usage how fast and where it answered.
    """
    read = read_response(BODIES["anthropic"][0])

    assert (read.speed, read.region) == ("fast", "us")


def test_an_answer_that_never_ended_is_a_lower_bound():
    """
    The placeholder of an abandoned Anthropic stream is no output count.
    """
    body = {"type": "message", "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 3}}

    assert read_response(body).gaps == ("output",)


def test_openrouter_shows_itself_and_its_charge():
    """
    OpenAI's shape with OpenRouter's fields: the seller is OpenRouter, and its cost is kept.
    """
    read = read_usage({"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.00713, "is_byok": False})

    assert ("openrouter", Decimal("0.00713")) == (read.provider, read.provider_cost_usd)


def test_a_bare_usage_object_names_what_lies_outside_it():
    """
    Tool calls and the tier are in the body around OpenAI's usage; Anthropic's has everything inside.
    """
    openai, anthropic = ({"prompt_tokens": 1}, {"input_tokens": 1, "cache_read_input_tokens": 0})

    assert (read_usage(openai).gaps, read_usage(anthropic).gaps) == (("tool_calls", "service_tier"), ())


def test_a_body_without_usage_has_none():
    """
    Nothing said is nothing known, not 0.
    """
    assert [read_response(body).usage for body in ({}, {"usage": None, "id": "x"})] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "{'a': None, 'b': {'c': 1}, 'd': True, 'e': 'standard'}",
        "Usage(a=None, b=Details(c=1), d=True, e='standard')",
    ],
)
def test_python_text_is_read_without_evaluating_it(text):
    """
    A repr of dictionaries or of models becomes the same object.
    """
    assert parse_repr(text) == {"a": None, "b": {"c": 1}, "d": True, "e": "standard"}


@pytest.mark.parametrize("text", ["__import__('os').getcwd()", "{'a': [1}", "'" * 20, "", "[1]", 7, None, "{" * 5000])
def test_python_text_that_is_no_object_is_nothing(text):
    """
    Whatever else it is, it is not run and does not raise.
    """
    assert parse_repr(text) is None


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a":}', "\ud800{}", '{"a":1}' + " " * MAX_JSON, None, b"{}", "[" * 9999]
)
def test_json_that_is_broken_or_beyond_the_bound_is_nothing(text):
    """
    The parse is bounded, and never raises.
    """
    assert parse_json(text) is None
