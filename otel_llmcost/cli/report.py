"""`otel-llmcost report`: what was spent, by one or two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import click

from otel_llmcost.cli._frame import spend_cost
from otel_llmcost.cli._options import (
    NO_REQUESTS,
    asked,
    by_option,
    dsn_option,
    format_option,
    period_of,
    period_options,
    where_of,
    where_option,
)
from otel_llmcost.cli._output import Column, Number, print_csv, print_json, print_markdown, print_table, print_text
from otel_llmcost.cli._trends import NO_TRENDS, Trends, trends_of
from otel_llmcost.model import EXACT
from otel_llmcost.reports import Measures, Report, spend
from otel_llmcost.reports.money import exact_usd, share, usd
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.reports.spend import MEASURES
from otel_llmcost.settings import Settings

__all__ = ["report"]


@click.command()
@by_option
@period_options
@where_option
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Keep the N that cost most; fold the rest.")
@format_option
@dsn_option
def report(
    by: str,
    since: str | None,
    until: str | None,
    month: str | None,
    where: tuple[str, ...],
    top: int | None,
    format: str,
    dsn: str | None,
) -> None:
    """
    What was spent, by one or two dimensions, in exact US dollars and UTC days.

    For people, a report by one dimension says how each cost changed against as much time before, and on a wide terminal
    draws its days. A pipe gets the same aligned text, whole; csv and json have every measure, exactly.

    \b
    Examples:
      otel-llmcost report --by team
      otel-llmcost report --by customer --top 20 --month 2026-10
      otel-llmcost report --by feature,model --where team=search --format csv
    """
    with asked():
        settings = Settings.from_env()
        period, filters = period_of(since, until, month), where_of(where, settings)
        with open_ledger(settings, dsn) as ledger:
            found = spend(ledger, by.split(","), since=period.since, until=period.until, where=filters, top=top)
            trends = trends_of(ledger, found, top=top, bars=format == "table") if format in _TRENDS else NO_TRENDS
    if format in _TRENDS:
        _TRENDS[format](found, trends)
    else:
        _PRINT[format](found)
    if not found.rows:
        print_text(NO_REQUESTS, err=True)


def _print_table(found: Report, trends: Trends) -> None:
    print_text(_title(found))
    print_table(_columns(found, trends), _cells(found, trends), notes=[*_notes(found), *trends.notes])


def _print_markdown(found: Report, trends: Trends) -> None:
    click.echo(f"**{_title(found)}**\n")
    print_markdown(_columns(found, trends), _cells(found, trends), notes=[*_notes(found), *trends.notes])


def _title(found: Report) -> str:
    filters = "".join(f", {name} = {value}" for name, value in found.where.items())
    return f"LLM cost by {', '.join(found.by)}, {found.period}{filters}"


def _print_csv(found: Report) -> None:
    rows = [(*row.key, *map(_exact, _values(row.measures))) for row in found.rows]
    print_csv([*found.by, *MEASURES], rows)


def _print_json(found: Report) -> None:
    print_json(
        {
            "period": {"since": found.period.since, "until": found.period.until, "timezone": "UTC"},
            "by": found.by,
            "where": found.where,
            "rows": [dict(zip(found.by, row.key, strict=True)) | _json(row.measures) for row in found.rows],
            "total": _json(found.total),
            "unattributed_usd": exact_usd(found.unattributed_usd),
            "unattributed_of": found.unattributed_of,
            "partial_requests": found.total.partial_requests,
            "unpriced_requests": found.total.unpriced_requests,
            "failed_without_usage": found.total.failed_without_usage,
        }
    )


_TRENDS = {"table": _print_table, "markdown": _print_markdown}
_PRINT = {"csv": _print_csv, "json": _print_json}


def _columns(found: Report, trends: Trends) -> list[Column]:
    dimensions = [Column(name.replace("_", " ").capitalize()) for name in found.by]
    return [
        *dimensions,
        Column("Cost", right=True),
        *trends.columns,
        Column("Share", right=True, keep=4),
        Column("Requests", right=True, keep=5),
        Column("Per request", right=True, keep=2),
        Column("Wasted", right=True, keep=3),
        Column("Cache saved", right=True, keep=1),
    ]


def _cells(found: Report, trends: Trends) -> list[list[str]]:
    rows = [
        [*row.key, spend_cost(row.measures), *trends.cells(row.key[0]), *_numbers(row.measures, found.total)]
        for row in found.rows
    ]
    label = ["Total", *[""] * (len(found.by) - 1)]
    return [*rows, [*label, spend_cost(found.total), *trends.cells(None), *_numbers(found.total, found.total)]]


def _numbers(measures: Measures, total: Measures) -> list[str]:
    priced = measures.requests - measures.unpriced_requests - measures.failed_without_usage
    return [
        share(measures.cost_usd, total.cost_usd),
        f"{measures.requests:,}",
        usd(EXACT.divide(measures.cost_usd, Decimal(priced))) if priced > 0 else "",
        share(measures.wasted_cost_usd, measures.cost_usd),
        usd(measures.cache_savings_usd),
    ]


def _notes(found: Report) -> list[str]:
    total = found.total
    without = " or ".join(found.unattributed_of).replace("customer_id", "customer")
    lacking = f"{share(found.unattributed_usd, total.cost_usd)} of the cost has no {without}"
    notes = [
        (
            total.unpriced_requests > 0,
            f"≥: {_requests(total.unpriced_requests)} of unknown cost, in none of these sums.",
        ),
        (total.partial_requests > 0, f"≥: {_requests(total.partial_requests)} priced in part, as a lower bound."),
        (total.failed_without_usage > 0, f"{_requests(total.failed_without_usage)} failed and reported no usage."),
        (found.unattributed_usd != 0, f"{lacking}: {usd(found.unattributed_usd)}."),
    ]
    return [note for is_so, note in notes if is_so]


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"


def _values(measures: Measures) -> Sequence[object]:
    return [getattr(measures, name) for name in MEASURES]


def _exact(value: object) -> object:
    return value if isinstance(value, int) else Number(exact_usd(value))  # type: ignore[arg-type]


def _json(measures: Measures) -> dict[str, object]:
    return dict(zip(MEASURES, map(_exact, _values(measures)), strict=True))
