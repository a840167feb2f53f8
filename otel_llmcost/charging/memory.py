"""
What `Charging` remembers: the last model calls, and the tables in which relatives find one another.

Bounded: the oldest call is forgotten everywhere when a new one comes. Not thread-safe: `Charging` holds the lock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from otel_llmcost.charging.grouping import (
    Node,
    SpanKey,
    Totals,
    are_twins,
    reports_stream,
    share_failure,
    share_response,
)

__all__ = ["FAMILY_KEPT", "Memory", "parent_of"]

K = TypeVar("K")

_KEPT: Final = 64
"""Relatives remembered for one id, total or ancestor: a worker's root span may live for days."""
FAMILY_KEPT: Final = 64
"""Requests under one parent among which retries are looked for."""


class Memory:
    """The last `max_spans` model calls. `nodes` finds them by key, `below` by ancestor, `by_id` by response id."""

    def __init__(self, max_spans: int) -> None:
        self._max = max_spans
        self.nodes: OrderedDict[SpanKey, Node] = OrderedDict()
        self.below: dict[SpanKey, list[Node]] = {}
        self.by_id: dict[str, list[Node]] = {}
        self._with_id: dict[Totals, list[Node]] = {}
        self._without_id: dict[Totals, list[Node]] = {}
        self._failures: dict[str, list[Node]] = {}
        self._streams: dict[tuple[str, str], list[Node]] = {}
        self.families: dict[SpanKey, list[Node]] = {}
        self.failed_under: dict[SpanKey, bool] = {}

    def is_alone(self, node: Node) -> bool:
        """Tell, cheaply, that nothing known is related to the span: the path of most requests."""
        if node.key in self.below or any(key in self.nodes for key in node.chain):
            return False
        return not any(True for _ in self._twins(node))

    def has_tries(self, node: Node) -> bool:
        """Tell whether the span may follow a failure, or be one that others follow."""
        family = parent_of(node)
        if family is None:
            return False
        return family in self.failed_under or (node.call.status != "success" and family in self.families)

    def related(self, node: Node) -> tuple[list[Node], dict[SpanKey, Node]]:
        """Give every request span that is related to `node`, directly or not, and who is directly above whom."""
        found = {node.key: node}
        above: dict[SpanKey, Node] = {}
        queue = deque((node,))
        while queue and len(found) < FAMILY_KEPT:
            each = queue.popleft()
            outer = self._above(each)
            if outer is not None:
                above[each.key] = outer
            near = [*((outer,) if outer else ()), *self.below.get(each.key, ()), *self._twins(each)]
            for other in near:
                if other.call.kind == "request" and other.key not in found:
                    found[other.key] = other
                    queue.append(other)
        for each in queue:
            if (outer := self._above(each)) is not None:
                above[each.key] = outer
        return list(found.values()), above

    def _above(self, node: Node) -> Node | None:
        for key in node.chain:
            outer = self.nodes.get(key)
            if outer is not None and outer.call.kind == "request":
                return outer
        return None

    def _twins(self, node: Node) -> Iterator[Node]:
        if node.call.response_id:
            yield from (each for each in self.by_id.get(node.call.response_id, ()) if share_response(node, each))
        if _may_be_stream(node):
            yield from self._stream_parts(node)
        if node.failed_unpaid:
            yield from (each for each in self._failures.get(node.key[0], ()) if share_failure(node, each))
        if node.totals is not None:
            yield from (each for each in self._without_id.get(node.totals, ()) if are_twins(node, each))
            if not node.call.response_id:
                yield from (each for each in self._with_id.get(node.totals, ()) if are_twins(node, each))

    def _stream_parts(self, node: Node) -> Iterator[Node]:
        parts = self._streams.get(_stream_of(node), ())
        if node.call.stream_began_unix_ns:
            return (each for each in parts if reports_stream(node, each))
        return (each for each in parts if reports_stream(each, node))

    def remember(self, node: Node) -> None:
        """Remember a call, and forget the oldest for it."""
        while len(self.nodes) >= self._max:
            self._forget(self.nodes.popitem(last=False)[1])
        self.nodes[node.key] = node
        self.index_chain(node)
        for table, key in self._places(node):
            _append(table, key, node)

    def _places(self, node: Node) -> Iterator[tuple[dict[Any, list[Node]], object]]:
        """Where a request span is looked up, besides its key and its ancestors."""
        if node.call.kind != "request":
            return
        if node.call.response_id:
            yield self.by_id, node.call.response_id
        if node.totals is not None:
            yield self._with_id if node.call.response_id else self._without_id, node.totals
        if _may_be_stream(node):
            yield self._streams, _stream_of(node)
        if node.failed_unpaid:
            yield self._failures, node.key[0]

    def _forget(self, node: Node) -> None:
        for table, key in self._places(node):
            _remove(table, key, node)
        for ancestor in node.chain:
            _remove(self.below, ancestor, node)
        for family in node.families:
            _remove(self.families, family, node)
            if family not in self.families:
                self.failed_under.pop(family, None)

    def index_chain(self, node: Node) -> None:
        """Note under each ancestor that the call is below it."""
        for key in node.chain:
            below = self.below.get(key)
            if below is None or node not in below:
                _append(self.below, key, node)

    def join_families(self, best: Node, members: Iterable[Node]) -> None:
        """Note under which spans the tries of a group are looked for."""
        best.families = frozenset(parent for each in members if (parent := parent_of(each)) is not None)
        for family in best.families:
            held = self.families.get(family)
            if held is None or best not in held:
                _append(self.families, family, best, most=FAMILY_KEPT)
            if best.call.status != "success":
                self.failed_under[family] = True

    def sharing(self, families: Iterable[SpanKey]) -> dict[SpanKey, Node]:
        """Give every charged request under these parents, and under the parents of those, and so on."""
        found: dict[SpanKey, Node] = {}
        seen = set(families)
        queue = deque(seen)
        while queue and len(found) < FAMILY_KEPT:
            family = queue.popleft()
            for node in self.families.get(family, ()):
                if node.charged is not None and node.key not in found and family in node.families:
                    found[node.key] = node
                    queue.extend(node.families - seen)
                    seen |= node.families
        return found


def _may_be_stream(node: Node) -> bool:
    return bool(node.call.stream_began_unix_ns) or (node.call.usage is None and node.call.status == "success")


def _stream_of(node: Node) -> tuple[str, str]:
    return node.request.span.scope_name, node.call.request_model


def parent_of(node: Node) -> SpanKey | None:
    """Give the key of the span right above, as the span itself names it."""
    parent = node.request.span.parent_span_id
    return (node.key[0], parent) if parent else None


def _append(table: dict[K, list[Node]], key: K, node: Node, *, most: int = _KEPT) -> None:
    held = table.setdefault(key, [])
    if len(held) >= most:
        del held[0]
    held.append(node)


def _remove(table: dict[K, list[Node]], key: K, node: Node) -> None:
    held = table.get(key)
    if held is None:
        return
    if node in held:
        held.remove(node)
    if not held:
        del table[key]
