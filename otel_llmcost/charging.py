"""
One charge per request: which span of a group carries it, and which try it was.

Instrumentations stack, so one request may show as two or three spans. Spans are grouped by response id, else by
ancestry; two different response ids never share a group. The best span carries the charge: with usage before without,
fewer gaps before more, inner before outer, earlier before later. The first charged span of a group is its row for
ever; when a better one arrives, two adjustments move the charge. Aggregates are charged only when nothing below them
is known, and are taken back when a request below them arrives.

Memory is bounded: the last `max_groups` groups are remembered. A span that arrives after its group was forgotten is
charged as a request of its own; `verify` finds it by its response id. All state is behind one lock, held for a few
dictionary operations and never for I/O.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from otel_llmcost.model import Adjustment, Attempt, Duplicate, Priced, Request

__all__ = ["Charging", "Outcome", "SpanKey"]

SpanKey: TypeAlias = tuple[str, str]
"""(trace_id, span_id), lower-case hex."""
Outcome: TypeAlias = Request | Duplicate | Adjustment

K = TypeVar("K")
V = TypeVar("V")

_RETRY_WINDOW_NS: Final = 60 * 10**9
_FAILURES_KEPT: Final = 16
"""Failures remembered under one parent: more than any sane retry loop makes before it succeeds."""
_BELOW_KEPT: Final = 64
"""Requests remembered below one open span: a worker's root span may live for days."""


@dataclass(slots=True, eq=False)
class _Group:
    """The spans of one request: the row they have for ever, and the span that carries its charge now."""

    row: SpanKey
    best: Request
    ancestors: tuple[SpanKey, ...]
    """Known ancestors of the best span, nearest first."""

    def accepts(self, candidate: Request) -> bool:
        mine, other = self.best.call.response_id, candidate.call.response_id
        return not (mine and other and mine != other)


@dataclass(slots=True)
class _Failure:
    """A failed request that a retry may follow; used up by one successor."""

    end_unix_ns: int
    request: Request


