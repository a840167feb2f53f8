"""One picture of what is being spent: sums, the values that cost most, the newest requests, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otel_llmcost.cli._output import Column, fit_table
from otel_llmcost.cli._text import printable, spark
from otel_llmcost.reports import Measures, RequestRow
from otel_llmcost.reports.lately import Lately, LatelyRow
from otel_llmcost.reports.money import share, usd

__all__ = ["Frame", "draw", "request_cost", "spend_cost"]

_TENTH: Final = Decimal("0.1")
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Frame:
    """The lines, and which of them are headings."""

    lines: tuple[str, ...]
    headings: frozenset[int]


def draw(found: Lately, newest: Sequence[RequestRow], *, place: str, width: int) -> Frame:
    """Draw what was found in so many columns."""
    window = found.window
    until = f"{window.now:%H:%M:%S}" if window.now.date() == window.since.date() else f"{window.now:%Y-%m-%d %H:%M:%S}"
    title = f"LLM cost by {found.by}, {window.since:%Y-%m-%d %H:%M} to {until} UTC, {place}"
    lines = [title, *_sums(found.total, width), ""]
    headings = {0, len(lines)}
    if found.rows:
        rows = [_row(row, found.total) for row in (*found.rows, found.total)]
        table, _ = fit_table(_columns(found), rows, width)
        lines += table
    else:
        lines.append("Nothing was spent in this time: what `otel-llmcost doctor` says may tell why.")
    if newest:
        lines.append("")
        headings.add(len(lines))
        lines += fit_table(_NEWEST, [_request(row) for row in newest], width)[0]
    return Frame(tuple(map(printable, lines)), frozenset(headings))


def spend_cost(measures: Measures) -> str:
    """Write the cost of a group of charges: unknown, a lower bound, or exact."""
    if measures.unpriced_requests > 0 and not measures.cost_usd:
        return "not known"
    return f"≥ {usd(measures.cost_usd)}" if measures.is_lower_bound else usd(measures.cost_usd)


def request_cost(row: RequestRow) -> str:
    """Write the cost of a charge, or why it is not known."""
    if row.cost_usd is None:
        return row.reason or "not known"
    is_lower_bound = row.price_status == "partial" and row.sign == 1
    return f"≥ {usd(row.cost_usd)}" if is_lower_bound else usd(row.cost_usd)


def _sums(total: LatelyRow, width: int) -> list[str]:
    measures = total.measures
    said = [
        f"cost {spend_cost(measures)}",
        f"{measures.requests:,} requests",
        f"now {usd(total.usd_per_minute)} and {total.requests_per_minute.quantize(_TENTH)} requests a minute",
    ]
    if measures.wasted_cost_usd:
        said.append(f"wasted {share(measures.wasted_cost_usd, measures.cost_usd)}")
    if measures.unpriced_requests:
        said.append(f"{measures.unpriced_requests:,} of unknown cost, in no sum")
    lines = [""]
    for part in said:
        joined = f"{lines[-1]}; {part}" if lines[-1] else part
        lines[-1:] = [joined] if len(joined) <= width else [lines[-1], part]
    return [line[0].upper() + line[1:] for line in lines if line]


def _columns(found: Lately) -> list[Column]:
    seconds = found.window.step_seconds
    each = next(f"{seconds // unit} {name}" for unit, name in _UNITS if seconds % unit == 0)
    return [
        Column(found.by.replace("_", " ").capitalize()),
        Column("Cost", right=True),
        Column("Share", right=True, keep=4),
        Column("Cost/min", right=True, keep=7),
        Column("Requests", right=True, keep=6),
        Column("Requests/min", right=True, keep=3),
        Column("Wasted", right=True, keep=2),
        Column(f"By {each}", keep=5),
    ]


def _row(row: LatelyRow, total: LatelyRow) -> list[str]:
    return [
        "Total" if row is total else row.key,
        spend_cost(row.measures),
        share(row.measures.cost_usd, total.measures.cost_usd),
        usd(row.usd_per_minute),
        f"{row.measures.requests:,}",
        f"{row.requests_per_minute.quantize(_TENTH)}",
        share(row.measures.wasted_cost_usd, row.measures.cost_usd),
        spark(row.steps),
    ]


_NEWEST: Final = (
    Column("Newest", whole=True),
    Column("Team", keep=6),
    Column("Feature", keep=5),
    Column("Customer", keep=7),
    Column("Model", keep=4),
    Column("Status", keep=3),
    Column("Cost", right=True),
    Column("Span ID", keep=2, whole=True),
)


def _request(row: RequestRow) -> list[str]:
    return [
        f"{row.timestamp:%H:%M:%S}",
        row.team,
        row.feature,
        row.customer_id,
        row.model,
        row.status if row.attempt_kind == "initial" else f"{row.status} ({row.attempt_kind})",
        request_cost(row),
        row.span_id,
    ]
