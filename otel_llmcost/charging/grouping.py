"""
Which spans show the same request, as a pure function of the spans that are known.

Spans are joined, in this order, by the same response id; by ancestry, where each outer span describes exactly one of
the requests directly below it; by the stream whose usage another span of the same instrumentation reports; by equal provider, model and totals at the same time, where one side has no id and the
spans come from different instrumentations. Two different response ids never share a group, even nested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, TypeAlias

from otel_llmcost.model import TOKEN_COUNTS, ModelCall, Request, SpanView, Unpriced

__all__ = ["Node", "SpanKey", "Totals", "are_twins", "best_of", "group", "reports_stream", "totals_of"]

SpanKey: TypeAlias = tuple[str, str]
"""(trace_id, span_id), lower-case hex."""
Totals: TypeAlias = tuple[str, int, int]
"""(who made the model, all input, all output): what two instrumentations of one request agree on."""

_FAMILIES: Mapping[str, str] = {
    "azure.ai.openai": "openai",
    "gcp.vertex_ai": "google",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
}
_SKEW_NS = 5 * 10**9
"""How far the clocks of two machines that see one response may be apart."""
_SLACK_NS = 50 * 10**6
"""How much longer an inner span may take to end: streams are closed by whoever reads them last."""
_STREAM_NS = 400 * 10**6
"""A stream's log span says, in tenths of a second, how long the stream took: it may begin this late after its request."""
_OUTPUTS = frozenset(name for name in TOKEN_COUNTS if "output" in name)
_IS_OUTPUT = tuple(name in _OUTPUTS for name in TOKEN_COUNTS)


@dataclass(slots=True, eq=False)
class Node:
    """A span that is remembered, and what the ledger has for it now."""

    key: SpanKey
    request: Request
    """As a candidate: its attempt is not decided."""
    chain: tuple[SpanKey, ...]
    """Its known ancestors, nearest first."""
    totals: Totals | None
    declared: str | None = None
    charged: Request | None = None
    """What the ledger was told for this span and still holds; None while another span carries the charge."""
    row: SpanKey | None = None
    """The row under which it is charged."""
    has_row: bool = False
    """True once a row of its own was written, even if its charge moved away since."""
    families: frozenset[SpanKey] = frozenset()
    """The spans under which its tries are looked for: the parents of all spans of its group."""
    depth: int = field(default=0)
    """How many members of its group are above it."""
    standing: Literal["ours", "elsewhere", "aside"] = "ours"
    """Whether another journal accounts for its request, or its source said that it carries none: never ours to charge."""

    @property
    def call(self) -> ModelCall:
        """The call as its dialect read it."""
        return self.request.call

    @property
    def failed_unpaid(self) -> bool:
        """True for a failure that shows no usage."""
        return self.call.status != "success" and self.call.usage is None


def totals_of(call: ModelCall) -> Totals | None:
    """Give what identifies a request without an id; None where the span shows no tokens at all."""
    if call.usage is None:
        return None
    counts = call.usage.counts
    given = output = 0
    for is_output, count in zip(_IS_OUTPUT, counts, strict=False):
        if type(count) is int:
            if is_output:
                output += count
            else:
                given += count
    if not given and not output:
        return None
    return _FAMILIES.get(call.provider, call.provider), given, output


def group(nodes: Iterable[Node], above: Mapping[SpanKey, Node]) -> list[list[Node]]:
    """
    Split request spans into groups that show one request each.

    Args:
        nodes: all spans that are related in any way to one another.
        above: span -> its nearest request span above, as far as it is known.
    """
    sets = _Sets(sorted(nodes, key=lambda node: node.key))
    for a, b in combinations(sets.nodes, 2):
        if share_response(a, b):
            sets.join(a, b)
    _join_wrappers(sets, above)
    _join_streams(sets)
    _join_twins(sets, above)
    return sets.members()


def best_of(members: Iterable[Node]) -> Node:
    """Give the span that carries the charge: usage first, then fewer gaps, inner, earlier, and the ids."""
    return min(members, key=_rank)