class Charging:
    """
    Decides each candidate once. Thread-safe.

    Args:
        can_adjust: True when adjustments can be stored. Without (a processor that only enriches), the first charged
            span keeps the charge and a better one is a duplicate.
        max_groups: how many requests are remembered for de-duplication.
    """

    def __init__(self, *, can_adjust: bool = True, max_groups: int = 10_000) -> None:
        self._can_adjust = can_adjust
        self._max = max_groups
        self.restart()

    def restart(self) -> None:
        """Forget everything: a forked child starts with none of its parent's requests."""
        self._lock = threading.Lock()
        self._by_response: OrderedDict[str, _Group] = OrderedDict()
        self._at: OrderedDict[SpanKey, _Group] = OrderedDict()
        self._below: OrderedDict[SpanKey, deque[_Group]] = OrderedDict()
        self._failures: OrderedDict[SpanKey, deque[_Failure]] = OrderedDict()

    def decide(
        self, candidate: Request, *, ancestors: Sequence[SpanKey] = (), declared: str | None = None
    ) -> tuple[Outcome, ...]:
        """
        Say what `candidate` is to the bill.

        Args:
            candidate: the span as a priced request; its `attempt` is decided here.
            ancestors: its ancestors, nearest first, as far as they are known.
            declared: the attempt that the application declared, if any.

        Returns:
            `(request,)` for a new row, `(duplicate,)` for a span that another one carries, with adjustments behind it
            when the charge moves, and `()` for an aggregate that shows no usage.
        """
        with self._lock:
            key = (candidate.span.trace_id, candidate.span.span_id)
            if candidate.call.kind == "free":
                return (self._free(candidate),)
            group = self._find(candidate, key, ancestors)
            if candidate.call.kind == "aggregate":
                return self._aggregate(candidate, key, group, ancestors)
            if group is None:
                return (self._charge(candidate, key, ancestors, declared),)
            return self._join(group, candidate, key, ancestors)

    def _free(self, candidate: Request) -> Duplicate:
        group = self._by_response.get(candidate.call.response_id) if candidate.call.response_id else None
        return _duplicate(candidate, group.row if group else ("", ""), "free")

    def _find(self, candidate: Request, key: SpanKey, ancestors: Sequence[SpanKey]) -> _Group | None:
        if (response_id := candidate.call.response_id) and (group := self._by_response.get(response_id)):
            return group
        related = list(self._below.get(key, ()))
        related += [group for ancestor in ancestors if (group := self._at.get(ancestor))]
        fitting = [group for group in related if group.accepts(candidate)]
        if not fitting:
            return None
        start = candidate.span.start_unix_ns
        return min(fitting, key=lambda group: abs(group.best.span.start_unix_ns - start))

    def _aggregate(
        self, candidate: Request, key: SpanKey, group: _Group | None, ancestors: Sequence[SpanKey]
    ) -> tuple[Outcome, ...]:
        if below := self._below.get(key):
            nearest = min(below, key=lambda each: each.best.span.start_unix_ns)
            return (_duplicate(candidate, nearest.row, "aggregate"),)
        if group is not None:
            return (_duplicate(candidate, group.row, "aggregate"),)
        if candidate.call.usage is None and not candidate.call.invalid_usage:
            return ()
        return (self._charge(candidate, key, ancestors, None),)

    def _charge(
        self, candidate: Request, key: SpanKey, ancestors: Sequence[SpanKey], declared: str | None
    ) -> Request:
        request = candidate
        if candidate.attempt.kind == "initial":  # else the source decided, and it saw more than we do
            request = replace(candidate, attempt=self._attempt(candidate, declared))
        group = _Group(row=key, best=request, ancestors=tuple(ancestors))
        self._remember(group, candidate, key)
        if request.call.status != "success" and request.call.kind == "request":
            self._fail(request)
        return request

    def _join(
        self, group: _Group, candidate: Request, key: SpanKey, ancestors: Sequence[SpanKey]
    ) -> tuple[Outcome, ...]:
        reason = "ancestry"
        if candidate.call.response_id and candidate.call.response_id == group.best.call.response_id:
            reason = "response_id"
        duplicate = _duplicate(candidate, group.row, reason)
        was = group.best
        better = self._can_adjust and _rank(candidate, key in group.ancestors) < _rank(
            was, (was.span.trace_id, was.span.span_id) in ancestors
        )
        if better:
            group.best = replace(candidate, attempt=was.attempt)
            group.ancestors = tuple(ancestors)
        self._remember(group, candidate, key)
        if not better:
            return (duplicate,)
        why = "better_span"
        if was.call.kind == "aggregate":
            why = "aggregate"
            # It stands for nothing now: the next request below it is a request of its own.
            self._at.pop((was.span.trace_id, was.span.span_id), None)
        of_trace_id, of_span_id = group.row
        take_back = Adjustment(request=was, sign=-1, of_trace_id=of_trace_id, of_span_id=of_span_id, reason=why)
        add = Adjustment(request=group.best, sign=1, of_trace_id=of_trace_id, of_span_id=of_span_id, reason=why)
        return (duplicate, take_back, add)

    def _remember(self, group: _Group, candidate: Request, key: SpanKey) -> None:
        if candidate.call.response_id:
            _keep(self._by_response, candidate.call.response_id, group, self._max)
        _keep(self._at, key, group, self._max)
        for ancestor in group.ancestors:
            if (below := self._below.get(ancestor)) is None:
                _keep(self._below, ancestor, deque((group,), _BELOW_KEPT), self._max)
            elif group not in below:
                below.append(group)

    def _attempt(self, candidate: Request, declared: str | None) -> Attempt:
        before = self._predecessor(candidate)
        number = before.request.attempt.number + 1 if before else 2
        charged = before is not None and isinstance(before.request.price, Priced) and before.request.price.cost_picousd > 0
        if declared in ("retry", "fallback"):
            # Declared for work that succeeded technically: what it follows was paid for, unless we saw it fail unpaid.
            return Attempt(
                kind="retry" if declared == "retry" else "fallback",
                number=number,
                source="declared",
                wasted=before is None or charged,
            )
        if declared == "initial":
            return Attempt(source="declared")
        if before is None:
            return Attempt()
        same = _asked(before.request) == _asked(candidate)
        return Attempt(kind="retry" if same else "fallback", number=number, source="inferred", wasted=charged)

    def _predecessor(self, candidate: Request) -> _Failure | None:
        span = candidate.span
        failures = self._failures.get((span.trace_id, span.parent_span_id or ""))
        if span.parent_span_id is None or not failures:
            return None
        for failure in reversed(failures):
            if 0 <= span.start_unix_ns - failure.end_unix_ns <= _RETRY_WINDOW_NS:
                failures.remove(failure)
                return failure
        return None

    def _fail(self, request: Request) -> None:
        span = request.span
        if span.parent_span_id is None:
            return
        under = (span.trace_id, span.parent_span_id)
        if under not in self._failures:
            _keep(self._failures, under, deque(maxlen=_FAILURES_KEPT), self._max)
        self._failures[under].append(_Failure(span.end_unix_ns, request))


def _rank(request: Request, is_outer: bool) -> tuple[bool, bool, int, bool, int, str, str]:
    call, span = request.call, request.span
    return (
        call.kind == "aggregate",
        call.usage is None,
        len(call.usage_gaps),
        is_outer,
        span.start_unix_ns,
        span.trace_id,
        span.span_id,
    )


def _asked(request: Request) -> tuple[str, str]:
    return request.call.provider, request.call.request_model or request.call.model


def _duplicate(candidate: Request, row: SpanKey, reason: str) -> Duplicate:
    return Duplicate(
        span=candidate.span, call=candidate.call, of_trace_id=row[0], of_span_id=row[1], reason=reason
    )


def _keep(table: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)
