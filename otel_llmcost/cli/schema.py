"""`otel-llmcost schema`: create or inspect the ledger's tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.cli._output import Column, print_table
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.access import access_statements, apply_access
from otel_llmcost.ledger.otel_traces import Attributes, TracesTable, apply_views, backfill, view_statements
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
      otel-llmcost schema apply --from-otel-traces otel.otel_traces --backfill
      otel-llmcost schema show --with-access
    """


def _place_options(command: Command) -> Command:
    text = "Also the roles llmcost_writer, llmcost_reader and llmcost_team_reader (servers only)."
    command = click.option("--with-access", is_flag=True, help=text)(command)
    text = "Also a view of this table of the Collector's exporter, for spans that were priced at their source."
    command = click.option("--from-otel-traces", "traces", metavar="DATABASE.TABLE", help=text)(command)
    text = "Tables on every node of this cluster; default OTEL_LLMCOST_CLUSTER, else one server."
    return dsn_option(click.option("--cluster", metavar="NAME", help=text)(command))


@schema.command()
@_place_options
@click.option("--backfill", "with_history", is_flag=True, help="Also the spans that the table of traces already has.")
def apply(dsn: str | None, cluster: str | None, with_access: bool, traces: str | None, with_history: bool) -> None:
    """
    Create what is missing; safe to run again, and by several at once.

    \b
    Examples:
      otel-llmcost schema apply --dsn https://writer:secret@clickhouse.example.com:8443/llmcost
      otel-llmcost schema apply --cluster main --with-access
    """
    if with_history and traces is None:
        raise click.UsageError("--backfill needs --from-otel-traces: name the table whose spans are to be stored")
    settings = Settings.from_env(dsn=dsn, cluster=cluster)
    source = None if traces is None else TracesTable.parse(traces)
    with connect(settings.ledger_dsn()) as ledger:
        applied = migrations.apply(ledger, settings.cluster)
        for name in applied:
            click.echo(name)
        click.echo(f"{len(applied)} applied" if applied else "Everything is up to date", err=True)
        if with_access:
            for name in apply_access(ledger, settings.cluster):
                click.echo(name)
        if source is not None:
            for name in apply_views(ledger, source, settings.cluster):
                click.echo(name)
            if with_history:
                _backfill(ledger, source)


def _backfill(ledger: Ledger, source: TracesTable) -> None:
    added = 0
    for month in backfill(ledger, source):
        click.echo(f"{month.month[:4]}-{month.month[4:]}: {month.added:,} requests added", err=True)
        added += month.added
    click.echo(f"{added:,} requests added from {source}")


@schema.command(short_help="Print the SQL that `apply` runs.")
@_place_options
@click.option(
    "--attributes",
    type=click.Choice(get_args(Attributes)),
    default="map",
    show_default=True,
    help="How the table of traces keeps them; `apply` looks for itself.",
)
def show(dsn: str | None, cluster: str | None, with_access: bool, traces: str | None, attributes: Attributes) -> None:
    """
    Print the SQL that `apply` runs on an empty server, for people who run it by hand; connects to nothing.

    \b
    Examples:
      otel-llmcost schema show --dsn http://clickhouse.example.com:8123/llmcost > schema.sql
      otel-llmcost schema show --cluster main --with-access
    """
    settings = Settings.from_env(dsn=dsn, cluster=cluster)
    database = parse_dsn(settings.ledger_dsn()).database
    statements = [*migrations.script(database, settings.cluster)]
    if with_access:
        statements += access_statements(database, settings.cluster).values()
    if traces is not None:
        statements += view_statements(TracesTable.parse(traces), attributes, settings.cluster)
    for statement in statements:
        click.echo(f"{statement.rstrip()};\n")


@schema.command(short_help="List the files of the schema and where each stands.")
@dsn_option
@click.pass_context
def status(context: click.Context, dsn: str | None) -> None:
    """
    List every file of the schema and where it stands; exit code 3 when one is not applied as it is.

    \b
    Examples:
      otel-llmcost schema status
      otel-llmcost schema status --dsn https://reader:secret@clickhouse.example.com:8443/llmcost
    """
    with connect(dsn or Settings.from_env().ledger_dsn()) as ledger:
        found = migrations.status(ledger)
    rows = [
        [each.name, each.state, f"{each.applied_at:%Y-%m-%d %H:%M} UTC" if each.applied_at else ""] for each in found
    ]
    print_table([Column("File"), Column("State"), Column("Applied", keep=1)], rows)
    if any(each.state != "applied" for each in found):
        context.exit(3)