def _rank(node: Node) -> tuple[bool, bool, bool, bool, bool, int, int, int, SpanKey]:
    call = node.call
    return (
        node.standing != "elsewhere",
        node.standing == "aside",
        call.usage is None,
        bool(call.invalid_usage),
        isinstance(node.request.price, Unpriced),
        len(call.usage_gaps),
        -node.depth,
        node.request.span.start_unix_ns,
        node.key,
    )


def _join_wrappers(sets: _Sets, above: Mapping[SpanKey, Node]) -> None:
    """Join each outer span to the one request below it that it describes, the innermost first."""
    below: dict[SpanKey, list[Node]] = {}
    for node in sets.nodes:
        if (outer := above.get(node.key)) is not None:
            below.setdefault(outer.key, []).append(node)
    depths = {node.key: _depth(node, above) for node in sets.nodes}
    for outer in sorted(sets.nodes, key=lambda node: (-depths[node.key], node.key)):
        inner = [node for node in below.get(outer.key, ()) if not (node.failed_unpaid and not _failed(outer))]
        if any(sets.same(outer, node) for node in inner):
            continue
        fitting = [node for node in inner if sets.may_join(outer, node)]
        if fitting:
            sets.join(outer, min(fitting, key=lambda node: _affinity(outer, node)))
    for node in sets.nodes:
        node.depth = sum(sets.same(node, each) for each in _ancestors(node, above))


def _join_streams(sets: _Sets) -> None:
    """Join each span that only reports a stream's usage to the one request whose stream that was."""
    pairs = [
        (report.call.stream_began_unix_ns - asked.request.span.end_unix_ns, report, asked)
        for report in sets.nodes
        if report.call.stream_began_unix_ns
        for asked in sets.nodes
        if reports_stream(report, asked)
    ]
    taken: set[SpanKey] = set()
    for _, report, asked in sorted(pairs, key=lambda pair: (pair[0], pair[1].key, pair[2].key)):
        if taken.isdisjoint((report.key, asked.key)) and sets.may_join(report, asked):
            taken |= {report.key, asked.key}
            sets.join(report, asked)


def reports_stream(report: Node, asked: Node) -> bool:
    """Tell whether `report` shows the usage of the stream that `asked` began: see `ModelCall.stream_began_unix_ns`."""
    waited_ns = report.call.stream_began_unix_ns - asked.request.span.end_unix_ns
    return (
        0 <= waited_ns <= _STREAM_NS
        and asked.call.usage is None
        and not asked.call.response_id
        and not asked.call.stream_began_unix_ns
        and asked.request.span.scope_name == report.request.span.scope_name
        and asked.call.request_model == report.call.request_model
    )


def _join_twins(sets: _Sets, above: Mapping[SpanKey, Node]) -> None:
    """Join spans of different instrumentations that show equal totals at the same time, where one has no id."""
    pairs = [
        (abs(a.request.span.start_unix_ns - b.request.span.start_unix_ns), a, b)
        for a, b in combinations(sets.nodes, 2)
        if (are_twins(a, b) or share_failure(a, b)) and b not in _ancestors(a, above) and a not in _ancestors(b, above)
    ]
    for _, a, b in sorted(pairs, key=lambda pair: (pair[0], pair[1].key, pair[2].key)):
        if not sets.same(a, b) and sets.may_join(a, b) and sets.scopes(a).isdisjoint(sets.scopes(b)):
            sets.join(a, b)


def are_twins(a: Node, b: Node) -> bool:
    """Tell whether two spans may show one request although nothing links them: see `group`."""
    if a.totals is None or a.totals != b.totals or (a.call.response_id and b.call.response_id):
        return False
    mine, other = a.request.span, b.request.span
    # Two spans of one instrumentation that are not nested are two requests, however equal. Two instrumentations wrap one
    # another, so one span lies within the other; and where neither is a root, they share their trace.
    return (
        mine.scope_name != other.scope_name
        and (mine.trace_id == other.trace_id or mine.parent_span_id is None or other.parent_span_id is None)
        and not _models(a.call).isdisjoint(_models(b.call))
        and (_lies_within(mine, other) or _lies_within(other, mine))
    )


