"""One request: every count times its unit price, the price's source and date, and what was corrected since."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from urllib.parse import quote, urlsplit

from otel_llmcost.dashboard.page import Asked, Page
from otel_llmcost.dashboard.tables import Column, Link, Linked, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import REASONS, Money, price
from otel_llmcost.doctor.remedies import GAPS
from otel_llmcost.errors import ReportError
from otel_llmcost.model import RateContent
from otel_llmcost.pricing import Line
from otel_llmcost.reports import ExplainedRequest, explain, sentences
from otel_llmcost.reports.dimensions import column_of

__all__ = ["arithmetic_table", "build"]

_SPAN: Final = re.compile(r"([0-9a-f]{32})/([0-9a-f]{16})")
_MOST: Final = 200
"""Requests of one trace that are listed."""


def build(asked: Asked) -> Page:
    """Build the page of the request, or of the requests, that an id names."""
    found = _find(asked, asked.parts["id"])
    if len(found) > 1:
        context = {"said": sentences.together(found), "more": max(0, len(found) - _MOST)}
        return Page(
            title="Requests of one id",
            template="request_many.html",
            context=context,
            tables=(_list(asked.view, found),),
        )
    (each,) = found
    agrees = sentences.AGREES if each.agrees else ""
    tables = [arithmetic_table(each.lines, _money(each.row), note=agrees)] if each.lines else []
    if each.adjustments:
        tables.append(_adjustments(each))
    context = {
        "id": str(each.row["request_id"]),
        "cost": _money(each.row),
        "final": Money(each.final_cost_usd, each.is_lower_bound),
        "row": each.row,
        "why": _why(each.row),
        "disagrees": "" if each.agrees else sentences.DISAGREES,
        "facts": [(name, text) for name, text in sentences.facts(each) if text and name not in _ELSEWHERE],
        "rate": None if each.rate is None else _rate(each.rate),
        "gaps": [(gap, GAPS[gap].effect if gap in GAPS else "") for gap in _names(each.row["usage_gaps"])],
        "copies": tuple(sentences.copies(each)),
        "trace": _trace_link(asked.house.trace_link, each.row),
        "same_trace": asked.view.link(f"/requests/{each.row['trace_id']}"),
    }
    return Page(title="Request", template="request.html", context=context, tables=tuple(tables))


def arithmetic_table(
    lines: Sequence[Line],
    total: Money,
    *,
    name: str = "arithmetic",
    title: str = "Arithmetic",
    note: str = "",
    has_csv: bool = True,
) -> Table:
    """Show every count times its unit price, and what they sum to."""
    columns = (
        Column("Count", "count", "name"),
        Column("Quantity", "quantity", "count"),
        Column("Unit price", "unit_price", "text"),
        Column("Cost", "cost_usd", "exact"),
    )
    rows: list[Row] = [
        (line.count.replace("_", " "), line.quantity, _price(line), Money(line.cost_usd)) for line in lines
    ]
    return Table(
        name=name,
        title=title,
        columns=columns,
        rows=rows,
        total=("Total", None, None, total),
        note=note,
        has_csv=has_csv,
    )


_ELSEWHERE: Final = ("rate", "usage", "price")
"""What this page says in a place of its own."""


def _find(asked: Asked, id: str) -> tuple[ExplainedRequest, ...]:  # noqa: A002  # the user's word for it
    """Find what an id names, of what may be seen here. Raises `ReportError`, the same for what is another team's."""
    span = _SPAN.fullmatch(id)
    try:
        found = explain(asked.ledger, span[2] if span else id)
    except ReportError:
        found = ()
    if span:
        found = tuple(each for each in found if each.row["trace_id"] == span[1])
    if fixed := asked.house.fixed:
        found = tuple(each for each in found if _belongs(each, fixed))
    if not found:
        whose = "".join(f" of {name} {value}" for name, value in fixed.items())
        raise ReportError(f"no request{whose} is known as {id[:80]!r}, by any of its ids")
    return found


def _belongs(found: ExplainedRequest, fixed: Mapping[str, str]) -> bool:
    """Tell whether a request and all that corrects it is within what this server shows."""
    rows = (found.row, *found.copies, *found.adjustments)
    return all(row[column_of(name)] == value for row in rows for name, value in fixed.items())


