"""Raw response bodies: recognised by shape, read exactly, priced at their own instant."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.audit.conftest import AT_NS, Auditor
from tests.audit.test_audit_documents import BODY, TRACE

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1793534400,
    "model": "gpt-5.4-mini-2026-03-17",
    "choices": [{"message": {"role": "assistant", "content": "What people and models say stays secret."}}],
    "usage": {
        "prompt_tokens": 10000,
        "completion_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 2000},
        "completion_tokens_details": {"reasoning_tokens": 192},
    },
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1793534400.0,
    "model": "gpt-5.4-mini-2026-03-17",
    "status": "completed",
    "service_tier": "default",
    "output": [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "message", "content": [{"type": "output_text", "text": "What people and models say stays secret."}]},
    ],
    "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 10},
}
MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "What people and models say stays secret."}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 13,
        "cache_read_input_tokens": 5003,
        "cache_creation_input_tokens": 1810,
        "cache_creation": {"ephemeral_5m_input_tokens": 1207, "ephemeral_1h_input_tokens": 603},
        "output_tokens": 421,
        "service_tier": "standard",
    },
}
GEMINI = {
    "candidates": [
        {"content": {"parts": [{"text": "What people and models say stays secret."}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {
        "promptTokenCount": 4000,
        "cachedContentTokenCount": 3072,
        "toolUsePromptTokenCount": 65,
        "candidatesTokenCount": 211,
        "thoughtsTokenCount": 512,
        "totalTokenCount": 4788,
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "gem-1",
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "What people and models say stays secret."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 13, "outputTokens": 421, "cacheReadInputTokens": 5003, "totalTokens": 5437},
    "metrics": {"latencyMs": 900},
    "ResponseMetadata": {"HTTPHeaders": {"date": "Sun, 01 Nov 2026 10:00:00 GMT"}},
}
EMBEDDINGS = {
    "object": "list",
    "data": [{"embedding": [0.1]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
LLAMA = {"generation": "…", "prompt_token_count": 11, "generation_token_count": 7, "stop_reason": "stop"}

EXPECTED = {
    "chat": (CHAT, "openai", {"input_tokens": 8000, "cached_input_tokens": 2000, "output_tokens": 1200}),
    "response": (RESPONSE, "openai", {"input_tokens": 60, "cached_input_tokens": 40, "web_search_calls": 1}),
    "message": (MESSAGE, "anthropic", {"input_tokens": 13, "cache_write_tokens": 1207, "cache_write_1h_tokens": 603}),
    "gemini": (GEMINI, "gcp.gemini", {"input_tokens": 993, "cached_input_tokens": 3072, "output_tokens": 723}),
    "converse": (CONVERSE, "aws.bedrock", {"input_tokens": 13, "cached_input_tokens": 5003, "output_tokens": 421}),
    "embeddings": (EMBEDDINGS, "openai", {"input_tokens": 8}),
    "llama": (LLAMA, "aws.bedrock", {"input_tokens": 11, "output_tokens": 7}),
    "anthropic on bedrock": ({**MESSAGE, "id": "msg_bdrk_01"}, "aws.bedrock", {"input_tokens": 13}),
    "anthropic on vertex": ({**MESSAGE, "id": "msg_vrtx_01"}, "gcp.vertex_ai", {"input_tokens": 13}),
    "azure": ({**CHAT, "prompt_filter_results": []}, "azure.ai.openai", {"output_tokens": 1200}),
    "openrouter": (
        {**CHAT, "usage": {**CHAT["usage"], "cost": 0.0123, "is_byok": False}},
        "openrouter",
        {"output_tokens": 1200},
    ),
    "a copy of openai": ({**CHAT, "model": "deepseek-chat"}, "deepseek", {"output_tokens": 1200}),
}
MODELS = {"converse": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "llama": "meta.llama3-1-8b-instruct-v1:0"}


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_shape_names_its_provider_and_its_counts(audited: Auditor, kind: str):
    """
    Who answered, and each count that is billed, as the provider's documentation means it.
    """
    body, provider, counts = EXPECTED[kind]
    (each,) = audited(body, model=MODELS.get(kind, "")).requests

    assert provider == each.row["provider"]
    assert each.row["dialect"] == "response_body"
    assert counts == {name: each.row[name] for name in counts}
    assert each.row["status"] == "success"


def test_the_worked_request_costs_what_the_readme_says(audited: Auditor):
    """
    8,000 fresh, 2,000 cached and 1,200 output tokens of gpt-5.4-mini: $0.01155.
    """
    found = audited(CHAT)

    assert (Decimal("0.01155"), False) == (found.totals.cost_usd, found.totals.is_lower_bound)
    assert found.requests[0].row["timestamp"] == "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize("held", [[CHAT, MESSAGE], f"{json.dumps(CHAT)}\n{json.dumps(MESSAGE)}\n"])
def test_arrays_and_lines_of_bodies(audited: Auditor, held: object):
    """
    A JSON array and JSON lines hold as many requests as bodies.
    """
    assert {"openai", "anthropic"} == {each.row["provider"] for each in audited(held).requests}


BATCHES = {
    "openai": {"custom_id": "1", "response": {"status_code": 200, "request_id": "r", "body": CHAT}, "error": None},
    "anthropic": {"custom_id": "1", "result": {"type": "succeeded", "message": MESSAGE}},
    "gemini": {"key": "1", "response": GEMINI},
    "bedrock": {"recordId": "1", "modelInput": {}, "modelOutput": {**MESSAGE, "id": "msg_bdrk_01"}},
}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_a_batch_costs_half(audited: Auditor, provider: str):
    """
    A line of a batch's output has the batch price, half of what the same body costs alone.
    """
    alone = {"openai": CHAT, "anthropic": MESSAGE, "gemini": {**GEMINI, "usageMetadata": {"promptTokenCount": 100}}}
    line = BATCHES[provider] | ({"response": alone["gemini"]} if provider == "gemini" else {})
    (batch,), (single,) = audited(line).requests, audited(alone[provider]).requests

    assert batch.row["batch"] is True
    assert batch.cost_usd is not None
    assert single.cost_usd == 2 * batch.cost_usd


@pytest.mark.parametrize(
    ("failure", "error_type", "status"),
    [
        ({"error": {"message": "slow down", "type": "rate_limit_error", "code": None}}, "rate_limit_error", "error"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "…"}}, "overloaded_error", "error"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "…"}}, "RESOURCE_EXHAUSTED", "error"),
        ({"Error": {"Code": "ThrottlingException", "Message": "…"}}, "ThrottlingException", "error"),
        ({"custom_id": "1", "response": {"status_code": 400, "body": {"error": {"type": "bad"}}}}, "bad", "error"),
        ({"custom_id": "1", "response": None, "error": {"code": "batch_expired"}}, "batch_expired", "error"),
        ({"custom_id": "1", "result": {"type": "errored", "error": {"error": {"type": "bad"}}}}, "bad", "error"),
        ({"custom_id": "1", "result": {"type": "canceled"}}, "cancelled", "cancelled"),
        ({"custom_id": "1", "result": {"type": "expired"}}, "timeout", "timeout"),
        ({**RESPONSE, "status": "failed", "usage": None, "error": {"code": "server_error"}}, "server_error", "error"),
    ],
)
def test_failures_owe_nothing_that_is_known(audited: Auditor, failure: dict, error_type: str, status: str):
    """
    A failed response is a request without a cost, never $0, and raises no alarm about the total.
    """
    found = audited(failure)
    (each,) = found.requests

    assert (status, error_type) == (each.row["status"], each.row["error_type"])
    assert (each.cost_status, each.cost_usd) == ("failed_no_usage", None)
    assert (Decimal(0), False) == (found.totals.cost_usd, found.totals.is_lower_bound)


def test_time_comes_from_the_body_else_from_the_caller(audited: Auditor):
    """
    `created`, a Date header, `createTime`; what has none is priced at the caller's instant, and counted.
    """
    vertex = {**GEMINI, "createTime": "2026-10-31T12:00:00.5Z"}
    found = audited([CHAT, CONVERSE, vertex, MESSAGE], at_unix_ns=AT_NS + 10**9)
    times = {each.row["provider"]: each.row["timestamp"][:19] for each in found.requests}

    assert times == {
        "openai": "2026-11-01T12:00:00",
        "aws.bedrock": "2026-11-01T10:00:00",
        "gcp.gemini": "2026-10-31T12:00:00",
        "anthropic": "2026-11-01T12:00:01",
    }
    assert found.without_time == 1


def test_a_body_without_its_model_is_not_priced_until_it_is_named(audited: Auditor):
    """
    Bedrock Converse does not name the model: the cost is not known, until the caller says which it was.
    """
    (unknown,), (known,) = (audited(CONVERSE, model=model).requests for model in ("", MODELS["converse"]))

    assert (unknown.cost_usd, unknown.cost_status) == (None, "unpriced")
    assert known.cost_usd is not None
    assert known.cost_usd > 0


def test_a_response_is_one_request_however_often_it_is_given(audited: Auditor):
    """
    The same response twice is one request; equal bodies without an id are as many requests as there are.
    """
    same, nameless = audited(CHAT, [CHAT]), audited(CONVERSE, [CONVERSE])

    assert (len(same.requests), [each.reason for each in same.duplicates]) == (1, ["same_span"])
    assert (len(nameless.requests), nameless.duplicates) == (2, [])


def test_a_trace_and_the_response_that_it_shows_are_one_request(audited: Auditor):
    """
    A span and the body with its response id are one charge, by the body, which hides nothing.
    """
    span = TRACE["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    shown = [*span["attributes"], {"key": "gen_ai.response.id", "value": {"stringValue": "chatcmpl-1"}}]
    for files in (({**span, "attributes": shown}, BODY), (BODY, {**span, "attributes": shown})):
        found = audited(*files)
        assert [each.row["dialect"] for each in found.requests] == ["response_body"]
        assert [each.reason for each in found.duplicates] == ["response_id"]


@pytest.mark.parametrize("held", [{}, {"hello": 1}, [], [1], {"usage": {}}, {"model": "gpt-5.4"}, {"object": "list"}])
def test_what_is_neither_is_a_problem(audited: Auditor, held: object):
    """
    JSON of another kind is no request; an object says which kinds there are.
    """
    found = audited(held)

    assert found.requests == []
    assert held == [] or len(found.problems) == 1


def test_content_stays_out(audited: Auditor):
    """
    No text of an answer is in what is printed.
    """
    answer = json.dumps(audited([body for body, _, _ in EXPECTED.values()]).as_json())

    assert "secret" not in answer


def test_the_callers_word_on_the_provider_wins(audited: Auditor):
    """
    Many providers copy OpenAI's form: who is named is who is billed.
    """
    (each,) = audited(CHAT, provider="Azure").requests

    assert each.row["provider"] == "azure.ai.openai"


def test_the_cost_that_a_provider_reports_is_kept_beside_ours(audited: Auditor):
    """
    OpenRouter says what it charged: that is shown, exactly, and never mixed with ours.
    """
    (each,) = audited(EXPECTED["openrouter"][0]).requests

    assert each.row["provider_cost_usd"] == "0.0123"
    assert each.row["cost_usd"] != "0.0123"
