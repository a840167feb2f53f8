"""`otel-llmcost demo`: the main job on simulated traffic, and the dashboard on weeks of it."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from otel_llmcost.cli import serve
from otel_llmcost.cli.report import report
from otel_llmcost.demo import run, worked
from otel_llmcost.demo.world import DAYS
from otel_llmcost.reports import explain
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings

__all__ = ["demo"]

_REQUESTS: Final = 250_000
_SEED: Final = 1


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".llmcost-demo"),
    show_default=True,
    help="Where its ledger goes; an earlier demo there is replaced.",
)
@click.option(
    "--requests",
    type=click.IntRange(min=0),
    default=_REQUESTS,
    show_default=True,
    help="How many requests the weeks before have; 0: none.",
)
@click.option("--seed", type=int, default=_SEED, show_default=True, help="Another seed draws other requests.")
@click.option("--live", is_flag=True, help="Go on sending a few requests a second.")
@click.option("--no-serve", is_flag=True, help="End after the reports, without the dashboard.")
@click.pass_context
def demo(context: click.Context, folder: Path, requests: int, seed: int, live: bool, no_serve: bool) -> None:
    """
    Run the main job on simulated traffic, print its report, and show weeks of a company's requests.

    First the real openai and anthropic clients, with their OpenTelemetry instrumentation, talk to a provider simulator
    on this machine; nothing leaves it, and no key is needed. Each request is priced, stored in an embedded ClickHouse
    and reported. Then come two months of spans of a made-up company, through the same processor, journal and shipper.

    \b
    Examples:
      otel-llmcost demo
      otel-llmcost demo --live
      otel-llmcost demo --requests 0 --no-serve --folder /tmp/llmcost-demo
    """
    if live and no_serve:
        raise click.UsageError("--live sends to the dashboard until Ctrl-C: leave --no-serve out")
    folder = folder.absolute()
    _first_requests(context, folder)
    if requests:
        _history(context, folder, requests, seed)
    click.echo(f"Ask the same ledger more:\n  export OTEL_LLMCOST_DSN=chdb://{folder}")
    click.echo(f"  {run.command()} explain demo-openai\n  {run.command()} report --by customer,model")
    if not no_serve:
        _show(folder, live=live)


def _first_requests(context: click.Context, folder: Path) -> None:
    click.echo("Loading the openai and anthropic clients", err=True)
    count = run.count_requests()
    with click.progressbar(length=count, label="Sending requests", file=sys.stderr) as bar:
        sent = run.run(folder, bar.update)
    click.echo("Opening the embedded ClickHouse and shipping the journal", err=True)
    dsn = f"chdb://{folder}"
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


def _history(context: click.Context, folder: Path, requests: int, seed: int) -> None:
    from otel_llmcost.demo.findings import findings
    from otel_llmcost.demo.history import history

    began = time.monotonic()
    stored = 0

    def rate(_item: object) -> str:
        return f"{stored / max(0.001, time.monotonic() - began):,.0f} requests/s"

    with click.progressbar(
        length=requests, label=f"Sending the {DAYS} days before", file=sys.stderr, item_show_func=rate
    ) as bar:

        def done(more: int) -> None:
            nonlocal stored
            stored += more
            bar.update(more, stored)

        calendar = history(folder, requests, seed, done)
    seconds = time.monotonic() - began
    click.echo(
        f"{stored:,} requests of {DAYS} days before, from a made-up company, through the same processor, journal and\n"
        f"shipper: {seconds:.0f} s, {stored / seconds:,.0f} a second.\n"
    )
    dsn = f"chdb://{folder}"
    context.invoke(
        report, by="team", since=f"{DAYS + 1}d", until=None, month=None, where=(), top=None, format="table", dsn=dsn
    )
    click.echo("\nWhat happened, and what shows it:")
    for each in findings(calendar):
        click.echo(f"  {each.day:%d %b}  {each.what}\n          {run.command()} {each.command}")
    click.echo()


def _show(folder: Path, *, live: bool) -> None:
    from otel_llmcost.demo.history import settings_of
    from otel_llmcost.demo.live import Live

    with Live(folder) if live else nullcontext():
        serve.run(settings_of(folder), serve.Showing())
