"""`otel-llmcost explain`: the arithmetic of a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal

import click

from otel_llmcost.cli._options import dsn_option, table_or_json
from otel_llmcost.cli._output import Column, print_facts, print_json, print_table, print_text
from otel_llmcost.reports import ExplainedRequest, sentences
from otel_llmcost.reports import explain as find_explained
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings

__all__ = ["explain"]


@click.command()
@click.argument("id")
@table_or_json
@dsn_option
def explain(id: str, format: str, dsn: str | None) -> None:
    """
    Show why a request cost what it cost: every count, its unit price, the price's source and date.

    ID is a request, response, trace or span id; every request that it names is shown.

    \b
    Examples:
      otel-llmcost explain chatcmpl-CDp4Qn2
      otel-llmcost explain 4d7eaaf6323a1a38 --format json
    """
    with open_ledger(Settings.from_env(), dsn) as ledger:
        found = find_explained(ledger, id)
    if format == "json":
        print_json([_json(each) for each in found])
        return
    for number, each in enumerate(found):
        if number:
            click.echo()
        _print(each)
    if len(found) > 1:
        click.echo()
        print_text(sentences.together(found))


def _print(found: ExplainedRequest) -> None:
    row = found.row
    print_text(f"{sentences.instant(row['timestamp'])}  {row['provider']} {row['model']}  {sentences.cost(row)}")
    print_facts([(name, text) for name, text in sentences.facts(found) if text])
    if found.lines:
        click.echo()
        print_table(_ARITHMETIC, list(_arithmetic(found)))
    if not found.agrees:
        print_text(sentences.DISAGREES)
    for line in sentences.copies(found):
        print_text(line)
    for each in found.adjustments:
        print_text(sentences.adjusted(each))
    if found.adjustments:
        print_text(f"After adjustments: {sentences.final_cost(found)}")


_ARITHMETIC = [
    Column("Count", whole=True),
    Column("Quantity", right=True),
    Column("Price", right=True, keep=3),
    Column("Unit", keep=3),
    Column("Cost", right=True),
]


def _arithmetic(found: ExplainedRequest) -> Iterator[list[str]]:
    for line in found.lines:
        price = "no rate" if line.unit_price is None else f"${line.unit_price}"
        cost = "not known" if line.cost_usd is None else f"${exact_usd(line.cost_usd)}"
        yield [line.count, f"{line.quantity:,}", price, sentences.unit(line), cost]
    yield ["Total", "", "", "", sentences.cost(found.row)]


def _json(found: ExplainedRequest) -> dict[str, object]:
    return {
        "request": _plain(found.row),
        "copies": [_plain(row) for row in found.copies],
        "arithmetic": [_plain(asdict(line)) for line in found.lines],
        "rate": None if found.rate is None else {name: getattr(found.rate, name) for name in _RATE},
        "adjustments": [_plain(row) for row in found.adjustments],
        "final_cost_usd": None if found.final_cost_usd is None else exact_usd(found.final_cost_usd),
    }


_RATE = ("rate_id", "source", "version", "effective_from", "effective_to", "content")


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: exact_usd(value) if isinstance(value, Decimal) else value for name, value in row.items()}
