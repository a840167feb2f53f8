"""How much, who, why it changed: the page that finance opens first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from otel_llmcost.dashboard import changes
from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.series import Timeline, timeline
from otel_llmcost.dashboard.tables import Cell, Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Delta, Money, count, delta, percent, ratio
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports import Comparison, Measures, active_customers, compare
from otel_llmcost.reports.extent import Extent, extent
from otel_llmcost.reports.spend import OTHER

__all__ = ["build", "compared_table", "drill"]

CHOICES: Final = ("team", "feature", "customer", "model", "provider", "environment", "status", "attempt_kind")
_NEXT: Final = {
    "team": "feature",
    "feature": "customer",
    "customer": "model",
    "provider": "model",
    "environment": "team",
}
"""What a click on a value breaks it down by; without an entry it opens the requests."""
_ROWS: Final = 25


def build(asked: Asked) -> Page:
    """Build the overview."""
    view = asked.view
    by = view.word("by", CHOICES, next((name for name in CHOICES if name not in view.where), CHOICES[0]))
    compared = compare(asked.ledger, by, period=view.period, now=asked.now, where=view.where, top=_ROWS)
    if not compared.total.requests and not compared.total_before.requests:
        return empty_page(asked, "Overview")
    reach = extent(asked.ledger)
    is_comparable = reach is not None and reach.first.date() <= compared.before.since
    line = timeline(asked, by, top=_ROWS)
    found = changes.find(asked, is_comparable=is_comparable)
    title = f"Cost by {by.replace('_', ' ')} and {view.bucket}"
    links = {key: drill(view, by, key) for key in line.values if key != OTHER}
    context = {
        "tiles": tuple(_tiles(asked, compared, is_comparable=is_comparable)),
        "chart": line.chart(asked, name="cost", title=title, links=links, marks=found.marks),
        "choices": [name for name in CHOICES if name not in view.where],
        "by": by,
        "against": _against(compared, reach, is_comparable=is_comparable),
        "changed": found.items,
        "reach": reach,
    }
    tables = (compared_table(view, compared, line, is_comparable=is_comparable), *found.tables)
    return Page(title="Overview", template="overview.html", context=context, tables=tables)


def drill(view: View, by: str, key: str) -> str:
    """Link to what is below one value of a dimension: the next dimension, and at the end the requests."""
    if by in _NEXT and _NEXT[by] not in view.where:
        return view.link("/", by=_NEXT[by], **{by: key})
    return view.link("/requests", **{by: key})


def compared_table(
    view: View, found: Comparison, line: Timeline | None, *, name: str = "by", is_comparable: bool = True
) -> Table:
    """Show each value's cost, share, change and trend, and what they sum to; no change where there is no before."""
    title = found.by.replace("_", " ")
    columns = (
        Column(title.capitalize(), found.by, "name"),
        Column("Cost", "cost_usd", "money"),
        Column("Share as a bar", "share_bar", "bar", keep=2),
        Column("Share", "share", "percent", keep=4),
        *((Column("Change", "change", "change"),) if is_comparable else ()),
        *((Column("Trend", "trend", "trend", keep=3),) if line else ()),
        Column("Requests", "requests", "count", keep=4),
        Column("Per request", "per_request_usd", "money", keep=3),
        Column("Waste", "wasted_cost_usd", "money", keep=2),
    )
    rows = tuple(
        _row(view, found, line, place, is_comparable=is_comparable)
        for place, row in enumerate(found.rows)
        if is_comparable or row.measures.requests
    )
    total: Row = (
        "Total",
        Money.of(found.total),
        *((None,) * 2),
        *((delta(found.total.cost_usd, found.total_before.cost_usd),) if is_comparable else ()),
        *((None,) if line else ()),
        found.total.requests,
        Money.per_request(found.total),
        Money.wasted(found.total),
    )
    note = f"{len(rows)} rows · a click breaks one down" if rows else ""
    return Table(name=name, title=f"By {title}", columns=columns, rows=rows, total=total, note=note)


