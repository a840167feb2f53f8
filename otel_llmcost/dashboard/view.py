"""What a page shows, as its URL says it: a period, filters, dimensions. Every link keeps what it does not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from otel_llmcost.errors import ReportError
from otel_llmcost.ownership import OwnerHash
from otel_llmcost.reports.dimensions import DIMENSIONS, TIMES
from otel_llmcost.reports.period import Period, month, period

__all__ = ["FILTERS", "PERIODS", "View"]

FILTERS: Final = tuple(name for name in DIMENSIONS if name not in (*TIMES, "customer_id"))
"""Dimensions that a URL filters by; each column has one name here."""
PERIODS: Final = {"1d": "Today", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
"""What is offered by one click."""
_SINCE: Final = "30d"
_PERIOD_WORDS: Final = ("since", "until", "month")
_LONGEST_VALUE: Final = 20_000
_HOURS_UP_TO_DAYS: Final = 2
_DAYS_UP_TO_DAYS: Final = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A URL of the dashboard, read. `words` are its own parameters, as they were written."""

    path: str
    period: Period
    where: Mapping[str, str]
    """Filters, dimension -> stored value; those that are fixed for this server included."""
    words: Mapping[str, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    """Filters that no link may take away or change, and that no URL shows."""

    @classmethod
    def read(cls, path: str, pairs: Iterable[tuple[str, str]], *, fixed: Mapping[str, str], stored: OwnerHash) -> View:
        """
        Read a path and its parameters; what has no meaning here is left alone. An empty value is none.

        Raises `ReportError` for a period that does not exist, a parameter given twice, and a filter that contradicts a
        fixed one.
        """
        words: dict[str, str] = {}
        for name, value in pairs:
            if not value:
                continue
            if name in words:
                raise ReportError(f"the address names {name} twice: a page shows one value of each")
            words[name] = value[:_LONGEST_VALUE]
        _take_chosen(words)
        asked = {name: stored.of(DIMENSIONS[name], words.pop(name)) for name in FILTERS if name in words}
        if other := [name for name, value in asked.items() if fixed.get(name, value) != value]:
            raise ReportError(f"this server shows {other[0]} {fixed[other[0]]!r} only")
        return cls(path=path, period=_period(words), where={**asked, **fixed}, words=words, fixed=frozenset(fixed))

    @property
    def open_filters(self) -> dict[str, str]:
        """Give the filters that may be taken away."""
        return {name: value for name, value in self.where.items() if name not in self.fixed}

    @property
    def bucket(self) -> str:
        """Name the time that its charts are drawn by: hours of few days, days, or months."""
        days = (self.period.until - self.period.since).days
        return "hour" if days <= _HOURS_UP_TO_DAYS else "day" if days <= _DAYS_UP_TO_DAYS else "month"

    def word(self, name: str, choices: Iterable[str], default: str) -> str:
        """Give a parameter that is one of `choices`. Raises `ReportError` naming them."""
        value = self.words.get(name, default)
        if value not in (known := tuple(choices)):
            raise ReportError(f"{name}={value[:40]} means nothing here: choose one of {', '.join(known)}")
        return value

    def link(self, path: str | None = None, **changes: str | None) -> str:
        """
        Write the URL of this view with changes; None takes a parameter away.

        Another path keeps the period and the filters, not the other parameters. A list that changes begins at its first page.
        """
        shown = dict(self.words) if path is None or path == self.path else self._period_words()
        shown.pop("csv", None)
        if changes.keys() - {"csv"}:
            shown.pop("after", None)
        parameters: dict[str, str | None] = {**self.open_filters, **shown, **changes}
        if {"since", "until", "month"} & changes.keys():
            parameters |= {word: changes.get(word) for word in _PERIOD_WORDS}
        pairs = [(name, value) for name, value in parameters.items() if value and name not in self.fixed]
        target = quote(self.path if path is None else path)
        return f"{target}?{urlencode(pairs)}" if pairs else target

    def within(self, bucket: str) -> dict[str, str]:
        """Give the changes that narrow the period to one bucket of a chart: an hour (its day), a day or a month."""
        if len(bucket) == len("2026-10"):
            return {"month": bucket}
        day = date.fromisoformat(bucket[:10])
        return {"since": day.isoformat(), "until": (day + timedelta(days=1)).isoformat()}

    def hidden(self, *without: str) -> list[tuple[str, str]]:
        """Give what a form must carry so that it changes nothing else; its answer begins at a first page."""
        shown = {**self.open_filters, **self.words}
        return [(name, value) for name, value in shown.items() if name not in (*without, "csv", "after")]

    def _period_words(self) -> dict[str, str]:
        return {name: self.words[name] for name in _PERIOD_WORDS if name in self.words}


def _take_chosen(words: dict[str, str]) -> None:
    """Make `filter=team&value=search`, which a form with a choice sends, `team=search`. Raises `ReportError`."""
    name, value = words.pop("filter", ""), words.pop("value", "")
    if not (name and value):
        return
    if name not in FILTERS or name in words:
        raise ReportError(f"{name[:40]!r} cannot be added as a filter: choose another one")
    words[name] = value


def _period(words: Mapping[str, str]) -> Period:
    if "month" in words:
        return month(words["month"])
    return period(words.get("since", _SINCE), words.get("until"))
