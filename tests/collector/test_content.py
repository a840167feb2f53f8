"""What was said to a model, and what it answered, ends at the agent; what it cost does not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import pytest

from otel_llmcost.pricing import Pricer
from tests.captures import load, names
from tests.collector.otlp import Otlp, arrived, bill, keys_of, only, spans_of
from tests.collector.processes import Collector, Sink, post, running, wait_until
from tests.e2e.test_privacy import CANARY, CONTENT, laced
from tests.receiver.otlp import a_span, batch, value_of

USAGE_IN_PYTHON: Final = "metadata.usage_object"
"""A usage object that LiteLLM writes as Python prints it: counts, which have no place for content."""


def full_of_canaries(otlp: Otlp) -> Otlp:
    """Put the canary wherever an instrumentation can put content, on every span of a capture."""
    changed = copy.deepcopy(otlp)
    for span in spans_of(changed):
        for pair in span.get("attributes", ()):
            if "stringValue" in pair["value"] and pair["key"] != USAGE_IN_PYTHON:
                pair["value"]["stringValue"] = laced(pair["key"], pair["value"]["stringValue"])
        present = {pair["key"] for pair in span.setdefault("attributes", [])}
        if present:  # a span without any attribute is no GenAI span
            span["attributes"] += [_pair(name) for name in CONTENT if name not in present]
        span["events"] = [
            {
                "name": name,
                "timeUnixNano": span["endTimeUnixNano"],
                "attributes": [_pair("content"), _pair("gen_ai.prompt")],
            }
            for name in ("gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt")
        ] + [
            {**event, "attributes": [*event.get("attributes", ()), _pair("exception.message"), _pair("content")]}
            for event in span.get("events", ())
        ]
        if span.get("status"):
            span["status"]["message"] = CANARY
    return changed


def _pair(name: str) -> dict[str, Any]:
    return {"key": name, "value": value_of(CANARY)}


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    """Published prices, loaded."""
    found = Pricer.default()
    assert found.wait()
    return found


def test_prompts_never_leave_the_agent_and_costs_do(
    tmp_path: Path, receiver: Sink, backend: Sink, pricer: Pricer
) -> None:
    """
    Every capture, full of canaries, through agent and gateway: no byte behind the agent has one, neither on the cost
    branch nor on the sampled one, and each request is read and priced as if nothing had been taken off its span.
    """
    gateway = Collector(
        tmp_path,
        "gateway.yaml",
        LLMCOST_RECEIVER=receiver.url,
        LLMCOST_TRACES=backend.url,
        LLMCOST_TRACES_PERCENT="100",
    )
    agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]")
    sent = [full_of_canaries(load(name)["otlp"]) for name in names("")]
    assert str(sent).count(CANARY) > 5_000
    everything = {key for each in sent for key in keys_of(each)}
    direct = {key: charged for each in sent for key, charged in bill(each, pricer).items()}
    with running(gateway, agent):
        for each in sent:
            assert post(agent.http, each) == 200
        wait_until(lambda: direct.keys() <= set(receiver.span_keys()), "the requests at the receiver")
        wait_until(lambda: everything <= set(backend.span_keys()), "whole traces at the backend")

    assert len(direct) > 150
    for body in (*receiver.bodies, *backend.bodies):
        assert CANARY.encode() not in body
        assert b"what-was-said" not in body
    through: dict[Any, Any] = {}
    traces = arrived(receiver)
    for each in sent:
        through |= bill(only(traces, {trace for trace, _ in keys_of(each)}), pricer)
    assert through.keys() == direct.keys()
    for key, charged in direct.items():
        here, there = charged.request, through[key].request
        assert (here.price, here.call, here.owner, here.attempt) == (
            there.price,
            there.call,
            there.owner,
            there.attempt,
        )


def test_a_span_of_something_else_keeps_what_it_has(tmp_path: Path, receiver: Sink) -> None:
    """A span that is no GenAI span loses only what goes by a name of content."""
    kept = {"http.request.method": "POST", "order.id": "4711", "response": "201", "message.id": "m1"}
    gateway = Collector(tmp_path, "gateway.yaml", LLMCOST_TRACES=receiver.url, LLMCOST_TRACES_PERCENT="100")
    agent = Collector(tmp_path, "agent.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]")
    with running(gateway, agent):
        assert post(agent.http, batch(a_span(1, attributes=kept | {"prompt": CANARY, "chat.messages": CANARY}))) == 200
        wait_until(lambda: receiver.bodies, "the trace at the backend")

    (span,) = spans_of(arrived(receiver))
    assert {pair["key"]: pair["value"]["stringValue"] for pair in span["attributes"]} == kept
