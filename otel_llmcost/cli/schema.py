"""`otel-llmcost schema`: create or inspect the ledger's tables."""

from __future__ import annotations

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.cli._output import Column, print_table
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.settings import Settings

__all__ = ["schema"]


@click.group()
def schema() -> None:
    """
    Create or inspect the ledger's tables.

    \b
    Examples:
      otel-llmcost schema status
      otel-llmcost schema apply --dsn https://writer:secret@clickhouse.example.com:8443/llmcost
    """


@schema.command()
@dsn_option
def apply(dsn: str | None) -> None:
    """Create what is missing; safe to run again, and by several at once."""
    with connect(dsn or Settings.from_env().ledger_dsn()) as ledger:
        applied = migrations.apply(ledger)
    for name in applied:
        click.echo(name)
    click.echo(f"{len(applied)} applied" if applied else "Everything is up to date", err=True)


@schema.command()
@dsn_option
@click.pass_context
def status(context: click.Context, dsn: str | None) -> None:
    """List every file of the schema and where it stands; exit code 3 when one is not applied as it is."""
    with connect(dsn or Settings.from_env().ledger_dsn()) as ledger:
        found = migrations.status(ledger)
    rows = [
        [each.name, each.state, f"{each.applied_at:%Y-%m-%d %H:%M} UTC" if each.applied_at else ""] for each in found
    ]
    print_table([Column("File"), Column("State"), Column("Applied", keep=1)], rows)
    if any(each.state != "applied" for each in found):
        context.exit(3)
