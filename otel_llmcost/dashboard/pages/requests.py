"""The rows behind every figure: charges one by one, newest or most costly first, a page at a time, with their sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from otel_llmcost.dashboard.page import Asked, Crumb, Page
from otel_llmcost.dashboard.tables import Cell, Column, Link, Linked, Row, Table
from otel_llmcost.dashboard.view import FILTERS, View
from otel_llmcost.dashboard.wording import REASONS, Money
from otel_llmcost.errors import ReportError
from otel_llmcost.model import NONE
from otel_llmcost.reports import RequestRow, requests
from otel_llmcost.reports.requests import SORTS, Cursor, Facts, Sort, total

__all__ = ["build", "request_link"]

_ROWS: Final = 50
_TEXT_FACTS: Final = ("error_type", "reason", "action_id", "gap", "rate_id")
_FACT_NAMES: Final = {
    "error_type": "error type",
    "reason": "price reason",
    "action_id": "action id",
    "gap": "may hide",
    "rate_id": "rate",
    "hour": "hour (UTC)",
}
_SORT_NAMES: Final = {"time": "Newest first", "cost": "Most costly first"}


def build(asked: Asked) -> Page:
    """Build the list."""
    view = asked.view
    sort: Sort = "cost" if view.word("sort", SORTS, "time") == "cost" else "time"
    facts = _facts(view)
    after = Cursor.read(view.words["after"]) if "after" in view.words else None
    since, until = view.period.since, view.period.until
    found = requests(
        asked.ledger, since=since, until=until, where=view.where, limit=_ROWS + 1, sort=sort, facts=facts, after=after
    )
    rows = found[:_ROWS]
    older = view.link(after=str(Cursor.behind(rows, sort, after))) if len(found) > _ROWS else ""
    sums = total(asked.ledger, since=since, until=until, where=view.where, facts=facts)
    context = {
        "sums": sums,
        "cost": Money.of(sums),
        "facts": tuple(_chips(view)),
        "sorts": [(name, view.link(sort=name), name == sort) for name in SORTS],
        "sort_names": _SORT_NAMES,
        "choices": FILTERS,
        "first": view.link(after=None) if after else "",
        "older": older,
    }
    return Page(title="Requests", template="requests.html", context=context, tables=(_table(view, rows, sort, after),))


def request_link(view: View, row: RequestRow) -> str:
    """Link to the page of one request: of a correction to the request that it corrects."""
    return view.link(f"/requests/{row.of_trace_id}/{row.of_span_id}")


def _facts(view: View) -> Facts:
    texts = {name: view.words[name] for name in _TEXT_FACTS if name in view.words}
    if texts.get("rate_id") == NONE:
        texts["rate_id"] = ""
    wasted = view.word("wasted", ("0", "1"), "0") == "1"
    return Facts(wasted=wasted, hour=_hour(view.words["hour"]) if "hour" in view.words else None, **texts)


def _hour(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(minute=0, tzinfo=UTC)
    except ValueError:
        raise ReportError(f"hour={text[:40]} is no hour: write it as 2026-10-01 14:00, UTC") from None


def _chips(view: View) -> Iterator[Crumb]:
    """Give what narrows the list besides filters, each with a link that takes it away."""
    if view.words.get("wasted") == "1":
        yield Crumb("wasted only", view.link(wasted=None))
    for name in ("hour", *_TEXT_FACTS):
        if name in view.words:
            yield Crumb(f"{_FACT_NAMES[name]}: {view.words[name]}", view.link(**{name: None}))


def _table(view: View, rows: Sequence[RequestRow], sort: Sort, after: Cursor | None) -> Table:
    has_prices = any(row.price_status != "priced" for row in rows)
    has_corrections = any(row.adjustment_reason for row in rows)
    has_actions = any(row.action != NONE for row in rows)
    columns = (
        Column("Time (UTC)", "timestamp", "instant"),
        Column("Cost", "cost_usd", "exact"),
        *((Column("Price", "price_status", "status", keep=4),) if has_prices else ()),
        *((Column("Why", "reason", keep=3),) if has_prices else ()),
        *((Column("Correction", "adjustment_reason"),) if has_corrections else ()),
        Column("Model", "model"),
        Column("Team", "team", keep=4),
        Column("Feature", "feature", keep=4),
        Column("Customer", "customer_id", keep=4),
        *((Column("Action", "action", keep=2),) if has_actions else ()),
        Column("Status", "status", "status", keep=6),
        Column("Attempt", "attempt", keep=3),
        Column("Fresh in", "input_tokens", "count", keep=3),
        Column("Cached", "cached_input_tokens", "count", keep=2),
        Column("Written", "cache_write_tokens", "count", keep=2),
        Column("Out", "output_tokens", "count", keep=3),
        Column("Request", "request_id", "id", keep=1),
    )
    cells = tuple(
        tuple(_row(view, row, prices=has_prices, corrections=has_corrections, actions=has_actions)) for row in rows
    )
    place = "" if after is None else ", continued"
    return Table(
        name="requests",
        title=f"{_SORT_NAMES[sort]}{place}",
        columns=columns,
        rows=cells,
        note="a time opens its arithmetic · the CSV has these rows, `otel-llmcost requests --format csv` all",
        empty="No request matches: take a filter away, or look at a longer period.",
    )


def _row(view: View, row: RequestRow, *, prices: bool, corrections: bool, actions: bool) -> Row:
    is_bound = row.price_status == "partial" and row.sign == 1
    price: tuple[Cell, ...] = (row.price_status, REASONS.get(row.reason, row.reason)) if prices else ()
    written = [row.cache_write_tokens, row.cache_write_1h_tokens, row.cache_write_12h_tokens]
    known = [count for count in written if count is not None]
    return (
        Linked(row.timestamp, request_link(view, row)),
        Money(row.cost_usd, is_bound),
        *price,
        *((_correction(row),) if corrections else ()),
        Link(row.model, view.link(model=row.model)),
        Link(row.team, view.link(team=row.team)),
        Link(row.feature, view.link(feature=row.feature)),
        Link(row.customer_id, view.link(customer=row.customer_id)),
        *((row.action if row.action != NONE else "",) if actions else ()),
        row.status,
        "" if row.attempt_kind == "initial" else f"{row.attempt_kind} {row.attempt}{', wasted' if row.wasted else ''}",
        row.input_tokens,
        row.cached_input_tokens,
        sum(known) if known else None,
        row.output_tokens,
        Link(row.request_id, f"/requests/{quote(row.request_id, safe='')}"),
    )


def _correction(row: RequestRow) -> str:
    if not row.adjustment_reason:
        return ""
    return f"{'taken back' if row.sign == -1 else 'added'}: {row.adjustment_reason.replace('_', ' ')}"
