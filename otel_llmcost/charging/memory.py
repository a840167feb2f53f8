"""
What `Charging` remembers: the last model calls, and the tables in which relatives find one another.

Bounded: the oldest call is forgotten everywhere when a new one comes. Not thread-safe: `Charging` holds the lock.
The tables hold tuples: nearly all have one member, and a list for it is two allocations and garbage to look through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
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
from otel_llmcost.model import ModelCall

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
        self.nodes: dict[SpanKey, Node] = {}
        self._oldest_first: deque[Node] = deque()
        self.below: dict[SpanKey, tuple[Node, ...]] = {}
        self.by_id: dict[str, tuple[Node, ...]] = {}
        self._with_id: dict[Totals, tuple[Node, ...]] = {}
        self._without_id: dict[Totals, tuple[Node, ...]] = {}
        self._failures: dict[str, tuple[Node, ...]] = {}
        self._streams: dict[tuple[str, str], tuple[Node, ...]] = {}
        self.families: dict[SpanKey, tuple[Node, ...]] = {}
        self.failed_under: dict[SpanKey, bool] = {}

    def is_alone(self, node: Node) -> bool:
        """Tell, cheaply, that nothing known is related to the span: the path of most requests."""
        return node.key not in self.below and self.nodes.keys().isdisjoint(node.chain) and not self._twins(node)

    def has_tries(self, node: Node, family: SpanKey) -> bool:
        """Tell whether the span may follow a failure under its parent, or be one that others follow."""
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

    def _twins(self, node: Node) -> list[Node]:
        call, found = node.call, []
        if call.response_id and (held := self.by_id.get(call.response_id)):
            found += [each for each in held if share_response(node, each)]
        if _is_partial(call):
            found += self._partial_twins(node)
        if node.totals is not None:
            if held := self._without_id.get(node.totals):
                found += [each for each in held if are_twins(node, each)]
            if not call.response_id and (held := self._with_id.get(node.totals)):
                found += [each for each in held if are_twins(node, each)]
        return found

    def _partial_twins(self, node: Node) -> list[Node]:
        found: list[Node] = []
        if _may_be_stream(node):
            parts = self._streams.get(_stream_of(node), ())
            if node.call.stream_began_unix_ns:
                found += [each for each in parts if reports_stream(node, each)]
            else:
                found += [each for each in parts if reports_stream(each, node)]
        if node.failed_unpaid:
            found += [each for each in self._failures.get(node.key[0], ()) if share_failure(node, each)]
        return found

    def remember(self, node: Node) -> None:
        """Remember a call, and forget the oldest for it."""
        if len(self.nodes) >= self._max:
            self._forget(self._oldest_first.popleft())
        self.nodes[node.key] = node
        self._oldest_first.append(node)
        if node.chain:
            self.index_chain(node)
        for table, key in self._places(node):
            _append(table, key, node)

    def _places(self, node: Node) -> list[tuple[dict[Any, tuple[Node, ...]], object]]:
        """Where a request span is looked up, besides its key and its ancestors."""
        call = node.call
        if call.kind != "request":
            return []
        places: list[tuple[dict[Any, tuple[Node, ...]], object]] = []
        if call.response_id:
            places.append((self.by_id, call.response_id))
        if node.totals is not None:
            places.append((self._with_id if call.response_id else self._without_id, node.totals))
        if _is_partial(call):
            if _may_be_stream(node):
                places.append((self._streams, _stream_of(node)))
            if node.failed_unpaid:
                places.append((self._failures, node.key[0]))
        return places

    def forget(self, key: SpanKey) -> None:
        """Forget one call everywhere; it is looked for among all, so this is not for the path of most."""
        node = self.nodes.get(key)
        if node is not None:
            self._oldest_first.remove(node)
            self._forget(node)

    def _forget(self, node: Node) -> None:
        del self.nodes[node.key]
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

    def join_families(self, best: Node, families: Iterable[SpanKey]) -> None:
        """Note under which spans the tries of a group are looked for: the parents of all its members."""
        best.families = frozenset(families)
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


def _is_partial(call: ModelCall) -> bool:
    """Tell a call without usage, or one that is only the usage of another: few are, and they have tables of their own."""
    return call.usage is None or bool(call.stream_began_unix_ns)


def _may_be_stream(node: Node) -> bool:
    return bool(node.call.stream_began_unix_ns) or (node.call.usage is None and node.call.status == "success")


def _stream_of(node: Node) -> tuple[str, str]:
    return node.request.span.scope_name, node.call.request_model


def parent_of(node: Node) -> SpanKey | None:
    """Give the key of the span right above, as the span itself names it."""
    parent = node.request.span.parent_span_id
    return (node.key[0], parent) if parent else None


def _append(table: dict[K, tuple[Node, ...]], key: K, node: Node, *, most: int = _KEPT) -> None:
    held = table.get(key)
    table[key] = (node,) if held is None else (*held[1 - most :], node)


def _remove(table: dict[K, tuple[Node, ...]], key: K, node: Node) -> None:
    held = table.get(key)
    if held is None:
        return
    # the oldest is forgotten first, so that it is nearly always the first
    rest = held[1:] if held[0] is node else tuple([each for each in held if each is not node])
    if rest:
        table[key] = rest
    else:
        del table[key]
