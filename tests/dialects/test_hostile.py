"""Spans that are made to hurt: no value of any type or size makes reading raise, or take long."""

from __future__ import annotations

import time

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_llmcost.dialects import DIALECTS, GATE_KEYS, read
from otel_llmcost.dialects.emitters import EMITTERS
from otel_llmcost.dialects.provider_usage import SHAPES, read_response, read_usage
from otel_llmcost.dialects.raw import MAX_JSON, MAX_REPR
from otel_llmcost.model import ModelCall
from tests import captures
from tests.dialects.documented import EXAMPLES as SOME
from tests.dialects.documented_more import MORE
from tests.dialects.spans import span

EXAMPLES = SOME | MORE

BIG = 10_000_000
SEEN = [view for name in captures.names("") for view in captures.views(captures.load(name))]
SEEN += [example[0] for example in EXAMPLES.values()]
KEYS = sorted({key for view in SEEN for key in view.attributes} | GATE_KEYS)
TEXTS = sorted(
    {value for view in SEEN for value in view.attributes.values() if isinstance(value, str) and len(value) < 9000}
)
SCOPES = sorted({view.scope_name for view in SEEN} | {row.scope for row in EMITTERS})
FIELDS = sorted({name.rpartition(".")[2] for shape in SHAPES for names in shape.names.values() for name in names})

NUMBERS = st.one_of(
    st.integers(),
    st.integers(2**53 - 2, 2**64 + 2),
    st.just(10**5000),
    st.floats(),
    st.booleans(),
    st.none(),
)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=9)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from([*FIELDS, "usage", "usageMetadata", "output", "type", "candidates", "raw", "generations"]),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)
VALUES = st.one_of(
    NUMBERS,
    st.text(max_size=40),
    st.sampled_from(TEXTS),
    st.binary(max_size=20),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
    JSON,
    JSON.map(lambda value: orjson.dumps(value).decode()),
    JSON.map(repr),
    st.sampled_from(TEXTS).flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end])),
)


def checked(call: ModelCall | None) -> None:
    """Check that a call can be stored, whatever it was read from."""
    if call is None:
        return
    assert call.kind in ("request", "aggregate", "free")
    for text in (call.model, call.request_model, call.provider, call.response_id, call.service_tier, call.error_type):
        assert isinstance(text, str)
        assert len(text) <= 512
    for count in () if call.usage is None else call.usage.counts:
        assert count is None or (type(count) is int and (count >= 0 or call.invalid_usage))
    assert all(isinstance(text, str) and len(text) < 200 for text in call.invalid_usage)
    assert all(isinstance(text, str) for text in call.price_attributes.values())


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    attributes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12),
    scope=st.one_of(st.sampled_from(SCOPES), st.text(max_size=20)),
    status=st.sampled_from(["unset", "ok", "error"]),
    exception=st.one_of(st.none(), st.text(max_size=2000)),
)
def test_any_attributes_at_all_read_without_an_exception(attributes, scope, status, exception):
    """
    Any known name may hold anything: reading gives a call that can be stored, or none.
    """
    checked(read(span(attributes, scope=scope, status_code=status, exception_type=exception)))


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_real_span_with_damaged_values_reads_without_an_exception(data):
    """
    A span that an emitter wrote, with some of its values replaced.
    """
    view = data.draw(st.sampled_from(SEEN))
    if not view.attributes:
        return
    damaged = data.draw(st.dictionaries(st.sampled_from(sorted(view.attributes)), VALUES, max_size=4))
    attributes = {**view.attributes, **damaged}
    checked(read(span(attributes, scope=view.scope_name, name=view.name, status_code=view.status_code)))


@settings(max_examples=300, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_any_body_reads_without_an_exception(body):
    """
    A body or a usage object of any shape gives an answer.
    """
    read_response(body)
    read_usage(body)


def _texts(size: int) -> dict[str, str]:
    usage = '{"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":['
    return {
        "text": "x" * size,
        "spaces": " " * size,
        "deep": "[" * size,
        "deep objects": '{"usage":' * (size // 9),
        "wide": "{" + ",".join(f'"k{index}":{index}' for index in range(size // 14)) + "}",
        "a long answer": usage + '"' + "y" * (size - 100) + '"]}',
        "repr": "{'a': " + "(" * size,
        "digits": "9" * size,
        "keywords": "a=" * (size // 2),
    }


def _slowest(attributes: dict[str, object], scope: str) -> float:
    view = span(attributes, scope=scope, name="claude_code.llm_request" if not scope else "x")
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        checked(read(view))
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("kind", list(_texts(100)))
@pytest.mark.parametrize(
    "scope", ["", "litellm", "logfire.openai", "openinference.instrumentation.openai", "haystack", "ai"]
)
def test_ten_megabytes_take_no_time(kind, scope):
    """
    An attribute of 10 MB costs less than a millisecond, wherever it stands.
    """
    text = _texts(BIG)[kind]
    attributes = dict.fromkeys(KEYS, text) | {
        "gen_ai.operation.name": "chat",
        "openinference.span.kind": "LLM",
        "ai.operationId": "ai.generateText.doGenerate",
        "haystack.component.type": "OpenAIGenerator",
    }

    assert _slowest(attributes, scope) < 0.001


@pytest.mark.parametrize("kind", list(_texts(100)))
@pytest.mark.parametrize("key", ["output.value", "gen_ai.usage.raw", "metadata.usage_object", "hidden_params"])
def test_the_largest_text_that_is_parsed_takes_a_few_milliseconds(key, kind):
    """
    Up to its bound a text is parsed: the worst of them costs milliseconds, not seconds.
    """
    size = MAX_REPR if key == "metadata.usage_object" else MAX_JSON
    scope = {"gen_ai.usage.raw": "logfire.openai", "output.value": "openinference.x"}.get(key, "litellm")
    attributes = {"gen_ai.operation.name": "chat", "openinference.span.kind": "LLM", key: _texts(size - 200)[kind]}

    assert _slowest(attributes, scope) < 0.05


def test_numbers_without_a_text_are_named_by_their_type():
    """
    A huge integer has no text in Python, and raises when it is asked for one.
    """
    call = read(span({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10**5000}))

    assert call is not None
    assert call.invalid_usage == ("gen_ai.usage.input_tokens=<int>",)


def test_content_is_never_kept():
    """
    No text of a prompt or an answer is in what is read.
    """
    secret = "SECRET-CONTENT"
    body = orjson.dumps({"usage": {"prompt_tokens": 1}, "choices": [{"message": {"content": secret}}]}).decode()
    attributes = dict.fromkeys((key for key in KEYS if "message" in key or key.endswith(".value")), secret)
    for dialect in DIALECTS:
        call = read(
            span(
                {**attributes, "openinference.span.kind": "LLM", "gen_ai.operation.name": "chat", "output.value": body},
                scope=dialect.scopes[0],
            )
        )
        assert secret not in repr(call)
