"""The rate card that would price what has no price: complete but for the prices, which nobody may guess."""

from __future__ import annotations

import json
from typing import Final

from otel_llmcost.pricing.context import STANDARD
from otel_llmcost.reports.gaps import UnpricedRow

__all__ = ["PRICE", "rate_card"]

PRICE: Final = "PRICE"
"""Stands for a number; `otel-llmcost rates check` refuses a card that still holds it."""
_ANSWERED_BY_A_RATE: Final = frozenset(
    {
        "unknown_provider", "unknown_model", "before_launch", "no_tier_rate", "wildcard_match",
        "no_tool_rate", "no_component_rate",
    }
)  # fmt: skip


def rate_card(row: UnpricedRow) -> str:
    """Write a rate card (YAML) for the charges of a row; "" where no rate could price them."""
    if row.reason not in _ANSWERED_BY_A_RATE or not (row.provider and row.model):
        return ""
    when = _when(row)
    tokens = [name for name in row.counts if name.endswith("_tokens")]
    calls = [name for name in row.counts if name.endswith("_calls")]
    prices = [
        *([f"usd_per_million: {_each(tokens)}"] if tokens else []),
        *([f"usd_per_thousand_calls: {_each(calls)}"] if calls else []),
    ]
    rate = [*([f"when: {when}"] if when else []), *(prices or [f"usd_per_request: {PRICE}"])]
    lines = [f"      {'- ' if number == 0 else '  '}{line}" for number, line in enumerate(rate)]
    return "\n".join(
        [
            "rate_card: our-models",
            "currency: USD",
            "models:",
            f"  - match: {_quoted(row.model)}",
            f"    provider: {_quoted(row.provider)}",
            "    rates:",
            *lines,
        ]
    )


def _when(row: UnpricedRow) -> str:
    parts = [
        f"service_tier: {_quoted(row.service_tier)}" if row.service_tier not in STANDARD else "",
        "batch: true" if row.batch else "",
        f"speed: {_quoted(row.speed)}" if row.speed not in STANDARD else "",
    ]
    written = ", ".join(part for part in parts if part)
    return f"{{{written}}}" if written else ""


def _each(names: list[str]) -> str:
    return f"{{{', '.join(f'{name}: {PRICE}' for name in names)}}}"


def _quoted(text: str) -> str:
    """Write text as YAML reads it back, whatever it holds: JSON is YAML."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
