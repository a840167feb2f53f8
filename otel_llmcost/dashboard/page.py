"""What a page is made of, and what it may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from otel_llmcost.dashboard.tables import Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Delta
from otel_llmcost.journal import Backlog
from otel_llmcost.ledger import Answers
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings

__all__ = ["Asked", "Builder", "Crumb", "House", "Page", "Tile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all pages of one server share."""

    ledger: Answers
    settings: Settings
    place: str
    """The ledger's name, without a password."""
    backlog: Callable[[], Backlog]
    """What waits in the journal."""
    pricer: Callable[[], Pricer]
    trace_link: str = ""
    """The URL of a trace elsewhere, with `{trace_id}` and `{span_id}` in it; "" for none."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Filters that every page has: `{"team": "support"}` where one team alone is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a page."""

    house: House
    view: View
    now: datetime
    """UTC."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the path names, as in `/requests/{trace_id}/{span_id}`."""

    @property
    def ledger(self) -> Answers:
        """Where its figures are."""
        return self.house.ledger


@dataclass(frozen=True, slots=True)
class Crumb:
    """A step back towards all spend."""

    text: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure at the top."""

    title: str
    figure: str
    href: str
    note: str
    delta: Delta | None = None
    worse: str = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: a template, what it needs, and the tables that it shows, which download as CSV."""

    title: str
    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()


Builder: TypeAlias = Callable[[Asked], Page]
