"""`otel-llmcost schema`: create or inspect the ledger's tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.cli._output import Column, print_table
from otel_llmcost.ledger import connect, migrations, parse_dsn
from otel_llmcost.ledger.access import access_statements, apply_access
from otel_llmcost.settings import Settings

__all__ = ["schema"]

Command = TypeVar("Command", bound=Callable[..., object])


@click.group()
def schema() -> None:
    """
    Create or inspect the ledger's tables.

    \b
    Examples:
      otel-llmcost schema status
      otel-llmcost schema apply --dsn https://writer:secret@clickhouse.example.com:8443/llmcost
      otel-llmcost schema apply --cluster main --with-access
      otel-llmcost schema show --with-access
    """


def _place_options(command: Command) -> Command:
    text = "Also the roles llmcost_writer, llmcost_reader and llmcost_team_reader (servers only)."
    command = click.option("--with-access", is_flag=True, help=text)(command)
    text = "Tables on every node of this cluster; default OTEL_LLMCOST_CLUSTER, else one server."
    return dsn_option(click.option("--cluster", metavar="NAME", help=text)(command))


@schema.command()
@_place_options
def apply(dsn: str | None, cluster: str | None, with_access: bool) -> None:
    """Create what is missing; safe to run again, and by several at once."""
    settings = Settings.from_env(dsn=dsn, cluster=cluster)
    with connect(settings.ledger_dsn()) as ledger:
        applied = migrations.apply(ledger, settings.cluster)
        for name in applied:
            click.echo(name)
        click.echo(f"{len(applied)} applied" if applied else "Everything is up to date", err=True)
        if with_access:
            for name in apply_access(ledger, settings.cluster):
                click.echo(name)


@schema.command()
@_place_options
def show(dsn: str | None, cluster: str | None, with_access: bool) -> None:
    """Print the SQL that `apply` runs on an empty server, for people who run it by hand; connects to nothing."""
    settings = Settings.from_env(dsn=dsn, cluster=cluster)
    database = parse_dsn(settings.ledger_dsn()).database
    statements = [*migrations.script(database, settings.cluster)]
    if with_access:
        statements += access_statements(database, settings.cluster).values()
    for statement in statements:
        click.echo(f"{statement.rstrip()};\n")


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
