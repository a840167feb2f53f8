"""
Spans of other processes into the journal: each request once, whatever is sent again, in any order, from whomever.

Parents are learned first, then the calls are decided in the order in which they ended, then those that waited for an
ancestor. Spans that a journal accounts for, or that their source set aside, are never charged, but others group by them;
what was priced at its source keeps that price. Limits: one thread at a time; memory as bounded in `charging` (10,000
calls, 200,000 parent links) and `known`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
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
from otel_llmcost.receiver.known import KnownSpans

__all__ = ["Intake", "Refused", "Taken"]

_NOBODYS: Final = ("gateway", "free")
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
        self._waiting: dict[SpanKey, None] = {}
        """Calls whose chain of ancestors has grown since they were decided."""
        self._stopping = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Refuse the rest of the body in hand: the process ends."""
        self._stopping = True

    def take(self, found: Iterable[Found]) -> Taken:
        """Journal what the spans come to. Raises `Refused` when the journal has no room or cannot be used."""
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
        standing = _standing(span.attributes)
        if standing == "ours" and key in self._known:
            COUNTERS.add("receiver.known")
            standing = "elsewhere"
        chain = self._ancestry.chain(key)
        if standing == "ours":
            return "taken" if self._charge(span, call, chain) else "refused"
        noted = self._meter.note(span, call, ancestors=chain, standing=standing)
        return "taken" if self._write_moves(noted) else "refused"

    def _charge(self, span: SpanView, call: ModelCall, chain: Sequence[SpanKey]) -> bool:
        outcomes = self._decide(span, call, chain)
        if not outcomes:
            return True
        refused = self._exporter.write(outcomes)
        key = (span.trace_id, span.span_id)
        if any(isinstance(each, Request) for each in refused):
            self._meter.undo(refused)
            self._meter.forget(key)
            return False
        first = outcomes[0]
        if not (isinstance(first, Duplicate) and first.reason in _NOBODYS):
            self._known.add(key)
        return self._owe(refused)

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


def _standing(attributes: Attributes) -> Literal["ours", "elsewhere", "aside"]:
    """Say whose a span is to charge: a journal's that has it, another span's, or ours."""
    if attributes.get(RECORDED) is True:
        # Without a price and without a carrier (a gateway's client, a cache hit) nobody was charged for it.
        return "elsewhere" if PRICE_STATUS in attributes or DUPLICATE_OF in attributes else "aside"
    return "aside" if DUPLICATE_OF in attributes else "ours"


def _end_of(span: SpanView) -> tuple[int, str]:
    return span.end_unix_ns, span.span_id