def _row(view: View, found: Comparison, line: Timeline | None, place: int, *, is_comparable: bool) -> Row:
    row = found.rows[place]
    share = ratio(row.measures.cost_usd, found.total.cost_usd)
    href = "" if row.key == OTHER else drill(view, found.by, row.key)
    trend: tuple[Cell, ...] = (line.spark(row.key),) if line else ()
    return (
        Link(row.key, href, line.look(row.key) if line else ""),
        Money.of(row.measures),
        share,
        share,
        *((delta(row.measures.cost_usd, row.before.cost_usd),) if is_comparable else ()),
        *trend,
        row.measures.requests,
        Money.per_request(row.measures),
        Money.wasted(row.measures),
    )


def _tiles(asked: Asked, found: Comparison, *, is_comparable: bool) -> Iterator[Tile]:
    view, now, before = asked.view, found.total, found.total_before
    customers = active_customers(asked.ledger, period=view.period, now=asked.now, where=view.where)

    def against(figure: Decimal | None, then: Decimal | None) -> Delta | None:
        return delta(figure, then) if is_comparable and figure is not None and then is not None else None

    yield Tile(
        title="Total cost",
        figure=str(Money.of(now)),
        href=view.link("/requests"),
        delta=against(now.cost_usd, before.cost_usd),
        note=f"{count(now.requests)} requests",
    )
    yield Tile(
        title="Per request",
        figure=str(Money.per_request(now)),
        href=view.link("/explore", by="model"),
        delta=against(Money.per_request(now).usd, Money.per_request(before).usd),
        note="whose cost is known",
    )
    each, each_before = ratio(now.cost_usd, customers.count), ratio(before.cost_usd, customers.before)
    yield Tile(
        title="Per active customer",
        figure=str(Money(each, now.is_lower_bound)) if each is not None else "–",
        href=view.link("/customers"),
        delta=against(each, each_before),
        note=f"{count(customers.count)} customers",
    )
    yield Tile(
        title="Waste",
        figure=str(Money.wasted(now)),
        href=view.link("/waste"),
        delta=against(now.wasted_cost_usd, before.wasted_cost_usd),
        note=f"{percent(ratio(now.wasted_cost_usd, now.cost_usd))} of cost: failures and repeats",
    )
    asked_for = now.input_tokens + now.cached_input_tokens + now.cache_write_tokens
    yield Tile(
        title="Saved by caching",
        figure=str(Money(now.cache_savings_usd)),
        href=view.link("/cache"),
        delta=against(now.cache_savings_usd, before.cache_savings_usd),
        worse="down",
        note=f"{percent(ratio(now.cached_input_tokens, asked_for))} of input was cached",
    )
    if "team" not in view.where:
        yield _without_team(asked, found)
    yield _not_known(view, now)


def _not_known(view: View, now: Measures) -> Tile:
    return Tile(
        title="Cost not known",
        figure=count(now.unpriced_requests),
        href=view.link("/requests", price_status="unpriced"),
        note="requests without a price" + (f", {count(now.partial_requests)} in part" if now.partial_requests else ""),
    )


def _without_team(asked: Asked, found: Comparison) -> Tile:
    rows = _by_team(asked, found).rows
    unowned = next((row.measures for row in rows if row.key == UNATTRIBUTED), Measures())
    return Tile(
        title="Without a team",
        figure=str(Money.of(unowned)),
        href=asked.view.link("/requests", team=UNATTRIBUTED),
        note=f"{percent(ratio(unowned.cost_usd, found.total.cost_usd))} of cost",
    )


def _by_team(asked: Asked, found: Comparison) -> Comparison:
    if found.by == "team":
        return found
    where = {**asked.view.where, "team": UNATTRIBUTED}
    return compare(asked.ledger, "team", period=asked.view.period, now=asked.now, where=where)


def _against(found: Comparison, reach: Extent | None, *, is_comparable: bool) -> str:
    if reach is not None and not is_comparable:
        return (
            f"The ledger begins on {reach.first:%Y-%m-%d}, so there is no earlier time as long as this to compare with."
        )
    return f"Compared with {found.before.since} to {found.before_until:%Y-%m-%d %H:%M}, as much time."
