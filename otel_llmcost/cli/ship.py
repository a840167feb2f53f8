"""`otel-llmcost ship`: one shipper for all the processes of a node."""

from __future__ import annotations

import signal
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.errors import SettingsError
from otel_llmcost.ledger import Dsn, connect, migrations, parse_dsn
from otel_llmcost.metrics import process_metrics
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import Drained, ShipperThread, drain
from otel_llmcost.verify.quarantine import lost_text, quarantined

__all__ = ["ship"]

_LOOK_SECONDS: Final = 5.0
_OTHERS_SECONDS: Final = 5.0
"""So long may another process have the last segments in hand before `--once` says that they are left."""
_EXIT_SECONDS: Final = 2.0


@click.command()
@dsn_option
@click.option("--once", is_flag=True, help="Ship what waits and end; exit code 1 if anything is left.")
@click.pass_context
def ship(context: click.Context, dsn: str | None, once: bool) -> None:
    """
    Ship the journals of all processes of this user to a ClickHouse server, until Ctrl-C or SIGTERM.

    Small segments are merged first, so that a hundred processes cost the server as few inserts as one. Set
    OTEL_LLMCOST_SHIP=false in the applications: they only write, and need no connection. An embedded ledger is shipped
    by its owner (`otel-llmcost serve`); while nobody owns it, --once ships it too.

    \b
    Examples:
      otel-llmcost ship --dsn https://writer:secret@clickhouse.example.com:8443/llmcost
      otel-llmcost ship --once
    """
    settings = Settings.from_env(dsn=dsn)
    place = parse_dsn(settings.ledger_dsn())
    if once:
        directory = place.journal_dir(settings)
        lost_before = _lost(directory)
        drained = _ship_once(place, settings)
        _say(drained, lost=_lost(directory) - lost_before)
        context.exit(1 if drained.left or drained.reasons else 0)
    if place.kind == "chdb":
        raise SettingsError(
            f"{place} is shipped by the process that owns it: run `otel-llmcost serve`, or `otel-llmcost ship --once`"
        )
    _ship_until_told(place, settings)


def _ship_once(place: Dsn, settings: Settings) -> Drained:
    with connect(place) as ledger:
        if place.kind == "chdb":
            migrations.apply(ledger)
        return drain(
            ledger,
            place.journal_dir(settings),
            fingerprint=place.fingerprint,
            wait_seconds=_OTHERS_SECONDS,
            on_shipped=process_metrics().add_shipped if settings.metrics else None,
        )


def _ship_until_told(place: Dsn, settings: Settings) -> None:
    stop: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stop.put(received))
    directory = place.journal_dir(settings)
    shipper = ShipperThread(
        connect=lambda: connect(place),
        directory=directory,
        fingerprint=place.fingerprint,
        on_shipped=process_metrics().add_shipped if settings.metrics else None,
        merging=True,
        look_seconds=_LOOK_SECONDS,
    )
    click.echo(f"Ships {directory} to {place}. Ctrl-C ends it.", err=True)
    shipper.start()
    stop.get()
    shipper.stop(_EXIT_SECONDS)


def _lost(directory: Path) -> int:
    """Count what was found damaged so far: its rows are gone, and only this tells."""
    return sum(each.home is None for each in quarantined(directory))


def _say(drained: Drained, *, lost: int) -> None:
    said = [f"{drained.rows} rows acknowledged in {drained.segments} segments"]
    if drained.found:
        said.append(f"{drained.found} were in the ledger already: see `otel-llmcost verify`")
    if drained.refused:
        said.append(f"{drained.refused} refused by the ledger and set aside in quarantine/")
    if lost > 0:
        said.append(f"{lost_text(lost)}: see quarantine/")
    if drained.unfinished:
        said.append(f"{drained.unfinished} segments are still being written")
    if drained.left:
        said.append(f"{drained.left} segments are left")
    click.echo("; ".join(said), err=True)
    for reason in drained.reasons:
        click.echo(f"Not shipped: {reason}", err=True)
