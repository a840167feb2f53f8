"""Requests that have no span."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from otel_llmcost import ClickHouseSpanExporter, Settings, Usage, attributed, record_outcome, record_request
from otel_llmcost.errors import SettingsError
from tests.test_processor import rows

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=8_000, cached_input_tokens=2_000, output_tokens=1_200)


@pytest.fixture(name="exporter")
def _exporter(tmp_path):
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{tmp_path}/ledger"))
    yield exporter
    exporter.shutdown()


def test_a_request_is_priced_owned_and_journaled(exporter):
    """
    A recorded request has its cost, its owner and the instant that selects its rate.
    """
    with attributed(team="search", customer_id="acme"):
        price = record_request(provider="openai", model="gpt-5.4-mini", usage=USAGE, at=AT, exporter=exporter)
    (row,) = rows(exporter)

    assert (str(price.cost_usd), row["cost_usd"]) == ("0.01155", "0.01155")
    assert (row["team"], row["customer_id"], row["timestamp"]) == ("search", "acme", "2026-11-01 12:00:00.000000")


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "model": "gpt-5.4-mini",
                "usage": {
                    "prompt_tokens": 10_000,
                    "completion_tokens": 1_200,
                    "prompt_tokens_details": {"cached_tokens": 2_000},
                },
            },
            "0.01155",
        ),
        (
            {
                "id": "msg_1",
                "type": "message",
                "model": "claude-sonnet-4-20250514",
                "usage": {"input_tokens": 8_000, "output_tokens": 1_200},
            },
            "0.042",
        ),
    ],
    ids=["openai", "anthropic"],
)
def test_a_response_body_says_what_was_used(exporter, body, cost):
    """
    Model, usage and id are read from a provider's own body, by the provider's own rule for cached input.
    """
    provider = "openai" if "object" in body else "anthropic"
    record_request(provider=provider, response=body, at=AT, exporter=exporter)
    (row,) = rows(exporter)

    assert (row["cost_usd"], row["response_id"]) == (cost, body["id"])


def test_a_body_tells_its_gaps_and_its_own_cost(exporter):
    """
    What a body cannot say stays a gap of the row, and what its sender charged is kept beside our cost.
    """
    stream_start = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4", "stop_reason": None}
    stream_start["usage"] = {"input_tokens": 8_000, "output_tokens": 1}
    routed = {"id": "gen-1", "object": "chat.completion", "model": "openai/gpt-5.4-mini"}
    routed["usage"] = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00003}
    record_request(provider="anthropic", response=stream_start, at=AT, exporter=exporter)
    record_request(provider="openrouter", response=routed, at=AT, exporter=exporter)
    cut, reported = rows(exporter)

    assert "output" in cut["usage_gaps"]
    assert Decimal(reported["provider_cost_usd"]) == Decimal("0.00003")


def test_a_file_that_is_recorded_twice_has_the_same_keys(tmp_path):
    """
    A response id makes the row's key, so that two runs over one file can be told apart from two requests.
    """
    keys = []
    for run in ("first", "second"):
        exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{tmp_path}/{run}"))
        record_request(
            provider="openai", model="gpt-5.4-mini", usage=USAGE, response_id="r-1", at=AT, exporter=exporter
        )
        keys += [(row["trace_id"], row["span_id"]) for row in rows(exporter)]
        exporter.shutdown()

    assert keys[0] == keys[1]


def test_an_answer_that_nobody_counted_is_a_lower_bound(exporter):
    """
    A chat without output tokens is no exact cost.
    """
    record_request(provider="openai", model="gpt-5.4-mini", usage=Usage(input_tokens=8_000), at=AT, exporter=exporter)
    (row,) = rows(exporter)

    assert (row["price_status"], row["reason"], row["cost_usd"]) == ("partial", "output_unknown", "0.006")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"at": datetime(2026, 11, 1)}, ValueError),  # noqa: DTZ001  # the mistake under test
        ({"model": ["gpt-5.4-mini"]}, TypeError),
    ],
)
def test_wrong_arguments_are_named(exporter, wrong, error):
    """
    A naive instant or a name that is no text is an error that names the argument; nothing is journaled.
    """
    arguments = {"provider": "openai", "model": "gpt-5.4-mini", "usage": USAGE, "exporter": exporter} | wrong
    with pytest.raises(error, match=next(iter(wrong))):
        record_request(**arguments)

    assert rows(exporter) == []


def test_without_an_exporter_the_error_says_what_to_do():
    """
    Nothing is recorded into nowhere.
    """
    with pytest.raises(SettingsError, match="exporter="):
        record_request(provider="openai", model="gpt-5.4-mini", usage=USAGE)


def test_an_outcome_is_journaled(exporter):
    """
    What a business action was worth becomes a row of its own table, exactly.
    """
    record_outcome(action="ticket", action_id="t-1", value_usd=Decimal("4.20"), at=AT, exporter=exporter)
    (row,) = rows(exporter, "llm_outcomes")

    assert (row["action"], Decimal(row["value_usd"])) == ("ticket", Decimal("4.2"))


def test_an_outcome_meets_its_requests(tmp_path):
    """
    Whatever blanks and invisible characters an id came with, a request and its outcome are stored under the same one,
    hashed or not.
    """
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    hashed = Settings(dsn=f"chdb://{tmp_path}/hashed", hash_key_file=str(key), hash_keys=("customer_id", "action_id"))
    for settings in (Settings(dsn=f"chdb://{tmp_path}/plain"), hashed):
        exporter = ClickHouseSpanExporter(settings=settings)
        ids = {"action": " reply\u200b ", "action_id": 42, "customer_id": "acme\n corp "}
        with attributed(**ids):
            record_request(provider="openai", model="gpt-5.4-mini", usage=USAGE, at=AT, exporter=exporter)
        record_outcome(**ids, value_usd=Decimal(3), at=AT, exporter=exporter)
        (request,), (outcome,) = rows(exporter), rows(exporter, "llm_outcomes")
        exporter.shutdown()

        assert {name: outcome[name] for name in ids} == {name: request[name] for name in ids}


@pytest.mark.parametrize("name", ["action", "action_id"])
def test_an_outcome_of_nothing(exporter, name):
    """
    An outcome that no request could share is refused, with the name of what is empty.
    """
    with pytest.raises(ValueError, match=f"{name}=.* names nothing"):
        record_outcome(**{"action": "a", "action_id": "b", name: " \u200b"}, value_usd=Decimal(1), exporter=exporter)


def test_a_customer_that_is_no_text(exporter):
    """
    What cannot be an owner is refused, as `attributed` does.
    """
    with pytest.raises(TypeError, match=r"customer_id=.* takes text or a whole number, not float"):
        record_outcome(action="a", action_id="b", customer_id=4.2, value_usd=Decimal(1), exporter=exporter)
