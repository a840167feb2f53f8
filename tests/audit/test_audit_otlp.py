"""OTLP/JSON as different writers write it: the same spans, whatever the spelling."""

from __future__ import annotations

import base64
import json
import re

import pytest

from otel_llmcost.attributes import to_attributes
from otel_llmcost.audit import trail
from otel_llmcost.model import SpanView
from otel_llmcost.otlp_json import read_spans
from otel_llmcost.settings import Settings
from tests import captures
from tests.audit.conftest import Auditor
from tests.audit.test_audit_documents import SPAN, TRACE
from tests.ledger.samples import a_request

BUSY = "otel-genai-langchain+openai+anthropic__under-app-span__langchain_agent"


def spans(held: dict) -> list[SpanView | str]:
    """Read all spans of a request."""
    return list(read_spans(held))


def test_spans_are_read_as_the_sdk_gave_them():
    """
    Every capture reads here as it does through the tests' own reader of OTLP/JSON.
    """
    for name in captures.names(""):
        capture = captures.load(name)
        expected = {view.span_id: view for view in captures.views(capture)}
        got = {view.span_id: view for view in spans(capture["otlp"]) if isinstance(view, SpanView)}
        for span_id, view in expected.items():
            if view.status_code != "error":
                assert got[span_id].exception_type is None
            else:
                assert view == got[span_id]
        assert expected.keys() == got.keys()


def snake(held: object) -> object:
    """Rewrite keys in snake_case, ids in base64, 64-bit integers as numbers and enumerations by name."""
    if isinstance(held, list):
        return [snake(each) for each in held]
    if not isinstance(held, dict):
        return held
    found = {}
    for key, value in held.items():
        if key in ("traceId", "spanId", "parentSpanId") and value:
            value = base64.b64encode(bytes.fromhex(value)).decode()
        elif key in ("startTimeUnixNano", "endTimeUnixNano", "intValue"):
            value = int(value)
        elif key == "kind" and isinstance(value, int):
            value = ("SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")[value]
        elif key == "code" and isinstance(value, int):
            value = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")[value]
        found[re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower()] = snake(value)
    return found


@pytest.mark.parametrize("name", [BUSY, "otel-genai-openai__openai_error_429", "logfire-openai__openai_chat_rich"])
def test_every_spelling_reads_the_same(name: str):
    """
    camelCase or snake_case, hex or base64, numbers or text, enumerations by number or name: the same spans.
    """
    otlp = captures.load(name)["otlp"]

    assert spans(otlp) == spans(snake(otlp))


def test_parts_of_a_request_can_be_pasted(audited: Auditor):
    """
    One resourceSpans, one scope's spans, one span, Tempo's wrapping: whatever a person cuts out is audited.
    """
    resource = TRACE["resourceSpans"][0]
    scope = resource["scopeSpans"][0]
    parts = [TRACE, resource, scope, SPAN, {"batches": [resource]}, {"trace": TRACE}, [TRACE], [SPAN]]
    costs = {json.dumps(audited(part).as_json()["totals"]) for part in parts}

    assert len(costs) == 1
    assert '"requests": 1' in costs.pop()


def test_values_of_every_kind():
    """
    Text, boolean, integer, double (not finite, too), array, map; bytes and the unknown are left out.
    """
    values = {
        "text": ({"stringValue": "a"}, "a"),
        "yes": ({"boolValue": True}, True),
        "int": ({"intValue": "-7"}, -7),
        "number": ({"intValue": 7}, 7),
        "wrong": ({"intValue": "seven"}, "seven"),
        "double": ({"doubleValue": 0.5}, 0.5),
        "inf": ({"doubleValue": "-Infinity"}, float("-inf")),
        "list": ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}, (1, "b")),
        "empty": ({"arrayValue": {}}, ()),
        "map": ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}}, {"k": False}),
    }
    pairs = [{"key": key, "value": value} for key, (value, _) in values.items()]
    pairs += [{"key": "bytes", "value": {"bytesValue": "AA=="}}, {"key": "new", "value": {"newValue": 1}}, "x", {}]
    (view,) = spans({**SPAN, "attributes": pairs})

    assert isinstance(view, SpanView)
    assert {key: value for key, (_, value) in values.items()} == view.attributes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"traceId": "xyz"}, "traceId"),
        ({"traceId": "0" * 32}, "traceId"),
        ({"spanId": 7}, "spanId"),
        ({"startTimeUnixNano": "soon"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"startTimeUnixNano": str(2**70)}, "startTimeUnixNano"),
    ],
)
def test_a_span_that_cannot_be_read_is_named_and_the_others_are_read(audited: Auditor, change: dict, words: str):
    """
    The problem names file, line and the span's place in it; its neighbour is charged.
    """
    found = audited({"resourceSpans": [{"scopeSpans": [{"spans": [{**SPAN, **change}, SPAN]}]}]})

    assert len(found.requests) == 1
    (problem,) = map(str, found.problems)
    assert problem.startswith("file1:1: resourceSpans[0].scopeSpans[0].spans[0] has no valid ")
    assert words in problem


