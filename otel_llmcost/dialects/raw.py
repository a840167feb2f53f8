"""
Raw provider JSON that some emitters put on a span: parsed within a bound, for its usage alone.

An attribute may hold megabytes of content, or be made to hurt: nothing beyond `MAX_JSON` characters is parsed, broken
JSON reads as nothing, and the parser limits its own depth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

__all__ = ["MAX_JSON", "MAX_REPR", "at", "parse_json", "parse_repr"]

MAX_JSON: Final = 200_000
"""Characters: a response with 40,000 words of answer. Parsing that takes well under a millisecond."""
MAX_REPR: Final = 8_000
"""Characters of a usage object as Python writes it: ten times what any emitter was seen to write."""

_CALLS: Final = re.compile(r"\b\w+\(")
_KEYWORDS: Final = re.compile(r"\b([a-z_][a-z0-9_]*)=")
_WORDS: Final = re.compile(r"\b(None|True|False)\b")
_JSON_WORDS: Final = {"None": "null", "True": "true", "False": "false"}


def parse_json(value: object) -> Mapping[str, object] | None:
    """Give the JSON object that a text holds; None for anything else."""
    if not isinstance(value, str) or len(value) > MAX_JSON or not value[:64].lstrip().startswith("{"):
        return None
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def parse_repr(value: object) -> Mapping[str, object] | None:
    """
    Give the object that Python's `repr` of a usage object says, be it of dictionaries or of pydantic models.

    It becomes JSON by substitution and is never evaluated: `{'a': None}` and `Usage(a=None)` are both `{"a": null}`.
    """
    if not isinstance(value, str) or len(value) > MAX_REPR:
        return None
    text = value
    if "(" in text:
        text = _KEYWORDS.sub(r'"\1": ', _CALLS.sub("{", text).replace(")", "}"))
    return parse_json(_WORDS.sub(lambda word: _JSON_WORDS[word.group()], text.replace("'", '"')))


def at(held: object, *path: str | int) -> Mapping[str, object]:
    """Follow `path` through objects and lists; an empty mapping where it ends before its end."""
    for step in path:
        if isinstance(step, str):
            held = held.get(step) if isinstance(held, Mapping) else None
        else:
            held = held[step] if isinstance(held, list) and -len(held) <= step < len(held) else None
    return held if isinstance(held, Mapping) else {}