def share_failure(a: Node, b: Node) -> bool:
    """Tell whether two failures without usage are one: two instrumentations, one within the other, in one trace."""
    mine, other = a.request.span, b.request.span
    models, others = _models(a.call), _models(b.call)
    return (
        a.failed_unpaid
        and b.failed_unpaid
        and mine.trace_id == other.trace_id
        and mine.scope_name != other.scope_name
        and a.call.provider == b.call.provider
        and (not models or not others or not models.isdisjoint(others))
        and (_lies_within(mine, other) or _lies_within(other, mine))
    )


def share_response(a: Node, b: Node) -> bool:
    """
    Tell whether two spans show the same response. The id alone does not: some local servers draw theirs from a few
    hundred, so the spans must also meet in time, and in their model or totals.
    """
    if not a.call.response_id or a.call.response_id != b.call.response_id:
        return False
    mine, other = a.request.span, b.request.span
    # One instrumentation on one machine has one clock, and shows a response twice only in spans around one another.
    skew_ns = 0 if mine.scope_name == other.scope_name else _SKEW_NS
    meet = mine.start_unix_ns <= other.end_unix_ns + skew_ns and other.start_unix_ns <= mine.end_unix_ns + skew_ns
    unknown = a.totals is None or b.totals is None
    return meet and (unknown or a.totals == b.totals or not _models(a.call).isdisjoint(_models(b.call)))


def _lies_within(inner: SpanView, outer: SpanView) -> bool:
    return outer.start_unix_ns <= inner.start_unix_ns + _SLACK_NS and inner.end_unix_ns <= outer.end_unix_ns + _SLACK_NS


def _models(call: ModelCall) -> set[str]:
    """Give the names that a span has for its model: one sees the alias that was asked for, another who answered."""
    return {name.rpartition("/")[2] for name in (call.model, call.request_model) if name}


def _affinity(outer: Node, inner: Node) -> tuple[bool, bool, bool, int, SpanKey]:
    apart = abs(outer.request.span.start_unix_ns - inner.request.span.start_unix_ns)
    return (
        (outer.call.usage is None) != (inner.call.usage is None),
        outer.totals != inner.totals,
        outer.call.status != inner.call.status,
        apart,
        inner.key,
    )


def _failed(node: Node) -> bool:
    return node.call.status != "success"


def _ancestors(node: Node, above: Mapping[SpanKey, Node]) -> list[Node]:
    found: list[Node] = []
    outer = above.get(node.key)
    while outer is not None and outer not in found:
        found.append(outer)
        outer = above.get(outer.key)
    return found


def _depth(node: Node, above: Mapping[SpanKey, Node]) -> int:
    return len(_ancestors(node, above))


class _Sets:
    """Disjoint sets of nodes that know the response id and the scopes of each set."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self._root = {node.key: node.key for node in nodes}
        self._ids = {node.key: node.call.response_id for node in nodes}
        self._scopes = {node.key: {node.request.span.scope_name} for node in nodes}

    def find(self, node: Node) -> SpanKey:
        key = node.key
        while self._root[key] != key:
            key = self._root[key]
        return key

    def same(self, a: Node, b: Node) -> bool:
        return b.key in self._root and self.find(a) == self.find(b)

    def may_join(self, a: Node, b: Node) -> bool:
        mine, other = self._ids[self.find(a)], self._ids[self.find(b)]
        return not (mine and other and mine != other)

    def scopes(self, node: Node) -> set[str]:
        return self._scopes[self.find(node)]

    def join(self, a: Node, b: Node) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        if low != high:
            self._root[high] = low
            self._ids[low] = self._ids[low] or self._ids[high]
            self._scopes[low] |= self._scopes[high]

    def members(self) -> list[list[Node]]:
        sets: dict[SpanKey, list[Node]] = {}
        for node in self.nodes:
            sets.setdefault(self.find(node), []).append(node)
        return list(sets.values())
