"""`otel-llmcost serve`: the owner of an embedded ledger."""

from __future__ import annotations

import logging
import os
import signal
from queue import SimpleQueue

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.server import Server
from otel_llmcost.settings import Settings

__all__ = ["serve"]


@click.command()
@dsn_option
def serve(dsn: str | None) -> None:
    """
    Own an embedded ledger: ship its journal every second and answer the other commands, until Ctrl-C or SIGTERM.

    While it runs, `report`, `requests`, `explain`, `doctor` and `verify` of the same user on this machine ask it.
    Applications need it neither to start nor to run: what they write meanwhile waits in the journal. For a ClickHouse
    server it ships only.

    \b
    Examples:
      otel-llmcost serve
      otel-llmcost serve --dsn chdb:///var/lib/llmcost
    """
    stop: SimpleQueue[int] = SimpleQueue()
    server = Server(Settings.from_env(), dsn)
    for number in (signal.SIGINT, signal.SIGTERM):  # only now: while it waits for the ledger, a signal just ends it
        signal.signal(number, lambda received, _frame: stop.put(received))
    click.echo(f"{str(server)[0].upper()}{str(server)[1:]}. Ctrl-C ends it.", err=True)
    try:
        server.run(stop)
    finally:
        ended = server.close()
    if not ended:  # an engine at work cannot be left but by the end of the process; the journal has what it was at
        logging.shutdown()
        os._exit(0)
