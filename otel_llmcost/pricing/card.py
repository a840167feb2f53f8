"""
The nouns of a rate card: dated rates, discounts and uplifts, deployments, commitments. Reading YAML is in `reading`.

A card never guesses: a rate applies from an instant until another, to the names that it matches, and, for a tier, batch
or speed that is not standard, only when its `when` says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from otel_llmcost.pricing.content import Tier
from otel_llmcost.pricing.context import Context

__all__ = ["ALWAYS", "Backdated", "Card", "Commitment", "Factor", "Launch", "Match", "Rate", "Rename", "Span", "When"]


@dataclass(frozen=True, slots=True)
class Span:
    """A validity, [start, end) in Unix seconds; None is open."""

    start: int | None = None
    end: int | None = None

    def holds(self, instant: int) -> bool:
        """Tell whether the instant lies in it."""
        return (self.start is None or instant >= self.start) and (self.end is None or instant < self.end)

    def edges(self) -> set[int]:
        """Give its ends, where it has any."""
        return {edge for edge in (self.start, self.end) if edge is not None}

    def overlaps(self, other: Span) -> bool:
        """Tell whether some instant lies in both."""
        starts_before = self.start is None or other.end is None or self.start < other.end
        return starts_before and (other.start is None or self.end is None or other.start < self.end)


ALWAYS: Final = Span()


@dataclass(frozen=True, slots=True)
class Match:
    """Which model names: exact ones, a beginning, or a regular expression for the whole name. Lower-case."""

    names: tuple[str, ...] = ()
    starts_with: str = ""
    regex: str = ""

    def rule(self, name: str) -> str:
        """Tell how a lower-case name is met: exact, prefix or regex; "" when it is not."""
        if name in self.names:
            return "exact"
        if self.starts_with and name.startswith(self.starts_with):
            return "prefix"
        if self.regex and re.fullmatch(self.regex, name):
            return "regex"
        return ""

    def meets(self, other: Match) -> bool:
        """Tell whether both are the same pattern, or share a name."""
        return self == other or not set(self.names).isdisjoint(other.names)


@dataclass(frozen=True, slots=True)
class When:
    """The context that a rate needs. Empty fields ask for nothing, except that they never accept another tier."""

    service_tier: str = ""
    batch: bool = False
    speed: str = ""
    region: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def holds(self, context: Context) -> bool:
        """Tell whether everything asked for is so."""
        return (
            (not self.service_tier or self.service_tier == context.service_tier)
            and (not self.batch or context.batch)
            and (not self.speed or self.speed == context.speed)
            and (not self.region or context.region in self.region)
            and all(context.attributes.get(key, "").lower() in values for key, values in self.attributes.items())
        )

    def covers(self, context: Context) -> bool:
        """Tell whether it holds, and speaks for every tier, batch and speed that is not standard."""
        return self.holds(context) and (self.service_tier, self.batch, self.speed) == (
            context.service_tier,
            context.batch,
            context.speed,
        )

    def places(self) -> set[str]:
        """Give by what it tells regions apart: `region`, and the attributes that it reads."""
        return {"region", *self.attributes} if self.region else {*self.attributes}

    def size(self) -> int:
        """Count the conditions: where two rates apply, the one with more wins."""
        return sum(map(bool, (self.service_tier, self.batch, self.speed, self.region))) + len(self.attributes)

    def as_text(self) -> dict[str, str]:
        """Give it as it is stored in a rate's content."""
        named = {"service_tier": self.service_tier, "batch": "true" if self.batch else "", "speed": self.speed}
        named["region"] = ", ".join(self.region)
        named |= {f"attribute {key}": ", ".join(values) for key, values in self.attributes.items()}
        return {key: value for key, value in named.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Unit prices, in USD per million tokens, per call and per request, for one model, context and span of time."""

    provider: str
    match: Match
    span: Span = ALWAYS
    when: When = field(default_factory=When)
    hours: tuple[tuple[int, int], ...] = ()
    """[start, end) in minutes of the week, Monday 00:00 UTC = 0; empty: always."""
    hours_text: str = ""
    prices: Mapping[str, Fraction]
    tiers: tuple[Tier, ...] = ()
    link: str = ""
    checked: str = ""
    note: str = ""
    place: str = ""
    """`file:line`, for messages."""

    def applies(self, context: Context, instant: int, minute: int) -> bool:
        """Tell whether it is the price of this context at this instant and minute of the week."""
        in_hours = not self.hours or any(start <= minute < end for start, end in self.hours)
        return in_hours and self.span.holds(instant) and self.when.covers(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A discount or an uplift on unit prices."""

    kind: Literal["discount", "uplift"]
    name: str
    provider: str
    match: Match | None
    """None: every model of the provider."""
    span: Span = ALWAYS
    when: tuple[When, ...] = ()
    """Any of them; empty: always."""
    factor: Fraction
    counts: str = "tokens"
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Names that mean another model: deployments, and aliases that the data lacks."""

    rule: Literal["deployment", "alias"]
    provider: str
    names: Mapping[str, str]
    span: Span = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """Capacity paid for in advance: its fixed part, in USD per `every`."""

    name: str
    provider: str
    models: str
    """What it buys, as written, for the row."""
    span: Span
    usd: Decimal
    every: Literal["once", "hour", "day", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdated:
    """A published variant that was sold before the data's first verification of it, at a known share of the price."""

    provider: str
    when: When
    factor: Fraction
    span: Span
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The instant before which a model did not exist."""

    provider: str
    match: Match
    instant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One file: a rate card or a contract. `source` is what rows record, `version` the start of the file's sha256."""

    source: str
    version: str
    contract: bool = False
    rates: tuple[Rate, ...] = ()
    factors: tuple[Factor, ...] = ()
    renames: tuple[Rename, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    backdated: tuple[Backdated, ...] = ()
    launches: tuple[Launch, ...] = ()

    def dated(self) -> tuple[Rate | Factor | Rename | Backdated, ...]:
        """Give everything in it that begins or ends."""
        return (*self.rates, *self.factors, *self.renames, *self.backdated)

    def attribute_keys(self) -> set[str]:
        """Give the attributes that any of its conditions reads."""
        whens = [rate.when for rate in self.rates] + [when for factor in self.factors for when in factor.when]
        return {key for when in whens for key in when.attributes}
