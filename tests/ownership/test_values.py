"""What a value may look like once it is an owner's."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost import attributes
from otel_llmcost.counters import COUNTERS
from otel_llmcost.ownership import clean_value
from otel_llmcost.ownership.values import RESERVED


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("support", "support"),
        ("growth & co", "growth & co"),
        ("a;b,c=d%", "a;b,c=d%"),
        ("  a \t\n b  ", "a b"),
        ("a\x00b\r\nc", "ab c"),
        ("a \x00 b", "a b"),
        ("e\u0301", "é"),
        ("e\x00\u0301", "é"),
        ("pay\u202ements\u2066", "payments"),
        ("ac\u200bme\ufeff", "acme"),
        ("\ud800x\udfff", "x"),
        ("x\x85y\u2028z", "x y z"),
        ("日本語 チーム", "日本語 チーム"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("", None),
        (" \t ", None),
        ("\u202e\x00", None),
        ("x" * 128, "x" * 128),
        ("x" * 129, "x" * 128),
        ("x" * 127 + " y", "x" * 127),
        ("é" * 10_000_000, "é" * 128),
    ],
)
def test_cleaning(text: str, cleaned: str | None):
    """
    Text that would disturb a table, a log line or a terminal is cleaned; everything else stays as it is.
    """
    assert cleaned == clean_value(text)


def test_changes_are_counted():
    """
    Each changed value is counted, an unchanged one is not.
    """
    for text in ("plain", "a b", "two  blanks", "\x00"):
        clean_value(text)

    assert COUNTERS["owner.cleaned"] == 2


@given(st.text(st.characters(categories=None)))
def test_cleaned_values_are_safe(text: str):
    """
    Whatever comes in, what goes out is short NFC text without control characters that cleaning leaves alone and that
    survives the way through a baggage header.
    """
    cleaned = clean_value(text)

    if cleaned is not None:
        assert 1 <= len(cleaned) <= 128
        assert unicodedata.is_normalized("NFC", cleaned)
        assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in cleaned}
        assert cleaned == clean_value(cleaned)
        assert cleaned == unquote_plus(quote_plus(cleaned))
        assert len(quote_plus(cleaned)) < 4096


def test_every_attribute_of_ours_is_reserved():
    """
    No extra owner key can overwrite an attribute that we write, a cost for instance.
    """
    ours = {value for value in vars(attributes).values() if isinstance(value, str) and value.startswith("llmcost.")}
    ours |= set(attributes.OWNER_ATTRIBUTES.values())
    bare = {name.removeprefix(attributes.PREFIX) for name in ours} - {""}

    assert {name for name in bare if name.isidentifier()} <= RESERVED
