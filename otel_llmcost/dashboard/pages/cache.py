"""How much of the input came from providers' caches, what that saved, and which caches stopped being hit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from otel_llmcost.dashboard.charts import Spark
from otel_llmcost.dashboard.empty import empty_page
from otel_llmcost.dashboard.page import Asked, Page, Tile
from otel_llmcost.dashboard.series import Timeline, timeline
from otel_llmcost.dashboard.tables import Column, Link, Row, Table
from otel_llmcost.dashboard.view import View
from otel_llmcost.dashboard.wording import Money, count, percent
from otel_llmcost.reports import Measures
from otel_llmcost.reports.cache_breaks import CacheBreak, cache_breaks
from otel_llmcost.reports.caching import CacheReport, caching, hit_share
from otel_llmcost.reports.daily import Daily
from otel_llmcost.reports.money import sum_usd
from otel_llmcost.reports.spend import OTHER

__all__ = ["build"]

_ROWS: Final = 25


def build(asked: Asked) -> Page:
    """Build the page."""
    view = asked.view
    models = caching(asked.ledger, "model", period=view.period, where=view.where, top=_ROWS)
    if not models.rows:
        return empty_page(asked, "Cache")
    features = caching(asked.ledger, "feature", period=view.period, where=view.where, top=_ROWS)
    breaks = cache_breaks(asked.ledger, period=view.period, where=view.where)
    line = _saved(asked)
    links = {key: _rows_of(view, "model", key) for key in line.values if key != OTHER}
    total = models.total.whole
    return Page(
        title="Cache",
        template="cache.html",
        context={
            "tiles": tuple(_tiles(view, total, breaks)),
            "chart": line.chart(asked, name="saved", title=f"Saved by model and {view.bucket}", links=links),
            "is_used": bool(total.cached_input_tokens or total.cache_write_tokens),
            "unpriced": total.unpriced_requests,
        },
        tables=(_breaks_table(view, breaks), _table(view, models), _table(view, features)),
    )


def _saved(asked: Asked) -> Timeline:
    """Give what models saved, those that saved most first: the most costly may use no cache."""
    line = timeline(asked, "model", top=_ROWS, measure="cache_savings_usd")
    saved = sorted(line.values.items(), key=lambda each: sum_usd(each[1]), reverse=True)
    return replace(line, values={model: usd for model, usd in saved if any(usd)})


def _tiles(view: View, total: Measures, breaks: Sequence[CacheBreak]) -> Iterator[Tile]:
    given = total.input_tokens + total.cached_input_tokens + total.cache_write_tokens
    yield Tile(
        title="Saved by caching",
        figure=str(Money(total.cache_savings_usd)),
        href=view.link("/explore", by="model"),
        note=f"against fresh input; {Money.of(total)} were spent",
    )
    yield Tile(
        title="Input from a cache",
        figure=percent(hit_share(total)),
        href="#model",
        note=f"{count(total.cached_input_tokens)} of {count(given)} tokens",
    )
    yield Tile(
        title="Written to caches",
        figure=count(total.cache_write_tokens),
        href="#model",
        note="tokens, which cost more than fresh ones at some providers",
    )
    lasting = [each for each in breaks if each.until is None]
    lost = [each.lost_usd_per_day for each in lasting if each.lost_usd_per_day is not None]
    yield Tile(
        title="Caches that broke",
        figure=count(len(breaks)),
        href="#breaks",
        note=f"{count(len(lasting))} still broken" + (f", about {Money(sum_usd(lost))} a day" if lost else ""),
    )


def _rows_of(view: View, by: str, key: str) -> str:
    return "" if key == OTHER else view.link("/requests", **{by: key})


def _table(view: View, found: CacheReport) -> Table:
    columns = (
        Column(found.by.capitalize(), found.by, "name"),
        Column("Saved", "cache_savings_usd", "money"),
        Column("From a cache", "hit_share", "percent"),
        Column("Share over time", "trend", "trend", keep=3),
        Column("Fresh tokens", "input_tokens", "count", keep=3),
        Column("Cached tokens", "cached_input_tokens", "count", keep=4),
        Column("Written tokens", "cache_write_tokens", "count", keep=3),
        Column("Requests", "requests", "count", keep=3),
        Column("Cost", "cost_usd", "money", keep=4),
    )
    return Table(
        name=found.by,
        title=f"By {found.by}",
        columns=columns,
        rows=[(Link(row.key, _rows_of(view, found.by, row.key)), *_figures(row)) for row in found.rows],
        total=("Total", *_figures(found.total)),
        note="what was saved, against fresh input at the same rates; negative: writing cost more than reading saved",
    )


def _figures(row: Daily[Measures]) -> Row:
    whole = row.whole
    shares = (hit_share(measures) for _, measures in row.days)
    return (
        Money(whole.cache_savings_usd),
        hit_share(whole),
        Spark(tuple(share for share in shares if share is not None)),
        whole.input_tokens,
        whole.cached_input_tokens,
        whole.cache_write_tokens,
        whole.requests,
        Money.of(whole),
    )


def _breaks_table(view: View, breaks: Sequence[CacheBreak]) -> Table:
    columns = (
        Column("Team › feature › model", "what", "name"),
        Column("Since", "since", keep=6),
        Column("Until", "until", keep=3),
        Column("Share before", "hit_share_before", "percent", keep=4),
        Column("Share since", "hit_share_since", "percent", keep=4),
        Column("Lost a day", "lost_usd_per_day", "money"),
        Column("Lost in all", "lost_usd", "money", keep=4),
    )
    return Table(
        name="breaks",
        title="Caches that broke",
        columns=columns,
        rows=[_break_row(view, each) for each in breaks],
        note="less than half as much read from the cache as in the week before, for a day at least; losses are estimates",
        empty="No cache stopped being hit in this period. Looked at are features with 50 requests, and a tenth of their input "
        "from a cache, in the week before.",
    )


def _break_row(view: View, found: CacheBreak) -> Row:
    since, until = found.since.date(), found.until.date() if found.until else view.period.until
    where = {"team": found.team, "feature": found.feature, "model": found.model}
    return (
        Link(
            f"{found.team} › {found.feature} › {found.model}",
            view.link("/requests", since=since.isoformat(), until=until.isoformat(), **where),
        ),
        f"{found.since:%Y-%m-%d %H:%M}",
        f"{found.until:%Y-%m-%d %H:%M}" if found.until else "goes on",
        found.hit_share_before,
        found.hit_share_since,
        Money(found.lost_usd_per_day),
        Money(found.lost_usd),
    )
