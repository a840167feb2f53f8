"""One rule for written times, in rate cards, JSON lines and on the command line: nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["read_instant"]


def read_instant(text: str) -> datetime:
    """Read an ISO time: a date is its midnight in UTC, a time must carry its offset. Raises `ValueError` otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an instant; write 2026-08-16 or 2026-08-16T16:00:00Z") from None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        moment = moment.replace(tzinfo=UTC)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write {text}Z for UTC")
    return moment
