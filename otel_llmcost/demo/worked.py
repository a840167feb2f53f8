"""A stored request worked out line by line, and what it comes to at a number of them a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, cast

from otel_llmcost.errors import LedgerError
from otel_llmcost.reports import ExplainedRequest
from otel_llmcost.reports.money import usd

__all__ = ["PER_DAY", "work_out"]

PER_DAY: Final = {"demo-openai": 10_000, "demo-anthropic": 2_000}
"""The worked requests by their request id, and how often a day they are taken to happen."""
DAYS: Final = 30

_COUNTS: Final = {
    "input": ("input_tokens", "fresh input tokens"),
    "cached_input": ("cached_input_tokens", "cached input tokens"),
    "output": ("output_tokens", "output tokens"),
}
"""The one count behind each part of the worked requests' cost."""


def work_out(request: ExplainedRequest, per_day: int) -> Iterator[str]:
    """Write the arithmetic of a request with the ledger's own numbers: nothing here is priced again."""
    row, cost = request.row, request.final_cost_usd
    if cost is None or request.rate is None:
        raise LedgerError(f"the demo's request {row['request_id']} was stored without a price: {row['reason']}")
    prices = cast("Mapping[str, str]", request.rate.content["prices"])
    yield f"{row['model']} ({row['provider']}), for {row['team']} / {row['feature']} / {row['customer_id']}"
    for line in request.lines:
        count, words = _COUNTS[line.component]
        price = f"{usd(Decimal(prices[count]))} per 1M"
        yield f"  {row[count]:>7,} {words:<20} x {price:<15} = {usd(line.cost_usd)}"
    yield f"  {'total':>46} = {usd(cost)}"
    a_day = cost * per_day
    yield f"  {per_day:,} of these a day: {usd(a_day)} a day, {usd(a_day * DAYS)} per {DAYS} days"
