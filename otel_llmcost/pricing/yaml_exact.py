"""
YAML as marked text: every value keeps its file and line, every number its own digits.

Nothing is typed by guessing: a field's reader decides what its text means, so that `3.75` becomes `Decimal("3.75")`
and never a float, and an error names the line and what to write there. Duplicate keys, anchors (a few lines of them
expand to gigabytes), tags, deep nesting and files above 1 MiB are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import yaml

from otel_llmcost.errors import RateCardError
from otel_llmcost.pricing.instants import read_instant

__all__ = ["MAX_BYTES", "Node", "parse", "read"]

MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 16
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,40})?")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: text, a list, or a mapping."""

    value: str | list[Node] | dict[str, Node]
    file: str
    line: int

    def error(self, message: str) -> RateCardError:
        """Make the error that names this place."""
        return RateCardError(f"{self.file}:{self.line}: {message}")

    def mapping(self, allowed: str | Mapping[str, object], required: str = "") -> dict[str, Node]:
        """Read a mapping whose keys are among `allowed` (words, or a mapping's keys) and include `required`."""
        if not isinstance(self.value, dict):
            raise self.error("this must be a mapping; write `key: value` lines")
        names = allowed.split() if isinstance(allowed, str) else list(allowed)
        for key, node in self.value.items():
            if key not in names:
                raise node.error(f"unknown key {key!r}; write one of: {', '.join(names)}")
        for key in required.split():
            if key not in self.value:
                raise self.error(f"{key!r} is missing; add `{key}: …`")
        return self.value

    def pairs(self) -> dict[str, Node]:
        """Read a mapping with free keys."""
        if not isinstance(self.value, dict):
            raise self.error("this must be a mapping; write `name: value` lines")
        return self.value

    def items(self) -> list[Node]:
        """Read a list."""
        if not isinstance(self.value, list):
            raise self.error("this must be a list; write `- …` lines")
        return self.value

    def text(self) -> str:
        """Read a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error("a text is missing here; write one")
        return self.value.strip()

    def texts(self) -> tuple[str, ...]:
        """Read one text, or a list of them."""
        return tuple(node.text() for node in self.value) if isinstance(self.value, list) else (self.text(),)

    def number(self) -> Decimal:
        """Read a number, not negative, exactly as written."""
        if not isinstance(self.value, str) or not _NUMBER.fullmatch(self.value):
            raise self.error(f"{self.value!r} is not a plain number; write digits, as in 0.75")
        return Decimal(self.value)

    def whole(self) -> int:
        """Read a whole number, not negative."""
        if not isinstance(self.value, str) or not self.value.isdecimal() or len(self.value) > 15:
            raise self.error(f"{self.value!r} is not a whole number; write digits, as in 200000")
        return int(self.value)

    def boolean(self) -> bool:
        """Read `true` or `false`."""
        if self.value not in ("true", "false"):
            raise self.error(f"{self.value!r} is neither true nor false")
        return self.value == "true"

    def instant(self) -> int:
        """Read an instant as Unix seconds: a date is its midnight in UTC, a time must carry its offset."""
        text = self.text()
        try:
            moment = read_instant(text)
        except ValueError as error:
            raise self.error(str(error)) from None
        if moment.microsecond:
            raise self.error(f"{text!r} has a fraction of a second; write whole seconds")
        return int(moment.timestamp())


def read(path: Path) -> tuple[Node, bytes]:
    """Read a file: its document and its bytes. Raises `RateCardError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RateCardError(
            f"{path}:1: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    return parse(content, str(path)), content


def parse(content: bytes, file: str) -> Node:
    """Read the one document of a YAML text. Raises `RateCardError`."""
    if len(content) > MAX_BYTES:
        raise RateCardError(f"{file}:1: larger than {MAX_BYTES} bytes; split the card")
    try:
        events = yaml.parse(content.decode("utf-8"), Loader=yaml.SafeLoader)
        document = _document(iter(events), file)
    except UnicodeDecodeError as error:
        raise RateCardError(f"{file}:1: not UTF-8 ({error.reason}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RateCardError(f"{file}:{line}: not YAML: {error.problem}; check indentation and quotes") from error
    except yaml.YAMLError as error:
        raise RateCardError(f"{file}:1: not YAML: {error}") from error
    return document


def _document(events: Iterator[yaml.Event], file: str) -> Node:
    root: list[Node] = []
    stack: list[tuple[Node, list[Node]]] = []  # open collections, each with its children so far
    for event in events:
        mark = event.start_mark
        line = mark.line + 1 if mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RateCardError(f"{file}:{line}: anchors and aliases are not read; write the values out")
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            if len(stack) >= _MAX_DEPTH:
                raise RateCardError(f"{file}:{line}: nested deeper than {_MAX_DEPTH} levels; flatten it")
            empty: Node = Node([] if isinstance(event, yaml.SequenceStartEvent) else {}, file, line)
            stack.append((empty, []))
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            node, children = stack.pop()
            (stack[-1][1] if stack else root).append(_close(node, children))
        elif isinstance(event, yaml.ScalarEvent):
            if event.tag:
                raise RateCardError(f"{file}:{line}: tags such as {event.tag!r} are not read; remove it")
            (stack[-1][1] if stack else root).append(Node(event.value, file, line))
    if len(root) != 1:
        raise RateCardError(f"{file}:1: {len(root)} documents; write exactly one")
    return root[0]


def _close(node: Node, children: list[Node]) -> Node:
    if isinstance(node.value, list):
        return Node(children, node.file, node.line)
    pairs: dict[str, Node] = {}
    for key, value in zip(children[::2], children[1::2], strict=True):
        name = key.text()
        if name in pairs:
            raise key.error(f"{name!r} is written twice; keep one")
        pairs[name] = Node(value.value, value.file, key.line if isinstance(value.value, str) else value.line)
    return Node(pairs, node.file, node.line)
