"""
`Charging`: remembers recent spans and writes down, as rows and adjustments, who is billed now.

When a span arrives, the spans related to it are grouped anew and the result is compared with what the ledger was told:
the first charged span of a group is its row for ever; a charge that moves is two adjustments naming that row.
Aggregates (agents, workflows) are charged only while no request below them is known, and taken back when one arrives.

Memory is bounded: the last `max_spans` model calls are remembered. A span that arrives after its relatives were
forgotten is charged by itself. All state is behind one lock, never held for I/O: for a few microseconds, and after a
failure, while retries are looked for, for a fraction of a millisecond.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from otel_llmcost.charging.attempts import attempts, declared_alone
from otel_llmcost.charging.grouping import Node, SpanKey, best_of, group, totals_of
from otel_llmcost.charging.memory import FAMILY_KEPT, Memory, parent_of
from otel_llmcost.model import INITIAL, Adjustment, Attempt, Duplicate, Request

__all__ = ["Charging", "Outcome"]

Outcome: TypeAlias = Request | Duplicate | Adjustment


class Charging:
    """
    Decides each candidate once. Thread-safe.

    Args:
        can_adjust: True when adjustments can be stored. Without (a processor that only enriches), the first charged
            span keeps the charge and a better one is a duplicate.
        max_spans: how many model calls are remembered.
    """

    def __init__(self, *, can_adjust: bool = True, max_spans: int = 10_000) -> None:
        self._can_adjust = can_adjust
        self._max = max_spans
        self.restart()
        _CHARGINGS.add(self)

    def restart(self) -> None:
        """Forget everything: a forked child starts with none of its parent's requests."""
        self._lock = threading.Lock()
        self._memory = Memory(self._max)

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
            First what the span itself is, a request or a duplicate; behind it what that changes for earlier spans.
            `()` for an aggregate that shows no usage.
        """
        key = (candidate.span.trace_id, candidate.span.span_id)
        with self._lock:
            if (known := self._memory.nodes.get(key)) is not None:
                return (_duplicate(candidate, self._row_of(known), "same_span"),)
            if candidate.call.kind == "free":
                return (self._free(candidate),)
            node = Node(key, candidate, tuple(ancestors), totals_of(candidate.call), declared)
            if candidate.call.kind == "aggregate":
                return self._aggregate(node)
            return self._request(node)

    def extend(self, key: SpanKey, ancestors: Sequence[SpanKey]) -> tuple[Outcome, ...]:
        """Learn more ancestors of a span that was decided already, and say what that changes."""
        with self._lock:
            node = self._memory.nodes.get(key)
            if node is None or len(ancestors) <= len(node.chain):
                return ()
            node.chain = tuple(ancestors)
            self._memory.index_chain(node)
            changes = self._take_back_aggregates(node)
            return tuple(changes if node.call.kind == "aggregate" else changes + self._settle(node))

    def note(
        self, seen: Request, *, ancestors: Sequence[SpanKey] = (), standing: Literal["elsewhere", "aside"]
    ) -> tuple[Outcome, ...]:
        """
        Remember a span that is not ours to charge, and say what that changes for earlier ones.

        `elsewhere`: another journal, or an earlier run, accounts for its request, so that no span of its group is charged
        here, and one that was is taken back. `aside`: its source said that another span carries the request.
        """
        key = (seen.span.trace_id, seen.span.span_id)
        with self._lock:
            if key in self._memory.nodes or seen.call.kind == "free":
                return ()
            node = Node(key, seen, tuple(ancestors), totals_of(seen.call), standing=standing)
            alone = self._memory.is_alone(node)
            self._memory.remember(node)
            if alone:
                return ()
            changes = self._take_back_aggregates(node)
            return tuple(changes if node.call.kind == "aggregate" else changes + self._settle(node))

    def forget(self, key: SpanKey) -> None:
        """Forget a span that could not be written down: it is decided anew when it is sent again."""
        with self._lock:
            self._memory.forget(key)

    def undo(self, refused: Sequence[Outcome]) -> None:
        """Forget charges and moves that could not be written down: what the ledger holds is what it held before."""
        with self._lock:
            for outcome in reversed(refused):
                request = outcome.request if isinstance(outcome, Adjustment) else outcome
                node = self._memory.nodes.get((request.span.trace_id, request.span.span_id))
                if node is None or isinstance(request, Duplicate):
                    continue
                if isinstance(outcome, Adjustment) and outcome.sign < 0:
                    node.charged, node.row = request, (outcome.of_trace_id, outcome.of_span_id)
                else:
                    node.charged = node.row = None
                    node.has_row = node.has_row and isinstance(outcome, Adjustment)

    def _free(self, candidate: Request) -> Duplicate:
        known = self._memory.by_id.get(candidate.call.response_id) if candidate.call.response_id else None
        return _duplicate(candidate, self._row_of(known[-1]) if known else ("", ""), "free")

    def _aggregate(self, node: Node) -> tuple[Outcome, ...]:
        if node.call.usage is None and not node.call.invalid_usage:
            return ()
        self._memory.remember(node)
        repeats = self._take_back_aggregates(node)
        if below := self._memory.below.get(node.key):
            requests = [each for each in below if each.call.kind == "request"] or list(below)
            first = min(requests, key=lambda each: (each.request.span.start_unix_ns, each.key))
            return (_duplicate(node.request, self._row_of(first), "aggregate"), *repeats)
        return (self._charge(node, INITIAL), *repeats)

    def _take_back_aggregates(self, node: Node) -> list[Outcome]:
        """Take back the charge of every aggregate above a span with usage: it repeats what is below it."""
        if not self._can_adjust:
            return []
        outcomes: list[Outcome] = []
        for key in node.chain:
            above = self._memory.nodes.get(key)
            if above is not None and above.call.kind == "aggregate" and above.charged is not None:
                outcomes.append(_adjust(above.charged, -1, above.row or above.key, "aggregate"))
                above.charged = above.row = None
        return outcomes

    def _request(self, node: Node) -> tuple[Outcome, ...]:
        memory, family = self._memory, parent_of(node)
        alone = memory.is_alone(node)
        memory.remember(node)
        if alone and (family is None or not memory.has_tries(node, family)):
            if family is not None:
                memory.join_families(node, (family,))
            return (self._charge(node, declared_alone(node)),)
        changes = [*self._take_back_aggregates(node), *self._settle(node)]
        own = next((each for each in changes if isinstance(each, Request) and each.span is node.request.span), None)
        if own is None:
            winner = self._winner(node)
            reason = "ancestry"
            if node.call.response_id and node.call.response_id == winner.call.response_id:
                reason = "response_id"
            elif winner.key[0] != node.key[0] or not _related(node, winner):
                reason = "totals"
            own_outcome: Outcome = _duplicate(node.request, self._row_of(winner), reason)
        else:
            own_outcome = own
        return (own_outcome, *(each for each in changes if each is not own))

    def _settle(self, node: Node) -> list[Outcome]:
        """Group the relatives of `node` anew, and write down what differs from what the ledger was told."""
        related, above = self._memory.related(node)
        outcomes: list[Outcome] = []
        groups = group(related, above)
        families = {family for each in related for family in each.families}
        for members in groups:
            outcomes += self._settle_group(members)
        families |= {family for each in related for family in each.families}
        return [*outcomes, *self._settle_attempts(families, related)]

    def _settle_group(self, members: list[Node]) -> list[Outcome]:
        holders = [each for each in members if each.charged is not None]
        best = best_of(members)
        if not self._can_adjust and holders:
            return []
        if best.standing == "elsewhere":
            return self._take_back(holders)
        if best.standing == "aside":
            return []
        self._memory.join_families(best, [family for each in members if (family := parent_of(each)) is not None])
        if best.charged is not None and len(holders) == 1:
            return []
        outcomes: list[Outcome] = []
        moved = best.charged is None
        row = next((each.row for each in holders if each is not best), None)
        for each in holders:
            if each is not best and each.charged is not None:
                outcomes.append(_adjust(each.charged, -1, each.row or each.key, "better_span"))
                each.charged = each.row = None
        if moved:
            attempt = self._attempt_of(best)
            if row is not None:
                best.charged, best.row = replace(best.request, attempt=attempt), row
                outcomes.append(_adjust(best.charged, 1, row, "better_span"))
            else:
                outcomes.append(self._charge(best, attempt))
        return outcomes

    @staticmethod
    def _take_back(holders: list[Node]) -> list[Outcome]:
        """Take back what was charged here before it was known that another journal has it."""
        outcomes: list[Outcome] = []
        for each in holders:
            if each.charged is not None:
                outcomes.append(_adjust(each.charged, -1, each.row or each.key, "recorded"))
                each.charged = each.row = None
        return outcomes

    def _settle_attempts(self, families: set[SpanKey], regrouped: list[Node]) -> list[Outcome]:
        if not self._can_adjust or self._memory.failed_under.keys().isdisjoint(families):
            return []
        outcomes: list[Outcome] = []
        members = {each.key: each for each in regrouped if each.charged is not None} | self._memory.sharing(families)
        for key, attempt in attempts(members.values()).items():
            node = members[key]
            if node.charged is None or node.charged.attempt == attempt:
                continue
            if attempt.kind == "initial" and len(members) >= FAMILY_KEPT - 1:
                continue  # what it followed may be forgotten: an attempt that was told once stays told
            row = node.row or node.key
            outcomes.append(_adjust(node.charged, -1, row, "attempt"))
            node.charged = replace(node.charged, attempt=attempt)
            outcomes.append(_adjust(node.charged, 1, row, "attempt"))
        return outcomes

    def _attempt_of(self, node: Node) -> Attempt:
        if self._memory.failed_under.keys().isdisjoint(node.families):
            return declared_alone(node)
        return attempts((self._memory.sharing(node.families) | {node.key: node}).values())[node.key]

    def _charge(self, node: Node, attempt: Attempt) -> Outcome:
        asked = node.request
        unchanged = attempt is asked.attempt or attempt == asked.attempt
        node.charged = asked if unchanged else replace(asked, attempt=attempt)
        node.row = node.key
        if node.has_row:
            return _adjust(node.charged, 1, node.key, "better_span")
        node.has_row = True
        return node.charged

    def _winner(self, node: Node) -> Node:
        related, above = self._memory.related(node)
        members = next(members for members in group(related, above) if node in members)
        return next((each for each in members if each.charged is not None), best_of(members))

    def _row_of(self, node: Node) -> SpanKey:
        if node.charged is None and node.call.kind == "request":
            node = self._winner(node)
        return node.row or node.key


_CHARGINGS: weakref.WeakSet[Charging] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for charging in list(_CHARGINGS):
        charging.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _related(a: Node, b: Node) -> bool:
    return a.key in b.chain or b.key in a.chain


def _duplicate(candidate: Request, row: SpanKey, reason: str) -> Duplicate:
    return Duplicate(span=candidate.span, call=candidate.call, of_trace_id=row[0], of_span_id=row[1], reason=reason)


def _adjust(request: Request, sign: int, row: SpanKey, reason: str) -> Adjustment:
    return Adjustment(request=request, sign=1 if sign > 0 else -1, of_trace_id=row[0], of_span_id=row[1], reason=reason)
