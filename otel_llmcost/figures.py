"""
The figures of a request as rows and attributes both write them: counts by name, amounts as text.

The last answers are kept: a row and the attributes of its span are made one after the other, so each figure is made once
for both. Each is kept by one assignment of one tuple, so threads that meet here only make a figure again.
"""

from __future__ import annotations

from typing import TypeAlias

from otel_llmcost.model import COUNTS, Priced, Usage, picousd_text

__all__ = ["amount_texts", "reported_counts"]

_Counts: TypeAlias = tuple[tuple[str, int], ...]
_counts_told: tuple[Usage | None, _Counts] = (None, ())


def reported_counts(usage: Usage) -> _Counts:
    """Give (name, count) of each count that was reported, in the order of `COUNTS`."""
    global _counts_told
    told, counts = _counts_told
    if told is not usage:
        counts = tuple([(COUNTS[place], count) for place, count in enumerate(usage.counts) if count is not None])
        _counts_told = usage, counts
    return counts


_Amounts: TypeAlias = tuple[str, str, str, tuple[tuple[str, str], ...]]
_amounts_told: tuple[Priced | None, _Amounts] = (None, ("", "", "", ()))


def amount_texts(price: Priced) -> _Amounts:
    """
    Give the amounts of a price as decimal text: cost, list cost ("" where it is the cost), savings ("" for none), and
    the components.
    """
    global _amounts_told
    told, amounts = _amounts_told
    if told is not price:
        cost, listed, savings = price.cost_picousd, price.list_cost_picousd, price.cache_savings_picousd
        amounts = (
            picousd_text(cost),
            picousd_text(listed) if listed != cost else "",
            picousd_text(savings) if savings else "",
            tuple([(component, picousd_text(picousd)) for component, picousd in price.components]),
        )
        _amounts_told = price, amounts
    return amounts
