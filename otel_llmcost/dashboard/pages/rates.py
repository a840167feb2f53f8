"""What requests are priced with: the rates in force, which of them changed, and which models have none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import Final

from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.tables import Cell, Column, Link, Row, Table
from otel_llmcost.dashboard.unpriced import unpriced_table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Delta, Money, count
from otel_llmcost.doctor.spending import unpriced_findings
from otel_llmcost.model import COUNTS, NONE
from otel_llmcost.pricing.content import REQUEST, exact_text
from otel_llmcost.reports import Measures
from otel_llmcost.reports.gaps import UnpricedRow, unpriced
from otel_llmcost.reports.money import ratio
from otel_llmcost.reports.rate_changes import (
    KnownRate,
    PriceChange,
    RateChange,
    RateInUse,
    rate_changes,
    rates_in_use,
)

__all__ = ["build"]

_PRICES: Final = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
"""Those that have a column; the others have a table of their own."""
_ORDER: Final = (*COUNTS, REQUEST)
_LIST: Final = "list price"
_THOUSAND: Final = 1000


def build(asked: Asked) -> Page:
    """Build the page: of the rates that priced the requests of the period, with these filters."""
    view, ledger = asked.view, asked.ledger
    found = rates_in_use(ledger, period=view.period, where=view.where)
    if not found:
        return empty_page(asked, "Rates")
    in_use = {(each.rate.provider, each.rate.model) for each in found if each.rate}
    changes = [
        change
        for change in rate_changes(ledger, period=view.period)
        if (change.rate.provider, change.rate.model) in in_use
    ]
    total = sum((each.measures for each in found), Measures())
    within = view.period
    lacking = unpriced(ledger, since=within.since, until=within.until, where=view.where) if total.is_lower_bound else ()
    return Page(
        title="Rates",
        template="rates.html",
        context={
            "tiles": tuple(_tiles(found, total, changes, lacking)),
            "findings": [each for each in unpriced_findings(lacking) if each.fix],
        },
        tables=(
            _rates_table(view, found, total),
            _changes_table(view, changes),
            unpriced_table(view, lacking),
            _others_table(view, found),
        ),
    )


def _tiles(
    found: Sequence[RateInUse], total: Measures, changes: Sequence[RateChange], lacking: Sequence[UnpricedRow]
) -> Iterator[Tile]:
    rates = [each.rate for each in found if each.rate]
    yield Tile(
        title="Priced by a rate",
        figure=str(Money.of(total)),
        href="#rates",
        note=f"{count(len(rates))} rates of {count(len({(each.provider, each.model) for each in rates}))} models",
    )
    yield Tile(
        title="Rates that changed",
        figure=count(len(changes)),
        href="#changes",
        note=", ".join(sorted({each.rate.model for each in changes})) or "none came into force in this period",
    )
    yield Tile(
        title="Tokens without a whole price",
        figure=count(sum(row.tokens for row in lacking)),
        href="#models",
        note=f"of {count(sum(row.requests for row in lacking))} requests",
    )
    if checked := sorted(str(each.content["checked"]) for each in rates if each.content.get("checked")):
        yield Tile(
            title="Oldest check",
            figure=checked[0],
            href="#rates",
            note="the day when the price that was looked at longest ago was compared with its provider's page",
        )


def _rates_table(view: View, found: Sequence[RateInUse], total: Measures) -> Table:
    columns = (
        Column("Model", "model", "name"),
        Column("Provider", "provider", keep=3),
        Column("For", "for", keep=4),
        Column("Input", "input_usd", "price"),
        Column("Cached", "cached_input_usd", "price", keep=4),
        Column("Cache write", "cache_write_usd", "price", keep=4),
        Column("Output", "output_usd", "price"),
        Column("Source", "source", keep=3),
        Column("Since", "since", "date", keep=4),
        Column("Until", "until", "date", keep=3),
        Column("Requests", "requests", "count", keep=4),
        Column("Cost", "cost_usd", "money"),
        Column("Of all cost", "share", "percent", keep=4),
    )
    return Table(
        name="rates",
        title="Rates that priced requests, in USD per million tokens",
        columns=columns,
        rows=[row for each in found for row in _rows(view, each, total)],
        total=("Total", *[None] * 9, total.requests, Money.of(total), ratio(total.cost_usd, total.cost_usd)),
        note="requests of any size of input stand beside a rate's first row; a model has the name that its source gives it",
    )


def _rows(view: View, found: RateInUse, total: Measures) -> Iterator[Row]:
    """Give a row for the rate, with its figures, and one for each size of input that asks other prices."""
    measures = found.measures
    figures: Row = (measures.requests, Money.of(measures), ratio(measures.cost_usd, total.cost_usd))
    if found.rate is None:
        name = found.rate_id or "(no rate)"
        why = "its content is not in this ledger" if found.rate_id else "no price, or failed before it was billed"
        yield (Link(name, _requests_link(view, found.rate_id)), None, why, *[None] * 7, *figures)
        return
    rate = found.rate
    for tier in _tiers(rate):
        prices = _texts(rate, tier)
        yield (
            Link(rate.model, _requests_link(view, rate.rate_id)),
            rate.provider,
            _context(rate, tier),
            *(prices.get(name) for name in _PRICES),
            _source(rate),
            _since(rate.effective_from),
            _instant(found.until) if found.until else "in force",
            *figures,
        )
        figures = (None, None, None)


def _tiers(rate: KnownRate) -> tuple[int | None, ...]:
    return (None, *sorted(rate.tiers()))


def _texts(rate: KnownRate, tier: int | None) -> dict[str, str]:
    return {name: exact_text(price) for name, price in rate.prices(0 if tier is None else tier + 1).items()}


def _requests_link(view: View, rate_id: str) -> str:
    return view.link("/requests", rate_id=rate_id or NONE)


def _others_table(view: View, found: Sequence[RateInUse]) -> Table:
    """List what has a price of its own and no column: a count that is billed as another has that one's."""
    rows: list[Row] = [
        (
            Link(rate.model, _requests_link(view, rate.rate_id)),
            rate.provider,
            _context(rate, tier),
            _since(rate.effective_from),
            _count(name),
            price,
        )
        for rate in (each.rate for each in found if each.rate)
        for tier in _tiers(rate)
        for name, price in _texts(rate, tier).items()
        if name not in (*_PRICES, *rate.content.get("billed_as", {}))
        and (tier is None or price != _texts(rate, None).get(name))
    ]
    return Table(
        name="others",
        title="Prices of tools, sound, pictures and longer caching",
        columns=(
            Column("Model", "model", "name"),
            Column("Provider", "provider", keep=3),
            Column("For", "for", keep=4),
            Column("Since", "since", "date", keep=4),
            Column("Price of", "count"),
            Column("USD", "usd", "price"),
        ),
        rows=rows,
        note="what has no price of its own is billed as the input or output it is part of",
        empty="These rates have none of their own: all is billed as the input or output it is part of.",
    )