def _price(line: Line) -> str:
    if line.unit_price is None:
        return "no rate"
    per = {"per 1M": "/ 1M", "per call": "a call", "per request": "a request"}
    unit, comma, tier = sentences.unit(line).partition(", ")
    return f"× {price(line.unit_price)} {per.get(unit, unit)}{comma}{tier}"


def _money(row: Mapping[str, object]) -> Money:
    cost = row["cost_usd"]
    is_bound = row["price_status"] == "partial" and row.get("sign", 1) == 1
    return Money(cost if isinstance(cost, Decimal) else None, is_bound, is_unit=True)


def _why(row: Mapping[str, object]) -> str:
    """Say why a cost is not known, or not wholly."""
    reason, missing = str(row["reason"]), _names(row["missing_rates"])
    said = [REASONS.get(reason, reason.replace("_", " ")), str(row["detail"])]
    said.append(f"no rate for {', '.join(missing)}" if missing else "")
    return "; ".join(text for text in said if text)


def _rate(rate: RateContent) -> list[tuple[str, str, str]]:
    """Give (what, words, link) of a rate."""
    source, checked = str(rate.content.get("source") or ""), str(rate.content.get("checked") or "")
    return [
        ("Rate", rate.rate_id, ""),
        ("From", f"{rate.source} {rate.version}", ""),
        ("In force", f"{rate.effective_from or 'launch'} to {rate.effective_to or 'now'}", ""),
        *([("Published at", source, source if _is_web(source) else "")] if source else []),
        *([("Checked", checked, "")] if checked else []),
    ]


def _trace_link(template: str, row: Mapping[str, object]) -> str:
    """Fill the link to a trace elsewhere; "" where there is none, or where it is no address of the web."""
    link = template
    for name in ("trace_id", "span_id"):
        link = link.replace(f"{{{name}}}", quote(str(row[name]), safe=""))
    return link if _is_web(link) else ""


def _is_web(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _list(view: View, found: Sequence[ExplainedRequest]) -> Table:
    columns = (
        Column("Time (UTC)", "timestamp", "instant"),
        Column("Cost", "cost_usd", "exact"),
        Column("Model", "model"),
        Column("Team", "team", keep=4),
        Column("Feature", "feature", keep=4),
        Column("Customer", "customer_id", keep=4),
        Column("Status", "status", "status"),
        Column("Response", "response_id", "id", keep=2),
        Column("Span", "span_id", "id", keep=2),
    )
    return Table(
        name="requests", title="Oldest first", columns=columns, rows=[_item(view, each) for each in found[:_MOST]]
    )


def _item(view: View, found: ExplainedRequest) -> Row:
    row = found.row
    href = view.link(f"/requests/{row['trace_id']}/{row['span_id']}")
    texts = [str(row[name]) for name in ("model", "team", "feature", "customer_id", "status", "response_id", "span_id")]
    final = Money(found.final_cost_usd, found.is_lower_bound)
    at = row["timestamp"]
    return (Linked(at, href) if isinstance(at, datetime) else Link(str(at), href), final, *texts)


def _adjustments(found: ExplainedRequest) -> Table:
    columns = (
        Column("Corrected (UTC)", "adjusted_at", "instant"),
        Column("Change", "sign"),
        Column("Cost", "cost_usd", "exact"),
        Column("Because of", "adjustment_reason"),
        Column("Team", "team", keep=4),
        Column("Feature", "feature", keep=4),
        Column("Customer", "customer_id", keep=4),
        Column("Rate", "rate_id", "id", keep=3),
    )
    rows = tuple(_correction(row) for row in found.adjustments)
    total = (None, "in the end", Money(found.final_cost_usd, found.is_lower_bound), *((None,) * 5))
    return Table(name="adjustments", title="Corrected since", columns=columns, rows=rows, total=total)


def _correction(row: Mapping[str, object]) -> Row:
    at, money = row["adjusted_at"], _money(row)
    is_back = row["sign"] == -1
    return (
        at if isinstance(at, datetime) else str(at),
        "taken back" if is_back else "added",
        Money(money.usd.copy_negate() if is_back and money.usd is not None else money.usd, money.is_lower_bound),
        str(row["adjustment_reason"]).replace("_", " "),
        *(str(row[name]) for name in ("team", "feature", "customer_id", "rate_id")),
    )


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []
