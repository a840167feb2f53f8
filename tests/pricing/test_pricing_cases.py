"""58 published totals, computed by exact arithmetic from hand-typed prices: each must come out to the last digit."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otel_llmcost.model import COUNTS, Priced, Unpriced, Usage
from otel_llmcost.pricing import Pricer, arithmetic

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())


def price(case: dict[str, Any]) -> tuple[Usage, Priced | Unpriced]:
    """Price a case as `Pricer.price` is meant to be called."""
    counts = case["usage"]
    usage = Usage(**{name: counts[name] for name in COUNTS if name in counts})
    answer = Pricer.default().price(
        provider=case["provider"],
        model=case["model"],
        usage=usage,
        at=datetime.fromisoformat(case["timestamp"]),
        service_tier=counts["service_tier"],
        batch=counts["batch"],
        attributes=case.get("attributes"),
    )
    return usage, answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case(case):
    """
    A known request costs what its vendor's price list says, and its lines and components sum to that.
    """
    usage, answer = price(case)

    if case["expected_cost_usd"] is None:
        partial = case.get("accept_partial_usd")
        assert isinstance(answer, Unpriced) or (answer.status, answer.cost_usd) == ("partial", Decimal(partial))
        return
    assert isinstance(answer, Priced), answer
    assert Decimal(case["expected_cost_usd"]) == answer.cost_usd
    assert answer.status == "priced"
    assert answer.cost_picousd == sum(cost for _, cost in answer.components)
    assert answer.cost_usd == sum(line.cost_usd for line in arithmetic(answer.rate.content, usage))
