"""What is worth knowing about a period: days far above the usual, rates that changed, and why spend is another than before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from otel_llmcost.dashboard.charts import Mark
from otel_llmcost.dashboard.page import Asked
from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Money, delta
from otel_llmcost.reports.anomalies import Anomaly, anomalies
from otel_llmcost.reports.changes import CAUSES, ChangedRow, Changes, what_changed
from otel_llmcost.reports.rate_changes import RateChange, rate_changes
from otel_llmcost.reports.spend import OTHER

__all__ = ["Found", "Item", "find"]

_CHANGES: Final = 10
_LISTED: Final = 3
_RATES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing in the list beside the chart."""

    look: str
    title: str
    text: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All of it, for a page to place."""

    items: tuple[Item, ...]
    marks: tuple[Mark, ...]
    tables: tuple[Table, ...]


def find(asked: Asked, *, is_comparable: bool) -> Found:
    """Look for what is worth knowing; causes only where there is an earlier time to compare with. Raises `LedgerError`."""
    view = asked.view
    high = anomalies(asked.ledger, period=view.period, where=view.where, now=asked.now)
    rates = rate_changes(asked.ledger, period=view.period, where=view.where)[:_RATES]
    items = [*(_high(view, each) for each in high), *(_rate(view, each) for each in rates)]
    tables: tuple[Table, ...] = ()
    if is_comparable:
        changed = what_changed(asked.ledger, period=view.period, now=asked.now, where=view.where, limit=_CHANGES)
        items += [_because(view, row) for row in changed.rows[:_LISTED] if row.team != OTHER and row.delta_usd]
        tables = (_causes(changed), _changes(view, changed))
    return Found(items=tuple(items), marks=tuple(_marks(view, high, rates)), tables=tables)


def _high(view: View, found: Anomaly) -> Item:
    filters: dict[str, str] = {}
    if (driver := found.driver) is not None:
        owner = {"team": driver.team, "feature": driver.feature, "customer": driver.customer_id}
        filters = {name: value for name, value in owner.items() if value is not None}
    said, _, who = found.sentence.partition("; ")
    return Item(
        look="high",
        title=said.replace(f"{found.day}", f"{found.day:%d %b}", 1),
        text=who,
        href=view.link("/", **view.within(found.day.isoformat()), **filters),
    )


def _rate(view: View, found: RateChange) -> Item:
    return Item(
        look="rate",
        title=f"{found.at:%Y-%m-%d}: {found.rate.model} {_percent(found)}",
        text="For new requests only: what is stored keeps the rate at which it was priced.",
        href=view.link("/rates"),
    )


def _percent(found: RateChange) -> str:
    return "has another price" if found.percent is None else f"{found.percent:+.0f}%"


def _because(view: View, row: ChangedRow) -> Item:
    name, _, why = row.sentence.partition(": ")
    return Item(
        look="high" if row.delta_usd > 0 else "saving",
        title=name,
        text=why,
        href=view.link("/", team=row.team, feature=row.feature, model=row.model),
    )


def _marks(view: View, high: Sequence[Anomaly], rates: Sequence[RateChange]) -> Iterator[Mark]:
    """Place them over days; in other drawings they would stand over what they are not about."""
    if view.bucket == "day":
        yield from (Mark(each.day.isoformat(), "high", each.sentence) for each in high)
        yield from (Mark(f"{each.at:%Y-%m-%d}", "rate", f"{each.rate.model} {_percent(each)}") for each in rates)


def _causes(found: Changes) -> Table:
    rows = tuple((CAUSES[each.kind][each.usd < 0], Money(each.usd)) for each in found.causes)
    return Table(
        name="causes",
        title="Why it changed",
        columns=(Column("Cause", "cause"), Column("Adds", "usd", "money")),
        rows=rows,
        total=("Change of total cost", Money(found.delta_usd)),
        note="each cause with the others held; the sum is exact",
        empty="Spend is what it was before.",
    )


def _changes(view: View, found: Changes) -> Table:
    return Table(
        name="changes",
        title="Where it changed",
        columns=(
            Column("Team › feature › model", "what", "name"),
            Column("Before", "before_usd", "money", keep=3),
            Column("Now", "cost_usd", "money"),
            Column("Change", "change", "change", keep=4),
            Column("Adds", "delta_usd", "money"),
            Column("Why", "why", keep=4),
        ),
        rows=tuple(_changed_row(view, row) for row in found.rows),
        total=(
            "Total",
            Money(found.before_usd),
            Money(found.cost_usd),
            delta(found.cost_usd, found.before_usd),
            Money(found.delta_usd),
            None,
        ),
        note="largest first, either way",
        empty="Spend is what it was before.",
    )


def _changed_row(view: View, row: ChangedRow) -> Row:
    is_rest = row.team == OTHER
    name = "everything else" if is_rest else f"{row.team} › {row.feature} › {row.model}"
    href = "" if is_rest else view.link("/requests", team=row.team, feature=row.feature, model=row.model)
    return (
        Link(name, href),
        Money(row.before_usd),
        Money(row.cost_usd),
        delta(row.cost_usd, row.before_usd),
        Money(row.delta_usd),
        row.sentence.partition(": ")[2].partition("; ")[2],
    )
