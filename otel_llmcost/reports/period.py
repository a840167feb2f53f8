"""Periods of whole UTC days, as people write them: `30d`, `2026-10-01`, a month."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from otel_llmcost.errors import ReportError

__all__ = ["FIRST_DAY", "LAST_DAY", "Period", "month", "period", "today"]


FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2149, 6, 6)
"""What a ClickHouse Date holds."""


@dataclass(frozen=True, slots=True)
class Period:
    """The UTC days from `since` up to, and not including, `until`."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if self.since < FIRST_DAY or self.until > LAST_DAY:
            raise ReportError(
                f"the period from {self.since} up to {self.until} is not within {FIRST_DAY} to {LAST_DAY}"
            )
        if self.since >= self.until:
            raise ReportError(f"the period from {self.since} up to {self.until} holds no day: --until must be later")

    @property
    def last(self) -> date:
        """The last day inside."""
        return self.until - timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.since} to {self.last} UTC"


def today() -> date:
    """Give the current UTC day."""
    return datetime.now(UTC).date()


def period(since: str, until: str | None = None) -> Period:
    """
    Read `since` (`30d`: the last 30 days, today included; or a date) and `until` (a date, not included; or tomorrow).

    Raises `ReportError` naming the forms.
    """
    end = _date(until) if until else today() + timedelta(days=1)
    if match := re.fullmatch(r"([1-9][0-9]{0,4})d", since):
        return Period(max(end - timedelta(days=int(match[1])), FIRST_DAY), end)
    return Period(_date(since), end)


def month(text: str) -> Period:
    """Read a month, `2026-10`. Raises `ReportError`."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        raise ReportError(f"{text!r} is not a month: write it as 2026-10")
    first = _date(text + "-01")
    return Period(first, (first + timedelta(days=31)).replace(day=1))


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ReportError(f"{text!r} is not a day: write 2026-10-01, or 30d for the last 30 days") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ReportError(f"{day} is not within {FIRST_DAY} to {LAST_DAY}")
    return day
