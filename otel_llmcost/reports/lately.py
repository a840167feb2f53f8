"""
What is being spent now: the last minutes or hours by one dimension, from the charges themselves.

A request counts at the instant it began, and is here once it has ended and was shipped: the newest figures grow for as long
as requests take. Limit: a window of hours reads every charge in it, so this is for hours, not for months.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Self, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.dimensions import TIMES, column_of, filter_parameters
from otel_llmcost.reports.money import add
from otel_llmcost.reports.spend import OTHER, Measures, key_value

__all__ = ["MOST_STEPS", "Lately", "LatelyRow", "Window", "lately"]

MOST_STEPS: Final = 30
"""So many, and the one that is not over yet."""
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
"""Each divides a day, so that midnight begins a step."""
_RECENT: Final = timedelta(minutes=5)
_FIGURES: Final = (
    "requests",
    "partial_requests",
    "unpriced_requests",
    "failed_without_usage",
    "cost_usd",
    "wasted_cost_usd",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time from `since` to `now`, in steps that stay where they are while time goes by."""

    since: datetime
    now: datetime
    step_seconds: int

    @classmethod
    def of(cls, length: timedelta, now: datetime) -> Self:
        """Take at least so long, at most 30 days, until the aware instant `now`: from the beginning of a step on."""
        seconds = int(length.total_seconds())
        step = next((each for each in _STEPS_S if each * MOST_STEPS >= seconds), _STEPS_S[-1])
        began = (int(now.timestamp()) - seconds) // step * step
        return cls(since=datetime.fromtimestamp(began, UTC), now=now.astimezone(UTC), step_seconds=step)

    @property
    def steps(self) -> int:
        """How many steps have begun."""
        return int((self.now - self.since).total_seconds()) // self.step_seconds + 1

    @property
    def recent(self) -> timedelta:
        """The time that figures per minute are of."""
        return min(_RECENT, self.now - self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatelyRow:
    """One value of the dimension: its sums, without tokens, its cost in each step, and how fast it goes now."""

    key: str
    measures: Measures
    steps: tuple[Decimal, ...]
    requests_per_minute: Decimal
    usd_per_minute: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """Spend in a window. The rows, most costly first and `(other)` last, sum to `total`."""

    window: Window
    by: str
    rows: tuple[LatelyRow, ...]
    total: LatelyRow


def lately(
    ledger: Answers, by: str, *, window: Window, where: Mapping[str, str] | None = None, top: int | None = None
) -> Lately:
    """
    Ask what was spent in a window by one of `DIMENSIONS` that is no time; `where` and `top` are those of `spend`.

    Raises `ReportError` for what does not exist, and `LedgerError`.
    """
    column = column_of(by)
    if column in TIMES:
        raise ReportError(f"this moment has no {by}s to compare: ask by another dimension")
    bound = {
        "folded": column,
        "since": _text(window.since),
        "until": _text(window.now + timedelta(seconds=1)),
        "recent_since": _text(window.now - window.recent),
        "step_seconds": window.step_seconds,
        "top": top or 0,
        **filter_parameters(where or {}),
    }
    total, sums = _Sum(window), dict[str, _Sum]()
    for row in ledger.query("spend_lately", bound):
        total.take(row)
        sums.setdefault(key_value(row, "folded", column), _Sum(window)).take(row)
    rows = [each.row(key) for key, each in sums.items() if each.measures != Measures()]  # not all taken back
    rows.sort(key=lambda row: (row.key == OTHER, row.measures.cost_usd.copy_negate(), row.key))
    return Lately(window=window, by=by, rows=tuple(rows), total=total.row(""))


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}"


class _Sum:
    """Adds up the rows of one value."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.measures = Measures()
        self._steps = [Decimal(0)] * window.steps
        self._recent_requests = 0
        self._recent_usd = Decimal(0)

    def take(self, row: Mapping[str, object]) -> None:
        self.measures += Measures(**{name: row[name] for name in _FIGURES})  # type: ignore[arg-type]
        cost, step = cast("Decimal", row["cost_usd"]), cast("int", row["step"])
        if step < len(self._steps):
            self._steps[step] = add(self._steps[step], cost)
        self._recent_requests += cast("int", row["recent_requests"])
        self._recent_usd = add(self._recent_usd, cast("Decimal", row["recent_cost_usd"]))

    def row(self, key: str) -> LatelyRow:
        minutes = Decimal(max(1, int(self._window.recent.total_seconds()))) / 60
        return LatelyRow(
            key=key,
            measures=self.measures,
            steps=tuple(self._steps),
            requests_per_minute=EXACT.divide(Decimal(self._recent_requests), minutes),
            usd_per_minute=EXACT.divide(self._recent_usd, minutes),
        )
