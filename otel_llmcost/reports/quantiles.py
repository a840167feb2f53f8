"""How the cost of one request is distributed: the price of a typical request, and of an expensive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports.period import Period

__all__ = ["LEVELS", "Quantiles", "cost_quantiles"]

LEVELS: Final = (0.5, 0.9, 0.99)
_BY: Final = ("team", "feature", "model", "day")
_WHERE: Final = ("team", "feature", "model")


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The distribution of one group's costs."""

    label: str
    requests: int
    """Those with a known cost."""
    quantiles_usd: tuple[Decimal, ...]
    """One for each level asked for: an estimate within 1 %, never part of a sum."""


def cost_quantiles(
    ledger: Answers,
    by: str,
    *,
    since: date,
    until: date,
    where: Mapping[str, str] | None = None,
    levels: Sequence[float] = LEVELS,
) -> tuple[Quantiles, ...]:
    """
    Give the cost of a request at each level (0.5 is the median), by team, feature, model or day, in [since, until).

    Raises `ReportError` for what does not exist, and `LedgerError`.
    """
    filters = where or {}
    if unknown := [name for name in (by, *filters) if name not in (_BY if name == by else _WHERE)]:
        raise ReportError(f"the distribution of costs has no dimension {unknown[0]!r}; there are {', '.join(_BY)}")
    period = Period(since, until)
    values = {name: filters.get(name) for name in _WHERE}
    bound = {"by": by, "since": period.since, "until": period.until, "levels": list(levels), **values}
    return tuple(
        Quantiles(str(row["label"]), cast("int", row["requests"]), tuple(cast("list[Decimal]", row["quantiles_usd"])))
        for row in ledger.query("cost_quantiles", bound)
    )
