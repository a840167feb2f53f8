"""
Why spend changed: the difference of two windows, divided into causes that sum to it exactly.

For each team, feature and model, with n the first attempts that have a cost, c their cost and s what caching saved them,
0 in the window before and 1 now:

```
new      c1 + retries1                 where there was no request before; then nothing else
ended   -c0 - retries0                 where there is no request now; then nothing else
retries  cost of retries and fallbacks now - before
volume   (n1 - n0) x c0 / n0           as many more requests at what one cost before; all of c1 where n0 is 0
cache    (s0 / n0 - s1 / n1) x n1      today's requests, with what caching saved on each before
price    today's tokens at today's unit prices - at those of the window before
tokens   the rest of c1 - c0           longer or shorter requests, and what the others do not see
```

Each is rounded to the picodollar, and `tokens` takes what the rounding leaves. Limits: the unit prices are those below
the first tier, of the list price where a model has several contexts; a rate that changed within an hour counts from its
start; all lifetimes of cache writes have one price; a price is a cause only where the rates of both windows and tokens
of that kind in both are known. A longer prompt that is cached raises `tokens` and lowers `cache`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, cast

from otel_llmcost.model import EXACT, PICO
from otel_llmcost.reports.rate_changes import KnownRate

__all__ = ["ListPrices", "Use", "amounts"]

_TOKENS: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")


@dataclass(slots=True)
class Window:
    """What one cell has in one window: of first attempts cost, savings and tokens; of the others the cost. Picodollars."""

    requests: int = 0
    costed: int = 0
    cost: int = 0
    savings: int = 0
    retries: int = 0
    tokens: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    """(provider, segment of time) -> tokens of each kind."""

    @property
    def total(self) -> int:
        return self.cost + self.retries

    @property
    def is_empty(self) -> bool:
        return not (self.requests or self.cost or self.retries)

    def take(self, row: Mapping[str, object]) -> None:
        self.requests += cast("int", row["requests"])
        if not row["is_initial"]:
            self.retries += _picousd(row["cost_usd"])
            return
        self.costed += cast("int", row["costed_requests"])
        self.cost += _picousd(row["cost_usd"])
        self.savings += _picousd(row["cache_savings_usd"])
        segment = (str(row["provider"]), cast("int", row["segment"]))
        self.tokens[segment] = {count: cast("int", row[count]) for count in _TOKENS}


@dataclass(slots=True)
class Use:
    """One cell in both windows."""

    now: Window = field(default_factory=Window)
    before: Window = field(default_factory=Window)

    def take(self, row: Mapping[str, object]) -> None:
        """Add a row of the query `spend_changes`."""
        (self.before if row["is_before"] else self.now).take(row)


class ListPrices:
    """The unit prices of models whose rate changed, by segments of time: each begins in an hour in which a rate began."""

    def __init__(self, found: Iterable[Sequence[KnownRate]]) -> None:
        by_model: dict[tuple[str, str], list[Sequence[KnownRate]]] = {}
        for chain in found:
            by_model.setdefault((chain[0].provider, chain[0].model), []).append(chain)
        self._chains: dict[tuple[str, str], Sequence[KnownRate]] = {}
        for model, several in by_model.items():
            chosen = [chain for chain in several if not chain[0].context] or several
            if len(chosen) == 1:
                self._chains[model] = chosen[0]
        begun = {_hour(rate.effective_from) for chain in self._chains.values() for rate in chain if rate.effective_from}
        self.hours = sorted(begun)

    def of(self, provider: str, model: str, segment: int) -> Mapping[str, Fraction] | None:
        """Give the unit prices of a model in a segment; None where it has none, or none that changed."""
        begun = [
            rate
            for rate in self._chains.get((provider, model), ())
            if rate.effective_from is None or _hour(rate.effective_from) in self.hours[:segment]
        ]
        return begun[-1].prices() if begun else None


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def amounts(use: Use, model: str, rates: ListPrices) -> dict[str, int]:
    """Divide the change of one team's use of one model for one feature: kind of cause -> picodollars."""
    now, before = use.now, use.before
    if before.is_empty:
        return {"new": now.total}
    if now.is_empty:
        return {"ended": -before.total}
    change = now.cost - before.cost
    found = {"retries": now.retries - before.retries, "volume": change}
    if before.costed > 0:
        found["volume"] = round(Fraction((now.costed - before.costed) * before.cost, before.costed))
        if now.costed > 0:
            found["cache"] = round(Fraction(before.savings * now.costed, before.costed)) - now.savings
            found["price"] = round(_price_effect(use, model, rates))
        found["tokens"] = change - found["volume"] - found.get("cache", 0) - found.get("price", 0)
    return found


def _price_effect(use: Use, model: str, rates: ListPrices) -> Fraction:
    """Today's tokens at today's prices, less the same at the average price of the window before; in picodollars."""
    effect = Fraction(0)
    for provider in {provider for provider, _ in use.now.tokens}:
        windows = [_priced(window, provider, model, rates) for window in (use.now, use.before)]
        for count in _TOKENS:
            (tokens, cost), (tokens_before, cost_before) = (window.get(count, (0, None)) for window in windows)
            if cost is not None and cost_before is not None and tokens_before > 0:
                effect += cost - tokens * cost_before / tokens_before
    return effect * PICO / 10**6


def _priced(window: Window, provider: str, model: str, rates: ListPrices) -> dict[str, tuple[int, Fraction | None]]:
    """Give for each kind of tokens how many there are, and what they cost at unit prices; None: one is not known."""
    sums: dict[str, tuple[int, Fraction | None]] = {}
    for (of, segment), counts in window.tokens.items():
        prices = rates.of(provider, model, segment) if of == provider else None
        for count, tokens in counts.items() if of == provider else ():
            so_far, cost = sums.get(count, (0, Fraction(0)))
            price = None if prices is None else prices.get(count)
            sums[count] = so_far + tokens, None if cost is None or price is None else cost + tokens * price
    return sums


def _picousd(cost: object) -> int:
    return int(cast("Decimal", cost).scaleb(12, EXACT))