def test_a_span_given_twice_is_one_request(audited: Auditor):
    """
    The same span in two files, once with its end cut off, is charged once, by the copy that shows usage.
    """
    cut = {**SPAN, "attributes": SPAN["attributes"][:3]}
    for files in ((SPAN, cut), (cut, SPAN)):
        found = audited(*files)
        assert [each.row["input_tokens"] + each.row["output_tokens"] for each in found.requests] == [20]
        assert [each.reason for each in found.duplicates] == ["same_span"]


def stamped(extra: dict, span_id: str = SPAN["spanId"]) -> dict:
    """Give the span with attributes that a processor of ours left on it."""
    pairs = [
        {"key": key, "value": {"boolValue": value} if isinstance(value, bool) else {"stringValue": str(value)}}
        for key, value in extra.items()
    ]
    return {**SPAN, "spanId": span_id, "attributes": SPAN["attributes"] + pairs}


def test_owners_on_spans_and_resources_are_shown(audited: Auditor):
    """
    What a processor of ours left on the span, and what its resource says, is the owner; a missing one says so.
    """
    resource = {"attributes": [{"key": "deployment.environment.name", "value": {"stringValue": "prod"}}]}
    held = {"resource": resource, "scopeSpans": [{"spans": [stamped({"llmcost.team": "search"})]}]}
    (each,) = audited(held).requests

    assert tuple(each.row[key] for key in ("team", "environment", "customer_id")) == (
        "search",
        "prod",
        "(unattributed)",
    )


def test_a_stamped_cost_is_shown_beside_ours(audited: Auditor):
    """
    The cost that the span got at its source stays visible: ours is computed anew, and a difference is said.
    """
    written = {
        key: value for key, value in to_attributes(a_request(), recorded=True).items() if key == "llmcost.cost_usd"
    }
    (each,) = audited(stamped(written)).requests

    assert written["llmcost.cost_usd"] == each.row["stamped_cost_usd"]
    assert each.row["cost_usd"] == "0.0000525"


def test_a_duplicate_of_a_span_elsewhere_is_not_charged(audited: Auditor):
    """
    A span that the meter at its source called a duplicate stays one when the other span is not in the file.
    """
    found = audited(stamped({"llmcost.duplicate_of": "00f067aa0ba902b7"}))

    assert found.requests == []
    assert [(each.of[1], each.reason) for each in found.duplicates] == [("00f067aa0ba902b7", "recorded")]


def test_a_request_to_a_gateway_is_the_gateways(audited: Auditor):
    """
    With OTEL_LLMCOST_GATEWAYS, the client's span is no charge, and says why.
    """
    found = audited(stamped({"server.address": "llm.internal"}), settings=Settings(gateways=("llm.internal",)))

    assert (found.requests, [each.reason for each in found.duplicates]) == ([], ["gateway"])


def test_an_audit_takes_a_bounded_number_of_spans(audited: Auditor, monkeypatch: pytest.MonkeyPatch):
    """
    Above the limit the rest is not read, and that is said.
    """
    monkeypatch.setattr(trail, "MAX_SPANS", 2)
    found = audited([{**SPAN, "spanId": f"{number:016x}"} for number in range(1, 5)])

    assert len(found.requests) == 2
    assert "the rest was not read" in str(found.problems[0])
