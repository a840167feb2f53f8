"""
Spans of other processes into the journal: each request once, whatever is sent again, in any order, from whomever.

Parents are learned first, then the calls are decided in the order in which they ended, then those that waited for an
ancestor. Spans that a journal accounts for, or that their source set aside, are never charged, but others group by them;
what was priced at its source keeps that price. Rows are written some hundred at a time, and then their marks (`known`), all
before the answer. Limits: one thread at a time; memory as bounded in `charging` (10,000 calls, 200,000 parent links) and `known`.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from otel_llmcost import dialects
from otel_llmcost.attributes import ATTEMPT, DUPLICATE_OF, PRICE_STATUS, RECORDED, from_attributes
from otel_llmcost.charging import Ancestry, Outcome, SpanKey
from otel_llmcost.counters import COUNTERS
from otel_llmcost.dialects import is_genai
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.fence import fenced
from otel_llmcost.model import Adjustment, Attributes, Duplicate, ModelCall, Request, SpanView
from otel_llmcost.otlp_json import Found
from otel_llmcost.receiver.known import KnownSpans, mark_of

__all__ = ["Intake", "Refused", "Taken"]

_NOBODYS: Final = ("gateway", "free")
_ROWS_AT_ONCE: Final = 500
_Fate: TypeAlias = Literal["taken", "refused", "unusable"]
_UNUSABLE: Final[_Fate] = "unusable"
_REFUSED: Final = "the journal is full or cannot be written, and takes these spans when that is mended"


class Refused(Exception):
    """The journal did not take everything: the same spans may be sent again later, and none is billed twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one body."""

    spans: int
    rejected: int
    message: str
    """Why the first of them was rejected; "" when none was."""


class Intake:
    """
    Meters spans into the journal of an exporter, and answers when they are in it. Thread-safe: one body after another.

    Counts `receiver.spans`, `receiver.rejected` (unusable), `receiver.known` (sent before) and `receiver.recorded`.
    """

    def __init__(self, exporter: ClickHouseSpanExporter, known: KnownSpans) -> None:
        self._exporter = exporter
        self._meter = exporter.meter
        self._known = known
        self._ancestry = Ancestry()
        self._owed: list[Adjustment] = []
        """Moves that the journal refused after what they belong to was written: first in line for the next body."""
        self._decided: list[Request] = []
        self._marks: dict[SpanKey, bytes] = {}
        """What the next write takes: requests, and the marks of the spans that were decided with them."""
        self._waiting: dict[SpanKey, None] = {}
        """Calls whose chain of ancestors has grown since they were decided."""
        self._stopping = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Refuse the rest of the body in hand: the process ends."""
        self._stopping = True

    def take(self, found: Iterable[Found]) -> Taken:
        """Journal what the spans come to. Raises `Refused` when the journal has no room or cannot be used."""
        with _no_collection():
            return self._take(found)

    def _take(self, found: Iterable[Found]) -> Taken:
        spans: list[SpanView] = []
        problems: list[str] = []
        for each in found:
            if isinstance(each, str):
                problems.append(each)
            else:
                spans.append(each)
        calls = sorted((span for span in spans if is_genai(span.attributes)), key=_end_of)
        with self._lock:
            self._settle_debts()
            self._learn_parents(spans)
            for span in calls:
                fate = self._take_one(span)
                if fate == "refused" or self._stopping:
                    raise Refused(_REFUSED)
                if fate == "unusable":
                    problems.append(f"span {span.span_id} cannot be metered: the log of the receiver has the reason")
            if not self._write():
                raise Refused(_REFUSED)
            self._extend_chains()
            if self._exporter.rows_in_memory:  # a kill would lose them: acknowledged when they are on the disk
                raise Refused(_REFUSED)
        COUNTERS.add("receiver.spans", len(spans))
        COUNTERS.add("receiver.rejected", len(problems))
        return Taken(spans=len(spans), rejected=len(problems), message=problems[0] if problems else "")

    def _learn_parents(self, spans: Iterable[SpanView]) -> None:
        add, waiting = self._ancestry.add, self._waiting
        for span in spans:
            parent = span.parent_span_id
            for key in add((span.trace_id, span.span_id), (span.trace_id, parent) if parent else None):
                waiting[key] = None

    @fenced("receive", otherwise=_UNUSABLE)
    def _take_one(self, span: SpanView) -> _Fate:
        call = dialects.read(span)
        if call is None:
            return "taken"
        key = (span.trace_id, span.span_id)
        mark = mark_of(key)
        standing = _standing(span.attributes)
        if standing == "ours" and mark in self._known:
            COUNTERS.add("receiver.known")
            standing = "elsewhere"
        chain = self._ancestry.chain(key)
        if standing == "ours":
            outcomes = self._decide(span, call, chain)
            is_ours = bool(outcomes) and not (isinstance(outcomes[0], Duplicate) and outcomes[0].reason in _NOBODYS)
        else:
            outcomes = self._meter.note(span, call, ancestors=chain, standing=standing)
            is_ours = False
        return "taken" if self._hold(key, mark if is_ours else None, outcomes) else "refused"

    def _hold(self, key: SpanKey, mark: bytes | None, outcomes: Sequence[Outcome]) -> bool:
        """Keep what was decided for the next write; what moves a charge is written at once, behind all before it."""
        moves = any(isinstance(each, Adjustment) for each in outcomes)
        if moves and not self._write(behind=outcomes):
            self._meter.forget(key)
            return False
        if moves:
            return self._write_moved(key, mark, outcomes)
        self._decided += [each for each in outcomes if isinstance(each, Request)]
        if mark is not None:
            self._marks[key] = mark
        return len(self._decided) < _ROWS_AT_ONCE or self._write()

    def _write(self, behind: Sequence[Outcome] = ()) -> bool:
        """Journal what was decided, and remember it. What is refused is decided anew when it is sent again."""
        decided, self._decided = self._decided, []
        marks, self._marks = self._marks, {}
        refused = self._exporter.write(decided) if decided else ()
        if refused:
            self._meter.undo((*refused, *behind))
            written = {_key_of(each) for each in decided} - {_key_of(each) for each in refused}
            for key in marks.keys() - written:
                self._meter.forget(key)
            marks = {key: mark for key, mark in marks.items() if key in written}
        self._remember(marks.values())
        return not refused

    def _write_moved(self, key: SpanKey, mark: bytes | None, outcomes: Sequence[Outcome]) -> bool:
        refused = self._exporter.write(outcomes)
        if any(isinstance(each, Request) for each in refused):
            self._meter.undo(refused)
            self._meter.forget(key)
            return False
        if mark is not None:
            self._remember((mark,))
        return self._owe(refused)

    def _remember(self, marks: Iterable[bytes]) -> None:
        self._known.add(marks)
        if not self._exporter.rows_in_memory:  # else a kill loses these rows, and they must come again
            self._known.save()

    def _decide(self, span: SpanView, call: ModelCall, chain: Sequence[SpanKey]) -> tuple[Outcome, ...]:
        attributes, owners = span.attributes, self._exporter.owners
        if PRICE_STATUS in attributes:
            stamp = from_attributes(attributes, provider=call.provider, model=call.model)
            if stamp is not None:
                request = self._meter.as_stamped(span, call, stamp, owners.hashed(stamp.owner))
                return self._meter.decide(request, ancestors=chain)
        owner = owners.read_copied(span.resource, attributes)
        declared = attributes.get(ATTEMPT)
        return self._meter.meter_call(
            span, call, owner, ancestors=chain, declared=declared if isinstance(declared, str) else None
        )

    def _extend_chains(self) -> None:
        while self._waiting:
            key, _ = self._waiting.popitem()
            if not self._write_moves(self._meter.extend(key, self._ancestry.chain(key))):
                raise Refused(_REFUSED)

    def _settle_debts(self) -> None:
        owed, self._owed = self._owed, []
        if not self._write_moves(owed):
            raise Refused(_REFUSED)

    def _write_moves(self, moves: Sequence[Outcome]) -> bool:
        return not moves or self._owe(self._exporter.write(moves))

    def _owe(self, refused: Sequence[Outcome]) -> bool:
        self._owed += [each for each in refused if isinstance(each, Adjustment)]
        return not refused


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no cycles in a body's million objects, which have none: a sixth of the time goes there otherwise."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _standing(attributes: Attributes) -> Literal["ours", "elsewhere", "aside"]:
    """Say whose a span is to charge: a journal's that has it, another span's, or ours."""
    if attributes.get(RECORDED) is True:
        # Without a price and without a carrier (a gateway's client, a cache hit) nobody was charged for it.
        return "elsewhere" if PRICE_STATUS in attributes or DUPLICATE_OF in attributes else "aside"
    return "aside" if DUPLICATE_OF in attributes else "ours"


def _key_of(outcome: Outcome) -> SpanKey:
    span = outcome.request.span if isinstance(outcome, Adjustment) else outcome.span
    return span.trace_id, span.span_id


def _end_of(span: SpanView) -> tuple[int, str]:
    return span.end_unix_ns, span.span_id
