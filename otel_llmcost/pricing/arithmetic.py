"""The arithmetic of a cost, line by line, from a rate's stored content alone: what `explain` and `price` print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

from otel_llmcost.model import COUNTS, PICO, Usage, picousd_text
from otel_llmcost.pricing.compiled import COMPONENT_OF, round_half_even, share_out, without_lone_reasoning
from otel_llmcost.pricing.content import INPUT_COUNTS, MILLION, REQUEST, exact_text, unit_prices

__all__ = ["Line", "arithmetic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`quantity` x `unit_price` = `cost_usd`. `unit_price` is None for a count without a rate, which costs unknown."""

    component: str
    count: str
    quantity: int
    unit_price: str | None
    """USD per `unit`, exact decimal text (or a ratio), discounts and uplifts included."""
    unit: str
    """`per 1M tokens`, `per call` or `per request`."""
    cost_usd: Decimal | None
    tier: int | None = None
    """The total input above which this unit price holds; None below the first tier."""


def arithmetic(content: Mapping[str, Any], usage: Usage) -> list[Line]:
    """
    Give a line per billed count; their costs sum to the cost exactly, to the picodollar.

    Recomputed from the content, in fractions, by none of the code that priced the request: the two must agree.
    """
    quantities = _quantities(content, usage)
    total_input = sum(quantities.get(name, 0) for name in INPUT_COUNTS)
    prices = unit_prices(content, total_input)
    exact = {
        name: prices[name] * PICO * quantity / (MILLION if name.endswith("_tokens") else 1)
        for name, quantity in quantities.items()
        if name in prices
    }
    scale = lcm(1, *(value.denominator for value in exact.values()))
    whole = {name: int(value * scale) for name, value in exact.items()}
    costs = share_out(whole, scale, round_half_even(sum(whole.values()), scale))
    tier = _tier_bound(content, total_input)
    return [_line(name, quantity, prices.get(name), costs.get(name), tier) for name, quantity in quantities.items()]


def _quantities(content: Mapping[str, Any], usage: Usage) -> dict[str, int]:
    quantities = {
        name: count for name, count in zip(COUNTS, without_lone_reasoning(usage.counts), strict=True) if count
    }
    reasoning = quantities.pop("reasoning_tokens", 0)
    if reasoning and "reasoning_tokens" in content["prices"]:  # priced apart from the output that contains it
        quantities["output_tokens"] = quantities.get("output_tokens", 0) - reasoning
        quantities["reasoning_tokens"] = reasoning
    if REQUEST in content["prices"]:
        quantities[REQUEST] = 1
    return quantities


def _tier_bound(content: Mapping[str, Any], total_input: int) -> int | None:
    bounds = (int(tier["above_total_input_tokens"]) for tier in content.get("tiers", ()))
    return max((bound for bound in bounds if total_input > bound), default=None)


def _line(name: str, quantity: int, price: Fraction | None, cost: int | None, tier: int | None) -> Line:
    component = "request" if name == REQUEST else COMPONENT_OF[COUNTS.index(name)]
    unit = "per 1M tokens" if name.endswith("_tokens") else "per request" if name == REQUEST else "per call"
    return Line(
        component=component,
        count=name,
        quantity=quantity,
        unit_price=None if price is None else exact_text(price),
        unit=unit,
        cost_usd=None if cost is None else Decimal(picousd_text(cost)),
        tier=tier,
    )
