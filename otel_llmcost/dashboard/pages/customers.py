"""What each customer costs: how much, how that changes, who is new, who is gone, and how few make most of it."""

from __future__ import annotations

from collections.abc import Iterator

from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.series import Timeline, timeline
from otel_llmcost.dashboard.tables import Cell, Column, Link, Linked, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Money, count, delta, percent, ratio
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports import Comparison, Measures, compare
from otel_llmcost.reports.customers import CustomersSeen, customers_seen
from otel_llmcost.reports.extent import extent
from otel_llmcost.reports.spend import OTHER

__all__ = ["build"]

_ROWS = 50
_FEW = 5
_GONE = 10


def build(asked: Asked) -> Page:
    """Build the page."""
    view = asked.view
    found = compare(asked.ledger, "customer", period=view.period, now=asked.now, where=view.where, top=_ROWS)
    if not found.total.requests and not found.total_before.requests:
        return empty_page(asked, "Customers")
    names = [row.key for row in found.rows if row.key not in (OTHER, UNATTRIBUTED)]
    seen = customers_seen(asked.ledger, names, period=view.period, before=found.before, where=view.where, gone=_GONE)
    reach = extent(asked.ledger)
    is_comparable = reach is not None and reach.first.date() <= found.before.since
    line = timeline(asked, "customer", top=_ROWS)
    links = {key: _within(view, key) for key in line.values if key != OTHER}
    tables = [_table(view, found, seen, line, is_comparable=is_comparable)]
    if seen.most_gone:
        tables.append(_gone_table(view, found, seen))
    context = {
        "tiles": tuple(_tiles(view, found, seen, is_comparable=is_comparable)),
        "chart": line.chart(asked, name="customers", title=f"Cost by customer and {view.bucket}", links=links),
        "fixed_customer": "customer" in view.where,
        "begins": "" if is_comparable or reach is None else reach.first.date().isoformat(),
    }
    return Page(title="Customers", template="customers.html", context=context, tables=tuple(tables))


def _within(view: View, key: str) -> str:
    """Link to the overview of one customer."""
    return view.link("/", by="feature" if "feature" not in view.where else "model", customer=key)


def _tiles(view: View, found: Comparison, seen: CustomersSeen, *, is_comparable: bool) -> Iterator[Tile]:
    named = [row.measures for row in found.rows if row.key not in (OTHER, UNATTRIBUTED)]  # most costly first
    few = sum(named[:_FEW], Measures())
    yield Tile(
        title="Cost",
        figure=str(Money.of(found.total)),
        href=view.link("/requests"),
        delta=delta(found.total.cost_usd, found.total_before.cost_usd) if is_comparable else None,
        note=f"{count(found.total.requests)} requests",
    )
    if len(named) > _FEW:
        yield Tile(
            title=f"The {_FEW} that cost most",
            figure=percent(ratio(few.cost_usd, found.total.cost_usd)),
            href="#customers",
            note=f"of the cost: {Money.of(few)}",
        )
    if is_comparable:
        yield Tile(title="New", figure=count(seen.new), href="#customers", note="first request ever in this period")
        yield Tile(
            title="Gone",
            figure=count(seen.gone),
            href="#gone" if seen.most_gone else "#customers",
            note=f"requests from {found.before.since} to {found.before.last}, none in this period",
        )
    if "customer" not in view.where:
        unowned = next((row.measures for row in found.rows if row.key == UNATTRIBUTED), Measures())
        yield Tile(
            title="Without a customer",
            figure=str(Money.of(unowned)),
            href=view.link("/requests", customer=UNATTRIBUTED),
            note=f"{percent(ratio(unowned.cost_usd, found.total.cost_usd))} of the cost",
        )


def _table(view: View, found: Comparison, seen: CustomersSeen, line: Timeline, *, is_comparable: bool) -> Table:
    columns = (
        Column("Customer", "customer", "name"),
        Column("Cost", "cost_usd", "money"),
        Column("Share", "share", "percent", keep=4),
        *((Column("Change", "change", "change"),) if is_comparable else ()),
        Column("Trend", "trend", "trend", keep=3),
        Column("Requests", "requests", "count", keep=4),
        Column("Per request", "per_request_usd", "money", keep=3),
        Column("Waste", "wasted_cost_usd", "money", keep=2),
        Column("Saved by caching", "cache_savings_usd", "money", keep=2),
        Column("First seen", "first_day", keep=2),
    )

    def row(first: Cell, now: Measures, before: Measures, trend: Cell, day: str, href: str) -> Row:
        return (
            first,
            Linked(Money.of(now), href),
            ratio(now.cost_usd, found.total.cost_usd),
            *((delta(now.cost_usd, before.cost_usd),) if is_comparable else ()),
            trend,
            Linked(now.requests, href),
            Money.per_request(now),
            Money.wasted(now),
            Money(now.cache_savings_usd),
            day,
        )

    rows = []
    for each in found.rows:
        if not each.measures.requests and not each.measures.cost_usd:
            continue
        is_one = each.key != OTHER
        name = Link(each.key, _within(view, each.key) if is_one else "", line.look(each.key))
        first = _first(seen, each.key, found) if is_comparable else _day(seen, each.key)
        href = view.link("/requests", customer=each.key) if is_one else ""
        rows.append(row(name, each.measures, each.before, line.spark(each.key), first, href))
    return Table(
        name="customers",
        title="By customer",
        columns=columns,
        rows=rows,
        total=row("Total", found.total, found.total_before, None, "", view.link("/requests")),
        note=f"up to {_ROWS} that cost most · a name opens its overview, a figure its requests",
        empty="No customer had requests in this period.",
    )


def _day(seen: CustomersSeen, key: str) -> str:
    return seen.named[key].first_day.isoformat() if key in seen.named else ""


def _first(seen: CustomersSeen, key: str, found: Comparison) -> str:
    day = _day(seen, key)
    return f"{day}, new" if day and seen.named[key].first_day >= found.period.since else day


def _gone_table(view: View, found: Comparison, seen: CustomersSeen) -> Table:
    columns = (
        Column("Customer", "customer", "name"),
        Column("Cost before", "before_usd", "money"),
        Column("Requests before", "before_requests", "count", keep=4),
        Column("First seen", "first_day", keep=4),
        Column("Last seen", "last_day"),
    )
    since, until = found.before.since.isoformat(), found.before.until.isoformat()
    rows = [
        (
            Link(each.customer_id, view.link("/customers", since=since, until=until, customer=each.customer_id)),
            Linked(Money(each.before_usd), view.link("/requests", since=since, until=until, customer=each.customer_id)),
            each.before_requests,
            each.first_day.isoformat(),
            each.last_day.isoformat(),
        )
        for each in seen.most_gone
    ]
    return Table(
        name="gone",
        title="Gone",
        columns=columns,
        rows=rows,
        note=f"requests from {found.before.since} to {found.before.last}, none since · up to {_GONE} that cost most",
    )
