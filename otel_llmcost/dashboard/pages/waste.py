"""What failures, retries and fallbacks cost, where, since when, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Self

from otel_llmcost.dashboard.changes import Item
from otel_llmcost.dashboard.charts import Bars, Spark
from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.series import buckets_of, timeline
from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Money, count, percent
from otel_llmcost.reports.daily import Daily
from otel_llmcost.reports.spend import OTHER
from otel_llmcost.reports.waste import FailureRow, WasteMeasures, failures, waste

__all__ = ["build"]

CHOICES: Final = ("team", "feature", "model", "provider", "environment")
"""What the small rollup knows, with how requests ended."""
_NEXT: Final = {"team": "feature", "feature": "model", "provider": "model", "environment": "team"}
"""What a click on a value breaks it down by; without an entry it opens the requests."""
_ROWS: Final = 25
_KINDS: Final = {
    "success": "repeats that succeeded",
    "error": "errors",
    "timeout": "timeouts",
    "cancelled": "cancelled",
}
"""Status -> what the waste among requests of that status is."""


def build(asked: Asked) -> Page:
    """Build the page."""
    view = asked.view
    choices = [name for name in CHOICES if name not in view.where]
    by = view.word("by", CHOICES, choices[0] if choices else CHOICES[0])
    found = waste(asked.ledger, by, period=view.period, where=view.where, top=_ROWS)
    if not found.rows:
        return empty_page(asked, "Retries & waste")
    failed = failures(asked.ledger, period=view.period, where=view.where, top=_ROWS)
    total = found.total.whole
    return Page(
        title="Retries & waste",
        template="waste.html",
        context={
            "tiles": tuple(_tiles(view, total)),
            "chart": _chart(asked),
            "choices": choices,
            "by": by,
            "advice": tuple(_advice(view, total)),
        },
        tables=(
            _by_table(view, by, found.rows, found.total),
            _failures_table(view, failed, total),
        ),
    )


def _tiles(view: View, total: WasteMeasures) -> Iterator[Tile]:
    costs = _Costs.of(total)
    yield Tile(
        title="Waste",
        figure=str(costs.wasted),
        href=view.link("/requests", wasted="1"),
        note=f"{percent(total.wasted_share)} of cost",
    )
    yield Tile(
        title="of which: failed, and charged",
        figure=str(costs.failed),
        href="#failures",
        note=f"as far as is known; {count(total.failures)} requests did not succeed",
    )
    yield Tile(
        title="of which: repeats that succeeded",
        figure=str(costs.repeated),
        href=view.link("/requests", wasted="1", status="success"),
        note="of what had been charged already",
    )
    yield Tile(
        title="All retries",
        figure=str(costs.retries),
        href=view.link("/requests", attempt_kind="retry"),
        note=f"{count(total.retries)} requests, wasted or not",
    )
    yield Tile(
        title="All fallbacks",
        figure=str(costs.fallbacks),
        href=view.link("/requests", attempt_kind="fallback"),
        note=f"{count(total.fallbacks)} requests to another model, wasted or not",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Costs:
    """The costs of a group. Where it has none of a kind, their cost is nothing, whatever else has no price."""

    wasted: Money
    failed: Money
    repeated: Money
    retries: Money
    fallbacks: Money

    @classmethod
    def of(cls, group: WasteMeasures) -> Self:
        repeats = group.retries + group.fallbacks
        is_bound = group.is_lower_bound
        return cls(
            wasted=Money(group.wasted_cost_usd, is_bound and bool(group.failures or repeats)),
            failed=Money(group.failed_cost_usd, is_bound and bool(group.failures)),
            repeated=Money(group.repeated_cost_usd, is_bound and bool(repeats)),
            retries=Money(group.retry_cost_usd, is_bound and bool(group.retries)),
            fallbacks=Money(group.fallback_cost_usd, is_bound and bool(group.fallbacks)),
        )


def _chart(asked: Asked) -> Bars:
    line = timeline(asked, "status", measure="wasted_cost_usd")
    shown = [status for status in _KINDS if any(line.values.get(status, ()))]
    return replace(line, values={_KINDS[status]: line.values[status] for status in shown}).chart(
        asked,
        name="waste",
        title=f"Waste by {asked.view.bucket}",
        links={_KINDS[status]: asked.view.link("/requests", wasted="1", status=status) for status in shown},
    )


def _advice(view: View, total: WasteMeasures) -> Iterator[Item]:
    if total.timeouts:
        yield Item(
            look="high",
            title=f"{count(total.timeouts)} requests timed out",
            text="What a model wrote until then may be billed, and the retry is billed again. Give the client more time than "
            "the slowest answers take, or read them as a stream.",
            href=view.link("/requests", status="timeout"),
        )
    if total.cancelled:
        yield Item(
            look="high",
            title=f"{count(total.cancelled)} requests were cancelled",
            text="Somebody stopped reading. Where that is ordinary, ask for less at once: a smaller max_tokens.",
            href=view.link("/requests", status="cancelled"),
        )
    if total.errors:
        yield Item(
            look="high",
            title=f"{count(total.errors)} requests ended in an error",
            text="The table of failures says which. Errors of the request itself come back with every retry: do not retry "
            "those.",
            href=view.link("/requests", status="error"),
        )
    if total.retries:
        yield Item(
            look="rate",
            title=f"{count(total.retries)} requests were retries",
            text="Provider clients retry by themselves (max_retries), and frameworks above them once more: let one of them.",
            href=view.link("/requests", attempt_kind="retry"),
        )
    if total.fallbacks:
        yield Item(
            look="rate",
            title=f"{count(total.fallbacks)} requests fell back to another model",
            text="The tables say from where: a first choice that fails often is the dearer one.",
            href=view.link("/requests", attempt_kind="fallback"),
        )


def _by_table(view: View, by: str, rows: tuple[Daily[WasteMeasures], ...], total: Daily[WasteMeasures]) -> Table:
    title = by.replace("_", " ")
    columns = (
        Column(title.capitalize(), by, "name"),
        Column("Waste", "wasted_cost_usd", "money"),
        Column("Of its cost", "wasted_share", "percent"),
        Column("Trend", "trend", "trend", keep=3),
        Column("Failed", "failed_cost_usd", "money", keep=4),
        Column("Repeated", "repeated_cost_usd", "money", keep=4),
        Column("Failures", "failures", "count", keep=4),
        Column("Retries", "retries", "count", keep=3),
        Column("Cost of retries", "retry_cost_usd", "money", keep=3),
        Column("Fallbacks", "fallbacks", "count", keep=2),
        Column("Cost of fallbacks", "fallback_cost_usd", "money", keep=2),
        Column("Requests", "requests", "count", keep=3),
    )
    return Table(
        name="by",
        title=f"Waste by {title}",
        columns=columns,
        rows=[(Link(row.key, _drill(view, by, row.key)), *_figures(view, row)) for row in rows],
        total=("Total", *_figures(view, total)),
        note="failed and repeated make the waste; the cost of retries and fallbacks stands beside it",
    )


def _figures(view: View, row: Daily[WasteMeasures]) -> Row:
    whole, costs = row.whole, _Costs.of(row.whole)
    return (
        costs.wasted,
        whole.wasted_share,
        _spark(view, row),
        costs.failed,
        costs.repeated,
        whole.failures,
        whole.retries,
        costs.retries,
        whole.fallbacks,
        costs.fallbacks,
        whole.requests,
    )


def _spark(view: View, row: Daily[WasteMeasures]) -> Spark:
    wasted = {day.isoformat(): measures.wasted_cost_usd for day, measures in row.days}
    return Spark(tuple(wasted.get(day, Decimal(0)) for day in buckets_of(view.period, "day")))


def _drill(view: View, by: str, key: str) -> str:
    """Link to what is below one value: the next dimension, and at the end the wasted requests."""
    if key == OTHER:
        return ""
    if by in _NEXT and _NEXT[by] not in view.where:
        return view.link("/waste", by=_NEXT[by], **{by: key})
    return view.link("/requests", wasted="1", **{by: key})


def _failures_table(view: View, rows: tuple[FailureRow, ...], total: WasteMeasures) -> Table:
    columns = (
        Column("Model", "model", "name"),
        Column("Provider", "provider", keep=3),
        Column("Status", "status", "status", keep=4),
        Column("What went wrong", "error_type"),
        Column("Requests", "requests", "count", keep=6),
        Column("Charged for", "costed_requests", "count", keep=3),
        Column("Cost", "cost_usd", "money"),
    )
    costed = sum(row.costed_requests for row in rows)
    return Table(
        name="failures",
        title="What failed, timed out or was cancelled",
        columns=columns,
        rows=[_failure_row(view, row) for row in rows],
        total=("Total", *[None] * 3, total.failures, costed, _known(costed, total.failed_cost_usd)),
        note="most costly first; what failed before anything was billed has no known cost",
        empty="Every request of this period succeeded.",
    )


def _failure_row(view: View, row: FailureRow) -> Row:
    cost = _known(row.costed_requests, row.cost_usd)
    if row.model == OTHER:
        return "everything else", None, None, None, row.requests, row.costed_requests, cost
    error_type = row.error_type or None
    where = {"provider": row.provider, "model": row.model, "status": row.status, "error_type": error_type}
    name = Link(row.model or "(no model)", view.link("/requests", **where))
    return name, row.provider, row.status, error_type or "(not said)", row.requests, row.costed_requests, cost


def _known(costed: int, cost_usd: Decimal) -> Money:
    """Give a cost, unknown where that of no request is known."""
    return Money(cost_usd if costed or cost_usd else None)
