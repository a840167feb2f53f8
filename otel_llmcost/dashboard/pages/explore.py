"""Any two dimensions beside each other: a table whose margins sum exactly, every cell of which opens its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page
from otel_llmcost.dashboard.series import Usd, timeline, timeline_of
from otel_llmcost.dashboard.tables import Cell, Column, Kind, Link, Linked, Row, Table
from otel_llmcost.dashboard.view import FILTERS, View
from otel_llmcost.dashboard.wording import Money, count, ratio
from otel_llmcost.errors import ReportError
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports import Measures, Report, spend
from otel_llmcost.reports.dimensions import TIMES
from otel_llmcost.reports.money import add
from otel_llmcost.reports.period import month
from otel_llmcost.reports.spend import OTHER

__all__ = ["build"]

CHOICES: Final = (*FILTERS, *TIMES)
TOPS: Final = ("10", "25", "50", "100")
_COLUMNS: Final = 8
_HOURS_DAYS: Final = 14
"""So many days may be shown by hour."""
_NEXT: Final = {
    "team": "feature",
    "feature": "customer",
    "customer": "model",
    "provider": "model",
    "environment": "team",
    "service": "feature",
    "action": "team",
}
"""What a click on a value breaks it down by; without an entry it opens the requests."""
Sums: TypeAlias = Mapping[tuple[str, str], Measures]
"""(row, column) -> the sums of a cell."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """One figure that a cell shows."""

    title: str
    kind: Kind
    of: Callable[[Measures], int | Money]
    charted: Usd = "cost_usd"


MEASURES: Final = {
    "cost": _Measure("Cost", "money", Money.of),
    "requests": _Measure("Requests", "count", lambda sums: sums.requests),
    "tokens": _Measure(
        "Tokens",
        "count",
        lambda sums: sums.input_tokens + sums.cached_input_tokens + sums.cache_write_tokens + sums.output_tokens,
    ),
    "waste": _Measure("Waste", "money", Money.wasted, "wasted_cost_usd"),
    "savings": _Measure("Saved by caching", "money", lambda sums: Money(sums.cache_savings_usd), "cache_savings_usd"),
}


def build(asked: Asked) -> Page:
    """Build the page."""
    view = asked.view
    by = view.word("by", CHOICES, next((name for name in FILTERS if name not in view.where), "team"))
    beside = view.word("beside", ("", *FILTERS), "")
    beside = "" if beside == by else beside
    name, top = view.word("measure", MEASURES, "cost"), int(view.word("top", TOPS, TOPS[1]))
    if by == "hour" and (view.period.until - view.period.since).days > _HOURS_DAYS:
        raise ReportError(f"hours are shown of up to {_HOURS_DAYS} days: choose a shorter period, or days")
    measure = MEASURES[name]
    charted = next((each for each in (by, beside) if each and each not in TIMES), "model")
    found = _ask(asked, by, beside, top)
    if not found.rows:
        return empty_page(asked, "Explore")
    table = _pivot(view, found, by, beside, measure, top) if beside else _single(view, found, by)
    if found.by == (charted, view.bucket):
        line = timeline_of(asked, found, measure=measure.charted)
    else:
        line = timeline(asked, charted, measure=measure.charted)
    what = measure.title if measure.charted != "cost_usd" else "Cost"
    links = {key: _drill(view, charted, key) for key in line.values if key != OTHER}
    context = {
        "chart": line.chart(
            asked, name="explored", title=f"{what} by {_words(charted)} and {view.bucket}", links=links
        ),
        "by": by,
        "beside": beside,
        "measure": name,
        "top": str(top),
        "choices": CHOICES,
        "besides": FILTERS,
        "measures": {key: each.title for key, each in MEASURES.items()},
        "tops": TOPS,
        "total": Money.of(found.total),
    }
    return Page(title="Explore", template="explore.html", context=context, tables=(table,))


def _ask(asked: Asked, by: str, beside: str, top: int) -> Report:
    """
    Ask for the cells; the dimension of most values is folded by the ledger, the other one here.

    One dimension alone is asked for with the time of the chart, which then needs no question of its own.
    """
    view = asked.view
    if not beside:
        dimensions: tuple[str, ...] = (by,) if by in TIMES else (by, view.bucket)
    else:
        dimensions = (beside, by) if beside == "customer" or by in TIMES else (by, beside)
    return spend(
        asked.ledger,
        dimensions,
        since=view.period.since,
        until=view.period.until,
        where=view.where,
        top=_COLUMNS if beside and dimensions[0] == beside else top,
    )


def _single(view: View, found: Report, by: str) -> Table:
    columns = (
        Column(_words(by).capitalize(), by, "name"),
        Column("Cost", "cost_usd", "money"),
        Column("Share", "share", "percent", keep=4),
        Column("Requests", "requests", "count"),
        Column("Per request", "per_request_usd", "money", keep=3),
        Column("Fresh in", "input_tokens", "count", keep=2),
        Column("Cached", "cached_input_tokens", "count", keep=2),
        Column("Written", "cache_write_tokens", "count", keep=2),
        Column("Out", "output_tokens", "count", keep=2),
        Column("Waste", "wasted_cost_usd", "money", keep=3),
        Column("Retries", "retry_cost_usd", "money", keep=1),
        Column("Fallbacks", "fallback_cost_usd", "money", keep=1),
        Column("Saved by caching", "cache_savings_usd", "money", keep=2),
    )

    def row(first: Cell, sums: Measures, href: str) -> Row:
        return (
            first,
            Linked(Money.of(sums), href),
            ratio(sums.cost_usd, found.total.cost_usd),
            Linked(sums.requests, href),
            Money.per_request(sums),
            sums.input_tokens,
            sums.cached_input_tokens,
            sums.cache_write_tokens,
            sums.output_tokens,
            Money.wasted(sums),
            Money(sums.retry_cost_usd, sums.is_lower_bound),
            Money(sums.fallback_cost_usd, sums.is_lower_bound),
            Money(sums.cache_savings_usd),
        )

    summed: dict[str, Measures] = {}
    for each in found.rows:  # in the order of their cost, each value's times together
        summed[each.key[0]] = summed.get(each.key[0], Measures()) + each.measures
    rows = [row(Link(key, _drill(view, by, key)), sums, _requests(view, {by: key})) for key, sums in summed.items()]
    return Table(
        name="explored",
        title=f"By {_words(by)}",
        columns=columns,
        rows=rows,
        total=row("Total", found.total, view.link("/requests")),
        note=f"{count(len(rows))} rows · a name breaks it down, a figure opens its requests",
    )


def _pivot(view: View, found: Report, by: str, beside: str, measure: _Measure, top: int) -> Table:
    """Show one measure of the cells, what rows and columns sum to, and the total of both."""
    place = found.by.index(by)
    cells = [((each.key[place], each.key[1 - place]), each.measures) for each in found.rows]
    rows = _kept((key[0], sums) for key, sums in cells) if by not in TIMES else None
    across = _kept(((key[1], sums) for key, sums in cells), _COLUMNS)
    shown = set(rows[:top]) if rows else None
    folded: dict[tuple[str, str], Measures] = {}
    for (key, column), sums in cells:
        cell = (
            key if shown is None or key in shown or key == UNATTRIBUTED else OTHER,
            column if column in across else OTHER,
        )
        folded[cell] = folded.get(cell, Measures()) + sums
    names = _ordered(folded, 0) if rows else sorted({key for key, _ in folded})
    heads = _ordered(folded, 1)
    columns = (
        Column(_words(by).capitalize(), by, "name"),
        *(Column(head, head, measure.kind) for head in heads),
        Column("Total", "total", measure.kind),
    )

    def figures(keys: Iterable[str], where: Mapping[str, str]) -> Row:
        wanted = set(keys)
        sums = [_sum(s for (key, column), s in folded.items() if column == head and key in wanted) for head in heads]
        figured = [
            Linked(measure.of(each), _requests(view, {**where, beside: head}))
            if each.requests or each.cost_usd
            else None
            for head, each in zip(heads, sums, strict=True)
        ]
        return (*figured, Linked(measure.of(_sum(sums)), _requests(view, where)))

    return Table(
        name="explored",
        title=f"{measure.title} by {_words(by)} and {_words(beside)}",
        columns=columns,
        rows=[(Link(name, _drill(view, by, name)), *figures([name], {by: name})) for name in names],
        total=("Total", *figures(names, {})),
        note=f"{count(len(names))} × {count(len(heads))}, those that cost most · every cell opens its requests",
    )


def _kept(pairs: Iterable[tuple[str, Measures]], most: int = 10**6) -> list[str]:
    """Give the values that stay themselves, most costly first; the unattributed always does."""
    costs: dict[str, Decimal] = {}
    for key, sums in pairs:
        costs[key] = add(costs.get(key, Decimal(0)), sums.cost_usd)
    ranked = sorted(
        (key for key in costs if key not in (OTHER, UNATTRIBUTED)), key=lambda key: (costs[key].copy_negate(), key)
    )
    return [*ranked[:most], *([UNATTRIBUTED] if UNATTRIBUTED in costs else [])]


def _ordered(folded: Sums, place: int) -> list[str]:
    """Give the rows or the columns of a table, most costly first, the rest last."""
    kept = _kept((cell[place], sums) for cell, sums in folded.items())
    return [*kept, *([OTHER] if any(cell[place] == OTHER for cell in folded) else [])]


def _sum(sums: Iterable[Measures]) -> Measures:
    return sum(sums, Measures())


def _drill(view: View, by: str, key: str) -> str:
    """Link to what is below one value: the next dimension, or its requests."""
    below = _NEXT.get(by)
    if key == OTHER or by in TIMES or below is None or below in view.where:
        return _requests(view, {by: key})
    beside = None if view.words.get("beside") in (by, below) else view.words.get("beside")
    return view.link("/explore", **{**_kept_words(view), "by": below, "beside": beside, by: key})


def _kept_words(view: View) -> dict[str, str | None]:
    return {name: view.words[name] for name in ("measure", "top") if name in view.words}


def _requests(view: View, where: Mapping[str, str]) -> str:
    """Link to the requests of a cell; "" for those that were folded into one."""
    if OTHER in where.values():
        return ""
    changes: dict[str, str | None] = {}
    for name, value in where.items():
        changes |= _narrowed(view, value) if name in TIMES else {name: value}
    if view.words.get("measure") == "waste":
        changes["wasted"] = "1"
    return view.link("/requests", **changes)


def _narrowed(view: View, bucket: str) -> dict[str, str | None]:
    """Give the period of an hour, a day or a month, within the page's own."""
    if len(bucket) == len("2026-10"):
        whole = month(bucket)
        since, until = max(whole.since, view.period.since), min(whole.until, view.period.until)
        return {"since": since.isoformat(), "until": until.isoformat()}
    day = date.fromisoformat(bucket[:10])
    hour = {"hour": bucket} if len(bucket) > len("2026-10-01") else {}
    return {"since": day.isoformat(), "until": (day + timedelta(days=1)).isoformat(), **hour}


def _words(dimension: str) -> str:
    return dimension.replace("_", " ")
