"""`otel-llmcost demo`: the main job on simulated traffic."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import click

from otel_llmcost.cli.report import report
from otel_llmcost.demo import run, worked
from otel_llmcost.reports import explain
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings

__all__ = ["demo"]


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".llmcost-demo"),
    show_default=True,
    help="Where its ledger goes; an earlier demo there is replaced.",
)
@click.option(
    "--no-serve", is_flag=True, help="End after the report, as the demo does anyway until it has a dashboard."
)
@click.pass_context
def demo(context: click.Context, folder: Path, no_serve: bool) -> None:
    """
    Run the main job on simulated traffic and print its report.

    The real openai and anthropic clients, with their OpenTelemetry instrumentation, talk to a provider simulator on
    this machine; nothing leaves it, and no key is needed. Each request is priced, stored in an embedded ClickHouse
    and reported.

    \b
    Examples:
      otel-llmcost demo
      otel-llmcost demo --folder /tmp/llmcost-demo
    """
    click.echo("Loading the openai and anthropic clients", err=True)
    count = run.count_requests()
    with click.progressbar(length=count, label="Sending requests", file=sys.stderr) as bar:
        sent = run.run(folder.absolute(), bar.update)
    click.echo("Opening the embedded ClickHouse and shipping the journal", err=True)
    dsn = f"chdb://{folder.absolute()}"
    with open_ledger(Settings(), dsn) as ledger:
        requests = [(explain(ledger, name)[0], per_day) for name, per_day in worked.PER_DAY.items()]
    click.echo("Two requests, line by line\n")
    for request, per_day in requests:
        click.echo("\n".join(worked.work_out(request, per_day)) + "\n")
    click.echo(
        f"{sent.requests} requests of the real clients (openai {version('openai')}, anthropic {version('anthropic')})"
        f" made {sent.spans} spans;\neach request is one row, whatever the number of its spans.\n"
    )
    for by in ("team,feature", "model"):
        context.invoke(report, by=by, since="2d", until=None, month=None, where=(), top=None, format="table", dsn=dsn)
        click.echo()
    click.echo(f"Ask the same ledger more:\n  export OTEL_LLMCOST_DSN={dsn}")
    click.echo(f"  {run.command()} explain demo-openai\n  {run.command()} report --by customer,model")
