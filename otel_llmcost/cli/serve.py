"""`otel-llmcost serve`: the owner of an embedded ledger, and the receiver of other services' spans."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.errors import MissingExtra, SettingsError
from otel_llmcost.server import Server
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.http.tokens import Tokens
    from otel_llmcost.receiver.listening import Receiver

__all__ = ["serve"]


@click.command()
@dsn_option
@click.option("--otlp", metavar="[HOST:]PORT", help="Receive spans over OTLP/HTTP here; the host's default: 127.0.0.1.")
@click.option(
    "--otlp-token-file",
    metavar="FILE",
    type=Path,
    help="Senders must show its bearer token, or one of two (mode 0600).",
)
@click.option("--otlp-without-token", is_flag=True, help="Listen beyond this machine, for whoever can reach it.")
def serve(dsn: str | None, otlp: str | None, otlp_token_file: Path | None, otlp_without_token: bool) -> None:
    """
    Own an embedded ledger: ship its journal every second and answer the other commands, until Ctrl-C or SIGTERM.

    While it runs, `report`, `requests`, `explain`, `doctor` and `verify` of the same user on this machine ask it.
    Applications need it neither to start nor to run: what they write meanwhile waits in the journal. For a ClickHouse
    server it ships only.

    With --otlp it also takes spans of services in any language, from a Collector or an SDK: each is read, priced and
    journaled before it is answered.

    \b
    Examples:
      otel-llmcost serve
      otel-llmcost serve --dsn chdb:///var/lib/llmcost
      otel-llmcost serve --otlp 4318
      otel-llmcost serve --otlp 0.0.0.0:4318 --otlp-token-file /run/secrets/llmcost
    """
    stop: SimpleQueue[int] = SimpleQueue()
    settings = Settings.from_env(dsn=dsn)
    tokens = None if otlp_token_file is None else _tokens(otlp_token_file)
    if otlp is not None:
        _check(otlp, is_open=tokens is None and not otlp_without_token)
    server = Server(settings)
    with ExitStack() as on_error:
        on_error.callback(server.close)
        receiver = None if otlp is None else _receive(settings, otlp, tokens, server)
        on_error.pop_all()
    for number in (signal.SIGINT, signal.SIGTERM):  # only now: while it waits for the ledger, a signal just ends it
        signal.signal(number, lambda received, _frame: stop.put(received))
    what = f"{server}" if receiver is None else f"{server}; {receiver}"
    click.echo(f"{what[0].upper()}{what[1:]}. Ctrl-C ends it.", err=True)
    try:
        server.run(stop)
    finally:
        if receiver is not None:
            receiver.close()
        ended = server.close()
    if not ended:  # an engine at work cannot be left but by the end of the process; the journal has what it was at
        logging.shutdown()
        os._exit(0)


def _check(otlp: str, *, is_open: bool) -> None:
    """Refuse what cannot work before anything is opened, and an address that strangers could send costs to."""
    if any(find_spec(name) is None for name in ("uvicorn", "starlette", "opentelemetry.proto")):
        raise MissingExtra("--otlp needs a web server and OTLP's classes: pip install 'otel-llmcost[otlp]'")
    from otel_llmcost.http.address import Address

    address = Address.parse(otlp, "--otlp")
    if is_open and not address.is_loopback:
        raise SettingsError(
            f"--otlp {otlp} can be reached from other machines, and who sends spans writes costs in anyone's name: give "
            "--otlp-token-file, or --otlp-without-token where the network lets only your own senders through"
        )


def _tokens(file: Path) -> Tokens:
    from otel_llmcost.http.tokens import Tokens

    return Tokens(file)


def _receive(settings: Settings, otlp: str, tokens: Tokens | None, server: Server) -> Receiver:
    from otel_llmcost.http.address import Address
    from otel_llmcost.receiver.listening import Receiver

    return Receiver(settings, Address.parse(otlp, "--otlp"), tokens, server)
