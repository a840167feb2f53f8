"""A stored request worked out line by line, and what it comes to at a number of them a day."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from otel_llmcost.errors import LedgerError
from otel_llmcost.reports import ExplainedRequest
from otel_llmcost.reports.money import usd

__all__ = ["PER_DAY", "work_out"]

PER_DAY: Final = {"demo-openai": 10_000, "demo-anthropic": 2_000}
"""The worked requests by their request id, and how often a day they are taken to happen."""
DAYS: Final = 30

_WORDS: Final = {
    "input_tokens": "fresh input tokens",
    "cached_input_tokens": "cached input tokens",
    "output_tokens": "output tokens",
}


def work_out(request: ExplainedRequest, per_day: int) -> Iterator[str]:
    """Write the arithmetic of a request as the ledger explains it. Raises `LedgerError` when it does not add up."""
    row, cost = request.row, request.final_cost_usd
    if cost is None or not (request.lines and request.agrees):
        raise LedgerError(f"the demo's request {row['request_id']} was stored as {row['price_status']} {row['reason']}")
    yield f"{row['model']} ({row['provider']}), for {row['team']} / {row['feature']} / {row['customer_id']}"
    for line in request.lines:
        price = f"{_usd(line.unit_price)} {line.unit}"
        yield f"  {line.quantity:>7,} {_WORDS[line.count]:<20} x {price:<21} = {_usd(line.cost_usd)}"
    yield f"  {'total':>52} = {usd(cost)}"
    a_day = cost * per_day
    yield f"  {per_day:,} of these a day: {usd(a_day)} a day, {usd(a_day * DAYS)} per {DAYS} days"


def _usd(amount: Decimal | str | None) -> str:
    return "no rate" if amount is None else usd(Decimal(amount))
