"""Files as people have them: JSON in any arrangement, broken in any place, and what is reported about it."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.audit import documents as reading
from otel_llmcost.audit.documents import Broken, Document, documents
from otel_llmcost.model import COUNTS
from tests.audit.conftest import Auditor

ONE = {"a": [1, {"b": "ü"}]}
LINE = json.dumps(ONE)
PRETTY = json.dumps(ONE, indent=2)


def read(held: str | bytes) -> list[Document | Broken]:
    """Read all documents of a file."""
    return list(documents(io.BytesIO(held if isinstance(held, bytes) else held.encode())))


@pytest.mark.parametrize(
    ("held", "lines"),
    [
        (LINE, [1]),
        (PRETTY, [1]),
        (f"\n\n{LINE}\r\n\r\n{LINE}\n", [3, 5]),
        (f"{PRETTY}\n{PRETTY}\n", [1, 9]),
        (f"{LINE}\n{PRETTY}\n{LINE}\n", [1, 2, 10]),
        (LINE + LINE, [1, 1]),
        (f"\ufeff{LINE}", [1]),
        (PRETTY.replace("\n", "\r\n"), [1]),
    ],
)
def test_every_arrangement_of_documents_is_read(held: str, lines: list[int]):
    """
    One document, several one after another, one a line, mixed: each is read, with the line at which it begins.
    """
    assert [Document(line, ONE) for line in lines] == read(held)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('{"a": 1', "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": Infinity}', "not JSON"),
        ('{"a": "\\ud800"}', "half a character"),
        (b'{"a": "\xff"}', "UTF-8"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ("[" * 100_000, "deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "deep"),
        ("Dear auditor", "not JSON"),
        ("17", "neither"),
        ('"text"', "neither"),
        ("\x00\x01", "not JSON"),
    ],
)
def test_a_broken_line_is_reported_and_the_others_are_read(broken: str | bytes, words: str):
    """
    What is no JSON is one problem with its line; the lines around it are read.
    """
    middle = broken if isinstance(broken, bytes) else broken.encode()
    found = read(b"\n".join([LINE.encode(), middle, LINE.encode()]))
    first, *problems, last = found

    assert (Document(1, ONE), Document(3, ONE)) == (first, last)
    assert [each.line for each in problems] == [2]
    assert isinstance(problems[0], Broken)
    assert words in problems[0].text


def test_a_broken_first_line_does_not_hide_the_others():
    """
    A file whose first line was cut is still a file of lines.
    """
    found = read(f'"b"}}]}}\n{LINE}\n{LINE}\n')

    assert [Document(2, ONE), Document(3, ONE)] == [each for each in found if isinstance(each, Document)]
    assert found[0].line == 1


def test_a_cut_document_names_the_place():
    """
    In a document over many lines, the problem names where it begins and where it breaks.
    """
    found = read(PRETTY.replace("1,", "1;") + "\n" + PRETTY)

    assert found[0] == Broken(1, "not JSON: Expecting ',' delimiter, at line 3")
    assert found[1:] == [Document(9, ONE)]


def test_the_elements_of_a_cut_array_are_salvaged():
    """
    An array whose end is missing gives its whole elements, and one problem.
    """
    found = read(f"[\n{LINE},\n{LINE},\n" + '{"a": ')

    assert [Document(2, ONE), Document(3, ONE)] == [each for each in found if isinstance(each, Document)]
    assert {1, 4} == {each.line for each in found if isinstance(each, Broken)}


def test_sizes_are_capped(monkeypatch: pytest.MonkeyPatch):
    """
    A line or a document above the cap is reported, never held whole, and reading goes on behind it.
    """
    monkeypatch.setattr(reading, "MAX_DOCUMENT_BYTES", 1 << 20)
    long = json.dumps({"a": "x" * (1 << 20)})
    endless = "{\n" + '"a": 1,\n' * (1 << 18)

    for held in (f"{LINE}\n{long}\n{LINE}\n", f"{endless}\n{LINE}\n"):
        *_, problem, last = read(held)
        assert isinstance(problem, Broken)
        assert "MiB" in problem.text or "not JSON" in problem.text
        assert isinstance(last, Document)


def test_much_broken_text_is_given_up():
    """
    Text that is broken in a thousand places costs no more than that.
    """
    found = read("{\n" * 200_000)

    assert len(found) <= 1001
    assert "too much" in found[-1].text


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\n1aN\\u', max_size=200).map(str.encode))
@settings(max_examples=400, deadline=None)
def test_no_bytes_raise(held: bytes):
    """
    Whatever a file holds, reading gives documents and problems, with lines that the file has.
    """
    for each in documents(io.BytesIO(held)):
        assert 1 <= each.line <= held.count(b"\n") + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WRONG = JSON | st.sampled_from(
    [[], {}, -1, 2**70, 1e300, "", "1", {"values": 7}, [None], [[]], {"intValue": "9" * 40}, "\ud83d\ude00", True]
)
SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "startTimeUnixNano": "1793534400000000000",
    "endTimeUnixNano": "1793534401000000000",
    "attributes": [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-5.4-mini"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "10"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "10"}},
    ],
}
BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1793534400,
    "model": "gpt-5.4-mini",
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}},
}


def paths(held: object, path: tuple = ()) -> list[tuple]:
    """Give the path of everything inside a value."""
    inner = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, list) else ()
    return [path, *(found for key, value in inner for found in paths(value, (*path, key)))]


def replaced(held: object, path: tuple, value: object) -> object:
    """Give a copy of `held` with `value` at `path`."""
    if not path:
        return value
    copy = dict(held) if isinstance(held, dict) else list(held)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


TRACE = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [SPAN]}]}]}


@given(data=st.data(), held=st.sampled_from([TRACE, BODY, {"custom_id": "1", "response": {"body": BODY}}]), wrong=WRONG)
@settings(max_examples=600, deadline=None)
def test_wrong_types_anywhere_are_problems_or_unknown_never_free(
    audited: Auditor, data: st.DataObject, held: object, wrong: object
):
    """
    Any value in any place of a trace or a body: an answer that is JSON, with a cost, a reason or a problem.
    """
    found = audited([replaced(held, data.draw(st.sampled_from(paths(held))), wrong)])
    json.loads(json.dumps(found.as_json()))

    for each in found.requests:
        assert each.cost_usd is None or each.cost_usd > 0 or {each.row[name] for name in COUNTS} <= {None, 0}
        assert each.cost_usd is not None or each.row["reason"]
