"""
JSON out of files that people have: one document, several one after another, or one a line.

Lines are read as they come, so that a file of lines may be of any size. What does not parse on its own line is read as
documents that span lines; a broken one is reported with its line, and reading goes on at the next line that begins one.
Strict: NaN, broken UTF-8, lone surrogates and nesting without end are no JSON. Messages never show what was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

import orjson

__all__ = ["MAX_DOCUMENT_BYTES", "Broken", "Document", "documents"]

MAX_DOCUMENT_BYTES: Final = 64 << 20
"""Of one line, and of one document that spans lines."""
_MAX_BROKEN: Final = 1000
"""Broken places in one stretch, after which the stretch is given up: it is no JSON at all."""
_MAX_WORK: Final = 8
"""How often a stretch is read over, at most, in search of the documents between broken places."""

_BOM: Final = b"\xef\xbb\xbf"
_DECODER: Final = json.JSONDecoder()
_NEXT: Final = re.compile(r"^[{\[]", re.MULTILINE)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SPACE_AND_REST: Final = re.compile(r"[ \t\r\n,\]}]*")
"""Behind a broken place, also what is left of an array that was salvaged element by element."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed object or array, and the line at which it began."""

    line: int
    value: object


@dataclass(frozen=True, slots=True)
class Broken:
    """What could not be read, and where."""

    line: int
    text: str


def documents(stream: IO[bytes]) -> Iterator[Document | Broken]:
    """Give every document of `stream` in order, and every broken place."""
    block = _Block()
    has_lines = False
    for number, line in _lines(stream):
        if line is None:
            yield from block.take()
            yield Broken(number, f"the line is longer than {MAX_DOCUMENT_BYTES >> 20} MiB; write one request a line")
            continue
        # The first lines of a document that spans lines parse as nothing; behind a whole line, a whole line ends them.
        value = _alone(line) if not block.lines or (has_lines and line[:1] in b"{[") else None
        if value is not None:
            yield from block.take()
            has_lines = True
            yield Document(number, value)
        elif block.lines or line.strip():
            block.add(number, line)
            if block.size > MAX_DOCUMENT_BYTES:
                first = block.first
                block = _Block()
                has_lines = True
                yield Broken(first, f"no document ends within {MAX_DOCUMENT_BYTES >> 20} MiB; write one request a line")
    yield from block.take()


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Give numbered lines; None for one that is too long, which is read to its end and dropped."""
    number = 0
    while line := stream.readline(MAX_DOCUMENT_BYTES + 1):
        number += 1
        if len(line) > MAX_DOCUMENT_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_DOCUMENT_BYTES)
            yield number, None
        else:
            yield number, line.removeprefix(_BOM) if number == 1 else line


def _alone(line: bytes) -> object:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | list) else None


class _Block:
    """Lines that are no document each."""

    def __init__(self) -> None:
        self.first = 0
        self.size = 0
        self.lines: list[bytes] = []

    def add(self, number: int, line: bytes) -> None:
        self.first = self.first or number
        self.size += len(line)
        self.lines.append(line)

    def take(self) -> Iterator[Document | Broken]:
        """Give the documents in the lines so far, and begin anew."""
        text, first = b"".join(self.lines).decode(errors="surrogateescape"), self.first
        self.first = self.size = 0
        self.lines = []
        return _split(text, first)


def _split(text: str, first: int) -> Iterator[Document | Broken]:
    position = counted = work = broken = 0
    line = first
    space = _SPACE
    while (position := space.match(text, position).end()) < len(text):  # type: ignore[union-attr]  # matches nothing too
        line += text.count("\n", counted, position)
        counted = position
        found, end = _one(text, position, line)
        yield found
        if isinstance(found, Document):
            position = end
            continue
        broken, work = broken + 1, work + end - position
        if broken >= _MAX_BROKEN or work > _MAX_WORK * len(text):
            yield Broken(line, "too much here is broken: the rest up to the next whole line was not read")
            return
        following = _NEXT.search(text, position + 1)
        position = following.start() if following else len(text)
        space = _SPACE_AND_REST


def _one(text: str, position: int, line: int) -> tuple[Document | Broken, int]:
    """Read the document at `position`; for a broken one, give how far it was read."""
    try:
        _, end = _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        at = line + text.count("\n", position, error.pos)
        return Broken(
            line, f"not JSON: {error.msg.removesuffix(' at')}{f', at line {at}' if at != line else ''}"
        ), error.pos
    except RecursionError:
        return Broken(line, "not read: it is nested too deeply"), position + 1000
    except ValueError:
        return Broken(line, "not read: a number has thousands of digits"), position + 1000
    try:
        value = orjson.loads(text[position:end])
    except orjson.JSONDecodeError:
        return Broken(line, "not JSON: broken UTF-8, NaN, Infinity, half a character, or nested too deeply"), end
    if not isinstance(value, dict | list):
        return Broken(line, "neither a JSON object nor an array"), end
    return Document(line, value), end
