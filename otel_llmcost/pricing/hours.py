"""Hours of the week in UTC, as cards write them: `Mon-Fri 01:00-04:00`, `Sat 00:00-24:00`, `22:00-02:00`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["windows"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK: Final = 7 * 1440
_HOURS: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+)?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)", re.IGNORECASE
)


def windows(texts: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """
    Give [start, end) in minutes of the week, Monday 00:00 UTC = 0; past midnight runs into the next day.

    Raises `ValueError` with a sentence for the author.
    """
    return tuple(sorted(window for text in texts for window in _windows(text)))


def _windows(text: str) -> list[tuple[int, int]]:
    found = _HOURS.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not hours of the week; write Mon-Fri 01:00-04:00 (UTC)")
    first, last = (found["first"] or "mon").lower(), (found["last"] or found["first"] or "sun").lower()
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"{text!r} names no day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    start, end = _minute(found["start"]), _minute(found["end"])
    span = end - start if end > start else end - start + 1440
    count = (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
    starts = [(_DAYS.index(first) + day) % 7 * 1440 + start for day in range(count)]
    return [piece for begin in starts for piece in _within_week(begin, begin + span)]


def _minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if hour > 24 or minute > 59 or hour * 60 + minute > 1440:
        raise ValueError(f"{text!r} is not a time of day; write 00:00 to 24:00")
    return hour * 60 + minute


def _within_week(start: int, end: int) -> list[tuple[int, int]]:
    return [(start, end)] if end <= _WEEK else [(start, _WEEK), (0, end - _WEEK)]
