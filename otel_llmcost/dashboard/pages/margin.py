"""What business actions cost, each and together, and what is left of their recorded value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from otel_llmcost.dashboard.charts import Spark
from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.series import COLOURS, timeline
from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Money, count, percent
from otel_llmcost.model import NONE
from otel_llmcost.reports.daily import Daily
from otel_llmcost.reports.margin import ActionCost, MarginReport, margin
from otel_llmcost.reports.money import ratio
from otel_llmcost.reports.spend import OTHER

__all__ = ["build"]

_UNITS: Final = {"action": "execution", "request": "request"}

_VALUE_COLUMNS: Final = (
    Column("Outcomes", "outcomes", "count", keep=2),
    Column("Value", "value_usd", "money", keep=4),
    Column("Margin", "margin_usd", "money", keep=6),
    Column("Of value", "margin_share", "percent", keep=4),
)


def build(asked: Asked) -> Page:
    """Build the page."""
    view = asked.view
    found = margin(asked.ledger, period=view.period, where=view.where)
    if not found.rows:
        return empty_page(asked, "Margin")
    line = timeline(asked, "action", top=COLOURS + 1)
    line = replace(line, values={action: costs for action, costs in line.values.items() if action != NONE})
    links = {action: view.link("/requests", action=action) for action in line.values if action != OTHER}
    return Page(
        title="Margin",
        template="margin.html",
        context={
            "tiles": tuple(_tiles(view, found)),
            "chart": line.chart(asked, name="actions", title=f"Cost by action and {view.bucket}", links=links),
            "has_actions": bool(found.named.requests or found.named.value),
            "has_executions": bool(found.named.actions),
            "has_values": found.total.value is not None,
            "may_have_values": found.has_values,
        },
        tables=(_table(view, found),),
    )


def _tiles(view: View, found: MarginReport) -> Iterator[Tile]:
    total, named, valued = found.total, found.named, found.valued
    yield Tile(
        title="Cost of actions",
        figure=str(_cost(named)),
        href=view.link("/explore", by="action"),
        note=f"{percent(ratio(named.cost_usd, total.cost_usd))} of {_cost(total)}",
    )
    yield Tile(
        title="Executions, about",
        figure=count(named.actions),
        href="#actions",
        note="within about 1 %",
    )
    yield Tile(
        title="Recorded value",
        figure=str(Money(valued.value.value_usd)) if valued.value else "none",
        href="#actions",
        note=f"of {count(valued.value.outcomes)} outcomes" if valued.value else "no outcome was recorded",
    )
    yield Tile(
        title="Margin",
        figure=str(_margin(valued)) if valued.value else "–",
        href="#actions",
        note=f"of value, less {_cost(valued)} that the same actions cost" if valued.value else "value less cost",
    )
    yield Tile(
        title="Without an action",
        figure=str(_cost(next((row.whole for row in found.rows if row.key == NONE), ActionCost()))),
        href=view.link("/requests", action=NONE),
        note="in no unit cost",
    )


def _cost(cost: ActionCost) -> Money:
    if cost.unpriced_requests and cost.unpriced_requests >= cost.requests:
        return Money(None)
    return Money(cost.cost_usd, cost.is_lower_bound)


def _margin(cost: ActionCost) -> Money | None:
    """Give what is left; where a cost is a lower bound, at most that."""
    if cost.margin_usd is None:
        return None
    return Money(None) if _cost(cost).usd is None else Money(cost.margin_usd, is_upper_bound=cost.is_lower_bound)


def _table(view: View, found: MarginReport) -> Table:
    has_values = found.total.value is not None
    columns = (
        Column("Action", "action", "name"),
        Column("Cost", "cost_usd", "money"),
        Column("Of all cost", "share", "percent", keep=3),
        Column("Requests", "requests", "count", keep=3),
        Column("Executions, about", "actions", "count", keep=4),
        Column("Cost of one", "unit_cost_usd", "money", keep=6),
        Column("which is", "unit", keep=4),
        Column("Over time", "trend", "trend", keep=2),
        *(_VALUE_COLUMNS if has_values else ()),
    )
    rows = [
        (
            Link(row.key, view.link("/requests", action=row.key)),
            *_figures(row, found.total),
            *(_value(row.whole) if has_values else ()),
        )
        for row in sorted(found.rows, key=lambda row: row.key == NONE)
    ]
    total = found.total
    return Table(
        name="actions",
        title="By action",
        columns=columns,
        rows=rows,
        total=(
            "Total",
            _cost(total),
            None,
            total.requests,
            total.actions,
            *[None] * 3,
            *(_value(found.valued) if has_values else ()),
        ),
        note="the cost of one execution where requests say which one they were for, else of one request",
    )


def _figures(row: Daily[ActionCost], total: ActionCost) -> Row:
    whole, cost = row.whole, _cost(row.whole)
    each = None if cost.usd is None else whole.unit_cost_usd
    has_unit = whole.requests > 0 and row.key != NONE
    one: Row = (Money(each, whole.is_lower_bound, is_unit=True), _UNITS[whole.unit]) if has_unit else (None, "")
    units = (day.unit_cost_usd for _, day in row.days if day.unit == whole.unit and _cost(day).usd is not None)
    return (
        cost,
        ratio(whole.cost_usd, total.cost_usd),
        whole.requests,
        whole.actions,
        *one,
        Spark(tuple(unit for unit in units if unit is not None)),
    )


def _value(cost: ActionCost) -> Row:
    value, margin_usd = cost.value, _margin(cost)
    if value is None or margin_usd is None:
        return None, None, None, None
    share = None if margin_usd.usd is None else ratio(margin_usd.usd, value.value_usd)
    return value.outcomes, Money(value.value_usd), margin_usd, share