def _context(rate: KnownRate, tier: int | None) -> str:
    """Say which requests it is for."""
    limits = ["batch" if name == "batch" else f"{name} {value}".replace("_", " ") for name, value in rate.context]
    if tier is not None:
        size = count(tier) if tier % _THOUSAND else f"{count(tier // _THOUSAND)}k"
        limits.append(f"over {size} input")
    return ", ".join(limits) or _LIST


def _source(rate: KnownRate) -> Cell:
    """Name who says so, with all that changes it, and lead to the page of the provider where one is known."""
    names = [f"{rate.source} {rate.version}", *(str(each["name"]) for each in rate.content.get("adjustments", ()))]
    page = str(rate.content.get("source", ""))
    return Link(", ".join(names), page if page.startswith("https://") else "")


def _since(at: datetime | None) -> str:
    return _instant(at) if at else "launch"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if at.time() == time() else f"{at:%Y-%m-%d %H:%M}"


def _count(name: str) -> str:
    """Say what a price is of: tokens are priced by the million, calls and requests by the piece."""
    if name.endswith("_tokens"):
        return f"1M {name.replace('_', ' ')}"
    return f"1 {name.removesuffix('s').replace('_', ' ')}"


def _changes_table(view: View, changes: Sequence[RateChange]) -> Table:
    columns = (
        Column("Model", "model", "name"),
        Column("Provider", "provider", keep=2),
        Column("Since", "since", "date", keep=4),
        Column("For", "for", keep=3),
        Column("Price of", "count", keep=6),
        Column("Before", "before_usd", "price", keep=4),
        Column("Now", "now_usd", "price"),
        Column("Change", "change", "change"),
        Column("Source", "source", keep=3),
    )
    return Table(
        name="changes",
        title="Prices that changed",
        columns=columns,
        rows=[_change_row(view, change, price) for change in changes for price in _own(change)],
        note="for requests from then on: what is stored keeps the rate at which it was priced",
        empty="No rate of these models came into force in this period with another price than before.",
    )


def _own(change: RateChange) -> list[PriceChange]:
    """Leave out what changed only because it is billed as another count; input is first, larger inputs last."""
    derived = set(change.rate.content.get("billed_as", {})) & set(change.rate_before.content.get("billed_as", {}))
    prices = (price for price in change.prices if price.count not in derived)
    return sorted(prices, key=lambda price: (price.tier or -1, _ORDER.index(price.count)))


def _change_row(view: View, change: RateChange, price: PriceChange) -> Row:
    rate = change.rate
    return (
        Link(rate.model, _requests_link(view, rate.rate_id)),
        rate.provider,
        _instant(change.at),
        _context(rate, price.tier),
        _count(price.count),
        price.before,
        price.after,
        _delta(price),
        _source(rate),
    )


def _delta(price: PriceChange) -> Delta:
    if price.before is None:
        return Delta("new", "up", None)
    if price.after is None:
        return Delta("no longer priced", "up", None)
    if price.percent is None:
        return Delta("was free", "up", None)
    share = ratio(price.percent, 100)
    return Delta(f"{abs(price.percent):.1f}%", "up" if price.percent > 0 else "down", share)
