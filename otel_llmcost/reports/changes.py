"""
What changed in spend from one window to the next, and why: by team, feature and model, in causes that sum to the difference.

What each cause means, and what it cannot see, is said in `otel_llmcost.reports.causes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from otel_llmcost.ledger import Answers
from otel_llmcost.model import picousd_text
from otel_llmcost.reports.causes import ListPrices, Use, amounts
from otel_llmcost.reports.comparison import Windows
from otel_llmcost.reports.dimensions import column_of, filter_parameters, source_for
from otel_llmcost.reports.money import add, sum_usd, usd
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.rate_changes import chains
from otel_llmcost.reports.spend import OTHER

__all__ = ["CAUSES", "Cause", "ChangedRow", "Changes", "what_changed"]

CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "volume": ("more requests", "fewer requests"),
    "retries": ("more retries and fallbacks", "fewer retries and fallbacks"),
    "cache": ("less saved by caching", "more saved by caching"),
    "price": ("higher prices", "lower prices"),
    "tokens": ("larger requests", "smaller requests"),
    "new": ("new", "new"),
    "ended": ("ended", "ended"),
}
"""Every kind of cause, in words: where it raises spend, and where it lowers it."""
_COLUMNS: Final = ("team", "feature", "model", "attempt_kind", "price_status")
_PRICED_BY: Final = ("provider", "hour")
_MENTIONED: Final = 3
_SMALL: Final = 20
"""A cause this many times smaller than the largest is not mentioned in a sentence."""
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a change, and what it added to spend, or (below zero) took off it."""

    kind: str
    """One of `CAUSES`."""
    usd: Decimal

    @property
    def words(self) -> str:
        """Say it in plain words: `more requests`."""
        return CAUSES[self.kind][self.usd < 0]

    def __str__(self) -> str:
        return f"{self.words} {_signed(self.usd)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRow:
    """One team's use of one model for one feature, in both windows; the causes sum to the difference."""

    team: str
    feature: str
    model: str
    """All three are `(other)` in the row of all that is not listed."""
    requests: int
    requests_before: int
    cost_usd: Decimal
    before_usd: Decimal
    causes: tuple[Cause, ...]
    """Those that are not zero, largest first."""

    @property
    def delta_usd(self) -> Decimal:
        """Give what it costs more than before."""
        return add(self.cost_usd, self.before_usd.copy_negate())

    @property
    def sentence(self) -> str:
        """Say what changed and why: `support › reply-draft › claude-sonnet-4-6: +$166.46; retries +$150.10`."""
        name = "everything else" if self.team == OTHER else f"{self.team} › {self.feature} › {self.model}"
        return f"{name}: {_signed(self.delta_usd)}{_because(self.causes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How spend changed from the window before, and why. Rows and causes each sum to `delta_usd`."""

    period: Period
    before: Period
    elapsed_until: datetime
    before_until: datetime
    cost_usd: Decimal
    before_usd: Decimal
    causes: tuple[Cause, ...]
    """Over all, largest first."""
    rows: tuple[ChangedRow, ...]
    """Largest change first, either way; what is not listed is one row at the end."""

    @property
    def delta_usd(self) -> Decimal:
        """Give what was spent more than before."""
        return add(self.cost_usd, self.before_usd.copy_negate())

    @property
    def sentence(self) -> str:
        """Say what changed over all, and why."""
        return f"{_signed(self.delta_usd)}{_because(self.causes)}"


def what_changed(
    ledger: Answers, *, period: Period, now: datetime, where: Mapping[str, str] | None = None, limit: int = 8
) -> Changes:
    """
    Explain how spend in a period differs from the one before over equal elapsed time, as of `now`.

    `where` is that of `spend`; `limit`: so many rows at most, the rest in one. Raises `ReportError` and `LedgerError`.
    """
    windows, filters = Windows.of(period, now), where or {}
    rates = ListPrices(chains(ledger, since=windows.before.since, until=period.until))
    bound = {
        "source": source_for([*_COLUMNS, *(_PRICED_BY if rates.hours else ()), *map(column_of, filters)]).table,
        **dict(zip(_PRICED_BY, _PRICED_BY if rates.hours else ("model", "day"), strict=True)),
        "changed": [f"{each:%Y-%m-%d %H:%M:%S}" for each in rates.hours],
        **windows.parameters,
        **filter_parameters(filters),
    }
    uses: dict[Key, Use] = {}
    for row in ledger.query("spend_changes", bound):
        key = (str(row["team"]), str(row["feature"]), str(row["model"]))
        uses.setdefault(key, Use()).take(row)
    rows = sorted(
        (_changed(key, use, rates) for key, use in uses.items()),
        key=lambda row: (row.delta_usd.copy_abs().copy_negate(), row.team, row.feature, row.model),
    )
    whole = _folded(rows)
    return Changes(
        period=period,
        before=windows.before,
        elapsed_until=windows.elapsed_until,
        before_until=windows.before_until,
        cost_usd=whole.cost_usd,
        before_usd=whole.before_usd,
        causes=whole.causes,
        rows=(*rows[:limit], *([_folded(rows[limit:])] if rows[limit:] else ())),
    )


def _changed(key: Key, use: Use, rates: ListPrices) -> ChangedRow:
    return ChangedRow(
        team=key[0],
        feature=key[1],
        model=key[2],
        requests=use.now.requests,
        requests_before=use.before.requests,
        cost_usd=_usd(use.now.total),
        before_usd=_usd(use.before.total),
        causes=_sorted(Cause(kind, _usd(amount)) for kind, amount in amounts(use, key[2], rates).items()),
    )


def _folded(rows: Sequence[ChangedRow]) -> ChangedRow:
    sums: dict[str, Decimal] = {}
    for cause in (cause for row in rows for cause in row.causes):
        sums[cause.kind] = add(sums.get(cause.kind, Decimal(0)), cause.usd)
    return ChangedRow(
        team=OTHER,
        feature=OTHER,
        model=OTHER,
        requests=sum(row.requests for row in rows),
        requests_before=sum(row.requests_before for row in rows),
        cost_usd=sum_usd(row.cost_usd for row in rows),
        before_usd=sum_usd(row.before_usd for row in rows),
        causes=_sorted(Cause(kind, amount) for kind, amount in sums.items()),
    )


def _sorted(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(
        sorted((each for each in causes if each.usd), key=lambda each: (each.usd.copy_abs().copy_negate(), each.kind))
    )


def _because(causes: Sequence[Cause]) -> str:
    """Mention the causes that matter, by kind."""
    mentioned = [each for each in causes[:_MENTIONED] if abs(each.usd) * _SMALL >= abs(causes[0].usd)]
    if len(causes) == 1 and mentioned[0].kind in ("new", "ended"):
        return f"; {mentioned[0].kind}"
    return "".join(
        f"{', ' if number else '; '}{each.kind} {_signed(each.usd)}" for number, each in enumerate(mentioned)
    )


def _signed(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else ''}{usd(amount)}"


def _usd(picousd: int) -> Decimal:
    return Decimal(picousd_text(picousd))
