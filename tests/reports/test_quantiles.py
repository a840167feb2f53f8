"""The distribution of costs: close to the exact one, and free of what was taken back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import PICO, Priced
from otel_llmcost.reports import cost_quantiles
from tests.reports.conftest import charges

SINCE, UNTIL = date(2026, 10, 1), date(2026, 12, 1)


def exact(costs: list[int], level: float) -> float:
    """The smallest cost that at least `level` of all costs do not exceed, in USD."""
    ordered = sorted(costs)
    return next(cost for index, cost in enumerate(ordered, start=1) if index >= level * len(ordered)) / PICO


def test_within_one_percent(ledger: Ledger) -> None:
    """
    Median and extremes are within 1 % of the exact ones; the charge that was taken back is not among them.
    """
    found = {each.label: each for each in cost_quantiles(ledger, "model", since=SINCE, until=UNTIL)}
    costs = [
        each.price.cost_picousd
        for each in charges()[1:]
        if isinstance(each.price, Priced) and each.call.model == "model-1"
    ]

    assert found["model-1"].requests == len(costs)
    for level, estimate in zip((0.5, 0.9, 0.99), found["model-1"].quantiles_usd, strict=True):
        assert float(estimate) == pytest.approx(exact(costs, level), rel=0.0101)


def test_filter(ledger: Ledger) -> None:
    """
    A filter by team gives that team's distribution.
    """
    (alone,) = cost_quantiles(ledger, "team", since=SINCE, until=UNTIL, where={"team": "search"})

    assert alone.label == "search"
    assert alone in cost_quantiles(ledger, "team", since=SINCE, until=UNTIL)
    assert all(isinstance(estimate, Decimal) for estimate in alone.quantiles_usd)


def test_unknown_dimension(ledger: Ledger) -> None:
    """
    There is no distribution by customer, and saying so beats an empty answer.
    """
    with pytest.raises(ReportError, match="team, feature, model, day"):
        cost_quantiles(ledger, "customer", since=SINCE, until=UNTIL)
    with pytest.raises(ReportError):
        cost_quantiles(ledger, "team", since=SINCE, until=UNTIL, where={"customer": "acme"})
