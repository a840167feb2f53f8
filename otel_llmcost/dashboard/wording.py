"""How figures are said on a page: money with its bounds, changes, shares. Exact values go to CSV, these to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

from otel_llmcost.model import EXACT
from otel_llmcost.reports import Measures
from otel_llmcost.reports.money import ratio, usd

__all__ = ["REASONS", "UNKNOWN", "Delta", "Money", "count", "delta", "percent", "price", "ratio"]

UNKNOWN: Final = "unknown"
REASONS: Final[Mapping[str, str]] = {
    "unknown_provider": "no rate card has its provider",
    "unknown_model": "no rate card has its model",
    "before_launch": "it is older than the first rate of its model",
    "no_tier_rate": "its service tier has no rate",
    "wildcard_match": "only a pattern fits its model, which is not enough for a price",
    "invalid_usage": "its counts contradict each other",
    "no_usage": "nobody reported its usage",
    "prices_not_loaded": "it ended before the prices were loaded",
    "no_tool_rate": "its tool calls have no rate",
    "no_component_rate": "some of its counts have no rate",
    "output_unknown": "its stream was abandoned, and nobody knows what was billed for its output",
    "input_unknown": "its answer is known, and nobody reported its input",
}
"""Why the cost of a request is not known, or not wholly, in words."""
_TENTH: Final = Decimal("0.1")
_CENT: Final = Decimal("0.01")
_MUCH: Final = Decimal(10)
_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Money:
    """US dollars on a page: exact, and either known, a bound, or (None) unknown."""

    usd: Decimal | None
    is_lower_bound: bool = False
    is_unit: bool = False
    """The cost of one of something: with the digits that count. A sum has cents."""
    is_upper_bound: bool = False
    """What is left after a cost that is a lower bound."""

    @classmethod
    def of(cls, measures: Measures) -> Money:
        """Give the cost of a group: unknown where none of its requests has a price."""
        if (
            measures.unpriced_requests
            and measures.unpriced_requests + measures.failed_without_usage >= measures.requests
        ):
            return cls(None)
        return cls(measures.cost_usd, measures.is_lower_bound)

    @classmethod
    def per_request(cls, measures: Measures) -> Money:
        """Give the cost of a request whose cost is known, at least in part."""
        known = measures.requests - measures.unpriced_requests - measures.failed_without_usage
        return cls(ratio(measures.cost_usd, known), measures.partial_requests > 0, is_unit=True)

    @classmethod
    def wasted(cls, measures: Measures) -> Money:
        """Give the waste of a group: at least so much where the cost of some of its requests is not known."""
        return cls(measures.wasted_cost_usd, measures.is_lower_bound)

    def __str__(self) -> str:
        if self.usd is None:
            return UNKNOWN
        text = usd(self.usd) if self.is_unit or abs(self.usd) < _CENT else _cents(self.usd)
        sign = "≥" if self.is_lower_bound else "≤" if self.is_upper_bound else ""
        return f"{sign}{_NARROW_SPACE}{text}" if sign else text


def _cents(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else ''}${EXACT.quantize(amount.copy_abs(), _CENT):,f}"


def count(number: int) -> str:
    """Write a count with thousands apart."""
    return f"{number:,}"


def price(text: str) -> str:
    """Write the exact text of a price in US dollars, with cents at least: `$2.50`, `$0.075`, `$4/9`."""
    whole, _, rest = text.partition(".")
    return f"${text}" if "/" in text else f"${whole}.{rest.ljust(2, '0')}"


def percent(share: Decimal | None) -> str:
    """Write a share of 1 as percent, `28.3%`; a dash for none."""
    if share is None:
        return "–"
    return f"{EXACT.multiply(share, Decimal(100)).quantize(_TENTH, ROUND_HALF_EVEN):,f}%"


@dataclass(frozen=True, slots=True)
class Delta:
    """A change, as words; `direction` says it again without colour."""

    text: str
    direction: Literal["up", "down", "same"]
    share: Decimal | None
    """(now - before) / before; None where there is no before."""

    @property
    def sign(self) -> str:
        """The arrow."""
        return {"up": "▲", "down": "▼", "same": ""}[self.direction]


def delta(now: Decimal, before: Decimal) -> Delta:
    """Compare two figures: percent, a multiple where percent says nothing any more, or `new`."""
    if now == before:
        return Delta("no change", "same", None if not before else Decimal(0))
    direction: Literal["up", "down"] = "up" if now > before else "down"
    if before <= 0:
        return Delta("new", "up", None)
    times = EXACT.divide(now, before)
    if times >= _MUCH:
        return Delta(f"{times.quantize(Decimal(1), ROUND_HALF_EVEN):f}×", direction, times - 1)
    return Delta(percent(abs(times - 1)), direction, times - 1)
