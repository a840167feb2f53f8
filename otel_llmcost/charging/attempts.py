"""
Which try each request was, as a pure function of requests that share parents.

A request is a retry (same provider and model) or a fallback (another) when it starts within 60 s after a failure ended
under the same parent; each failure is used up by one successor. What the application declared wins over what is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otel_llmcost.charging.grouping import Node, SpanKey
from otel_llmcost.model import INITIAL, Attempt, Priced, Request

__all__ = ["attempts", "declared_alone"]

_WINDOW_NS: Final = 60 * 10**9


def attempts(family: Iterable[Node]) -> dict[SpanKey, Attempt]:
    """Give the attempt of each charged request among those that share parents, directly or not."""
    found: dict[SpanKey, Attempt] = {}
    failures: list[Node] = []
    for node in sorted(family, key=lambda node: (node.request.span.start_unix_ns, node.key)):
        before = _predecessor(node, failures)
        if before is not None:
            failures.remove(before)
        attempt = _attempt(node, before, found[before.key].number if before else 1)
        found[node.key] = attempt
        if node.call.status != "success":
            failures.append(node)
    return found


def declared_alone(node: Node) -> Attempt:
    """Give the attempt of a request whose neighbours are not known."""
    return _attempt(node, None, 1)


def _predecessor(node: Node, failures: list[Node]) -> Node | None:
    start = node.request.span.start_unix_ns
    before = [
        each
        for each in failures
        if 0 <= start - each.request.span.end_unix_ns <= _WINDOW_NS and each.families & node.families
    ]
    return max(before, key=lambda each: (each.request.span.end_unix_ns, each.key), default=None)


def _attempt(node: Node, before: Node | None, number: int) -> Attempt:
    if node.request.attempt.kind != "initial":
        return node.request.attempt  # the source decided, and it saw more than we do
    wasted = before is not None and _was_paid(before.request)
    if node.declared in ("retry", "fallback"):
        # Declared for work that succeeded technically: what it follows was paid for, unless it was seen to fail unpaid.
        return Attempt(
            kind="retry" if node.declared == "retry" else "fallback",
            number=number + 1,
            source="declared",
            wasted=before is None or wasted,
        )
    if node.declared == "initial":
        return Attempt(source="declared")
    if before is None:
        return INITIAL
    same = _asked_the_same(before.request, node.request)
    return Attempt(kind="retry" if same else "fallback", number=number + 1, source="inferred", wasted=wasted)


def _was_paid(request: Request) -> bool:
    return isinstance(request.price, Priced) and request.price.cost_picousd > 0


def _asked_the_same(before: Request, after: Request) -> bool:
    """Tell whether two requests asked one model of one provider; a failure that names no model may have asked any."""
    models = [request.call.request_model or request.call.model for request in (before, after)]
    return before.call.provider == after.call.provider and (models[0] == models[1] or not all(models))
