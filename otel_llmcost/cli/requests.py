"""`otel-llmcost requests`: the rows behind a report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

import click

from otel_llmcost.cli._frame import request_cost
from otel_llmcost.cli._options import (
    NO_REQUESTS,
    asked,
    dsn_option,
    format_option,
    period_of,
    period_options,
    where_of,
    where_option,
)
from otel_llmcost.cli._output import Column, Number, print_csv, print_json, print_markdown, print_table, print_text
from otel_llmcost.reports import RequestRow
from otel_llmcost.reports import requests as find_requests
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.requests import COLUMNS, SORTS, Facts, Sort
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings

__all__ = ["requests"]


@click.command()
@period_options
@where_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    metavar="N",
    help="Show at most so many.",
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="time",
    show_default=True,
    help="Newest first, or most costly first; unknown costs are last.",
)
@click.option("--wasted", is_flag=True, help="Only what failed, or was repeated although the first was charged.")
@format_option
@dsn_option
def requests(
    since: str | None,
    until: str | None,
    month: str | None,
    where: tuple[str, ...],
    limit: int,
    sort: Sort,
    wasted: bool,
    format: str,
    dsn: str | None,
) -> None:
    """
    The rows behind a report, newest first: requests, and adjustments with their sign.

    \b
    Examples:
      otel-llmcost requests --where customer=acme --limit 20
      otel-llmcost requests --sort cost --wasted
      otel-llmcost requests --where price_status=unpriced --format csv
    """
    with asked():
        settings = Settings.from_env()
        period, filters = period_of(since, until, month), where_of(where, settings)
        with open_ledger(settings, dsn) as ledger:
            rows = find_requests(
                ledger,
                since=period.since,
                until=period.until,
                where=filters,
                limit=limit,
                sort=sort,
                facts=Facts(wasted=wasted),
            )
    if format == "json":
        print_json([{name: _plain(value) for name, value in asdict(row).items()} for row in rows])
    elif format == "csv":
        print_csv(COLUMNS, [[_plain(value) for value in asdict(row).values()] for row in rows])
    else:
        show = print_table if format == "table" else print_markdown
        show(
            _TABLE,
            [_cells(row) for row in rows],
            notes=["Why one cost what it did: otel-llmcost explain SPAN_ID"] if rows else ["None."],
        )
    if not rows:
        print_text(NO_REQUESTS, err=True)


_TABLE = [
    Column("Time (UTC)", keep=8, whole=True),
    Column("Team", keep=6),
    Column("Feature", keep=5),
    Column("Customer", keep=7),
    Column("Model", keep=4),
    Column("Status", keep=3),
    Column("Tokens in", right=True, keep=1),
    Column("out", right=True, keep=1),
    Column("Cost", right=True),
    Column("Span ID", whole=True),
]


def _cells(row: RequestRow) -> list[str]:
    status = row.status if row.attempt_kind == "initial" else f"{row.status} ({row.attempt_kind})"
    return [
        f"{row.timestamp:%Y-%m-%d %H:%M:%S}",
        row.team,
        row.feature,
        row.customer_id,
        row.model,
        status,
        "" if row.input_tokens is None else f"{row.input_tokens:,}",
        "" if row.output_tokens is None else f"{row.output_tokens:,}",
        request_cost(row),
        row.span_id,
    ]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return Number(exact_usd(value))
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
