"""
Why a request cost what it cost: its row, its arithmetic, its rate, and every correction since.

A request is a span. Where its row was stored more often than once, the copies are told with it, because the bill has all
of them until a repair takes back all but one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.model import COMPONENTS, COUNTS, EXACT, RateContent, Usage
from otel_llmcost.pricing import Line, arithmetic
from otel_llmcost.reports.money import sum_usd

__all__ = ["COPY", "ExplainedRequest", "explain"]

COPY: Final = "duplicate_copy"
"""Why a second row of one span is taken back, in `llm_adjustments`."""
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRequest:
    """One request that an id names, with everything that is known about its cost."""

    row: Row
    """Its row of `llm_requests`, by column; the best one where there are copies."""
    copies: tuple[Row, ...]
    """Further rows of the same span, which the bill has too."""
    components: tuple[tuple[str, Decimal], ...]
    """(component, USD) as stored, only those not zero; they sum to the row's `cost_usd`."""
    lines: tuple[Line, ...]
    """Every count times its unit price, computed again from the rate's stored content; () without one."""
    rate: RateContent | None
    """None when the request has no rate, or its content has not arrived in `llm_rates` yet."""
    adjustments: tuple[Row, ...]
    """Rows of `llm_adjustments` that correct this request, oldest first."""

    @property
    def agrees(self) -> bool:
        """Whether the arithmetic, where there is any, gives the stored cost to the last digit."""
        return not self.lines or sum_usd(line.cost_usd or Decimal(0) for line in self.lines) == self.row["cost_usd"]

    @property
    def final_cost_usd(self) -> Decimal | None:
        """What the request costs, copies and adjustments included; None when a charge in force has no known cost."""
        charges = self._charges()
        if sum(sign for sign, row in charges if _usd(row) is None):
            return None
        return sum_usd(EXACT.multiply(Decimal(sign), cost) for sign, row in charges if (cost := _usd(row)) is not None)

    @property
    def is_lower_bound(self) -> bool:
        """Whether a charge in force is priced in part."""
        return sum(sign for sign, row in self._charges() if row["price_status"] == "partial") > 0

    def _charges(self) -> list[tuple[int, Row]]:
        """Give its charges with their signs; those that were taken back cancel out."""
        stored = ((1, row) for row in (self.row, *self.copies))
        return [*stored, *((-1 if row["sign"] == -1 else 1, row) for row in self.adjustments)]


def _usd(row: Row) -> Decimal | None:
    cost = row["cost_usd"]
    return cost if isinstance(cost, Decimal) else None


def explain(ledger: Answers, id: str) -> tuple[ExplainedRequest, ...]:  # noqa: A002  # the user's word for it
    """
    Explain every request that `id` names: a request, response, trace or span id; oldest first.

    Raises `ReportError` when it names none, and `LedgerError`.
    """
    rows = ledger.query("explain_requests", {"id": id})
    if not rows:
        raise ReportError(f"no request, response, trace or span is known as {id!r}: see `otel-llmcost requests`")
    adjustments = _adjustments(ledger, rows)
    rates = _rates(ledger, [*rows, *(row for found in adjustments.values() for row in found)])
    spans = groupby(rows, key=itemgetter("trace_id", "span_id"))
    return tuple(_explained(tuple(copies), rates, adjustments) for _, copies in spans)


def _explained(
    rows: tuple[Row, ...], rates: Mapping[str, RateContent], adjustments: Mapping[tuple[str, str], list[Row]]
) -> ExplainedRequest:
    row, *copies = rows
    rate = rates.get(str(row["rate_id"]))
    return ExplainedRequest(
        row=row,
        copies=tuple(copies),
        components=_components(row),
        lines=() if rate is None else tuple(arithmetic(rate.content, _usage(row))),
        rate=rate,
        adjustments=tuple(adjustments.get((str(row["trace_id"]), str(row["span_id"])), ())),
    )


def _adjustments(ledger: Answers, rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    spans = {
        "trace_ids": [str(row["trace_id"]) for row in rows],
        "span_ids": [str(row["span_id"]) for row in rows],
    }
    found: dict[tuple[str, str], list[Row]] = {}
    for row in ledger.query("explain_adjustments", spans):
        found.setdefault((str(row["of_trace_id"]), str(row["of_span_id"])), []).append(row)
    return found


def _rates(ledger: Answers, rows: Sequence[Row]) -> dict[str, RateContent]:
    rate_ids = sorted({str(row["rate_id"]) for row in rows} - {""})
    contents = ledger.query("explain_rates", {"rate_ids": rate_ids}) if rate_ids else []
    return {str(row["rate_id"]): _rate(row) for row in contents}


def _rate(row: Row) -> RateContent:
    texts = {name: str(value) for name, value in row.items() if name != "content"}
    return RateContent(**texts, content=orjson.loads(str(row["content"])))


def _usage(row: Row) -> Usage:
    return Usage(**{name: row[name] for name in COUNTS})  # type: ignore[arg-type]  # columns of these types


def _components(row: Row) -> tuple[tuple[str, Decimal], ...]:
    costs = [(component, row[f"{component}_cost_usd"]) for component in COMPONENTS]
    return tuple((component, cost) for component, cost in costs if isinstance(cost, Decimal) and cost)
