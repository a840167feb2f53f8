"""`otel-llmcost serve`: the dashboard, the owner of an embedded ledger, and the receiver of other services' spans."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import click

from otel_llmcost.cli._options import dsn_option
from otel_llmcost.errors import MissingExtra, SettingsError
from otel_llmcost.http.address import Address
from otel_llmcost.http.tokens import Tokens
from otel_llmcost.pricing import Pricer
from otel_llmcost.server import Server
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.dashboard.listening import Dashboard
    from otel_llmcost.receiver.listening import Receiver

__all__ = ["Showing", "run", "serve"]

DASHBOARD: Final = "127.0.0.1:8321"
_OFF: Final = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How the dashboard is shown, in the words of the options."""

    dashboard: str | None = None
    token_file: Path | None = None
    proxy_header: str = ""
    host_names: tuple[str, ...] = ()
    team: str | None = None
    trace_link: str = ""


@click.command()
@dsn_option
@click.option("--dashboard", metavar="[HOST:]PORT|off", help=f"Show pages here; default: {DASHBOARD}, or a free port.")
@click.option(
    "--token-file", metavar="FILE", type=Path, help="Who opens a page must show its token, or one of two (mode 0600)."
)
@click.option(
    "--proxy-header", metavar="NAME", default="", help="Whom a proxy in front names in this header is let in."
)
@click.option(
    "--host-name", metavar="NAME", multiple=True, help="A name that browsers know this server by; repeatable."
)
@click.option("--team", metavar="TEAM", help="Show this team's requests only.")
@click.option("--trace-link", metavar="URL", default="", help="Link traces: https://…/trace/{trace_id}?span={span_id}")
@click.option("--otlp", metavar="[HOST:]PORT", help="Receive spans over OTLP/HTTP here; the host's default: 127.0.0.1.")
@click.option(
    "--otlp-token-file",
    metavar="FILE",
    type=Path,
    help="Senders must show its bearer token, or one of two (mode 0600).",
)
@click.option("--otlp-without-token", is_flag=True, help="Listen beyond this machine, for whoever can reach it.")
def serve(
    dsn: str | None,
    dashboard: str | None,
    token_file: Path | None,
    proxy_header: str,
    host_name: tuple[str, ...],
    team: str | None,
    trace_link: str,
    otlp: str | None,
    otlp_token_file: Path | None,
    otlp_without_token: bool,
) -> None:
    """
    Show the dashboard, own an embedded ledger, ship its journal every second, until Ctrl-C or SIGTERM.

    While it runs, `report`, `requests`, `explain`, `doctor` and `verify` of the same user on this machine ask it.
    Applications need it neither to start nor to run: what they write meanwhile waits in the journal.

    With --otlp it also takes spans of services in any language, from a Collector or an SDK: each is read, priced and
    journaled before it is answered.

    \b
    Examples:
      otel-llmcost serve
      otel-llmcost serve --dsn chdb:///var/lib/llmcost
      otel-llmcost serve --dashboard 0.0.0.0:8321 --token-file /run/secrets/llmcost-dashboard
      otel-llmcost serve --dashboard off --otlp 0.0.0.0:4318 --otlp-token-file /run/secrets/llmcost
    """
    showing = Showing(
        dashboard=dashboard,
        token_file=token_file,
        proxy_header=proxy_header,
        host_names=host_name,
        team=team,
        trace_link=trace_link,
    )
    settings = Settings.from_env(dsn=dsn)
    otlp_tokens = None if otlp_token_file is None else Tokens(otlp_token_file)
    if otlp is not None:
        _check(otlp, is_open=otlp_tokens is None and not otlp_without_token)
    run(
        settings,
        showing,
        receive=None if otlp is None else lambda _server: _receive(settings, otlp, otlp_tokens),
    )


def run(settings: Settings, showing: Showing, receive: Callable[[Server], Receiver] | None = None) -> None:
    """Serve the ledger of `settings` until a signal ends it; `receive` begins to take spans."""
    stop: SimpleQueue[int] = SimpleQueue()
    show = _shower(settings, showing)
    server = Server(settings)
    with ExitStack() as on_error:
        on_error.callback(server.close)
        parts: list[Receiver | Dashboard] = []
        for begin in (receive, show):
            if begin is not None:
                parts.append(begin(server))
                on_error.callback(parts[-1].close)
        on_error.pop_all()
    for number in (signal.SIGINT, signal.SIGTERM):  # only now: while it waits for the ledger, a signal just ends it
        signal.signal(number, lambda received, _frame: stop.put(received))
    what = "; ".join(map(str, (server, *parts)))
    click.echo(f"{what[0].upper()}{what[1:]}. Ctrl-C ends it.", err=True)
    try:
        server.run(stop)
    finally:
        for part in parts:
            part.close()
        ended = server.close()
    if not ended:  # an engine at work cannot be left but by the end of the process; the journal has what it was at
        logging.shutdown()
        os._exit(0)


def _shower(settings: Settings, showing: Showing) -> Callable[[Server], Dashboard] | None:
    """Prepare to show pages; None where nobody wants them, or, unless they were asked for, where they cannot be shown."""
    if showing.dashboard == _OFF:
        return None
    if any(find_spec(name) is None for name in ("uvicorn", "starlette", "jinja2")):
        missing = "the dashboard needs a web server and templates: pip install 'otel-llmcost[dashboard]'"
        if showing != Showing():
            raise MissingExtra(missing)
        click.echo(f"No dashboard: {missing}", err=True)
        return None
    from otel_llmcost.dashboard.access import Access
    from otel_llmcost.dashboard.listening import Dashboard, Wish
    from otel_llmcost.dashboard.page import House

    wish = Wish(
        address=Address.parse(showing.dashboard or DASHBOARD, "--dashboard"), is_default=showing.dashboard is None
    )
    access = Access(
        hosts=frozenset(name.lower() for name in showing.host_names),
        tokens=None if showing.token_file is None else Tokens(showing.token_file, "--token-file"),
        proxy_header=showing.proxy_header,
    )
    access.check_address(str(wish.address), is_loopback=wish.address.is_loopback)

    def show(server: Server) -> Dashboard:
        house = House(
            ledger=server,
            settings=settings,
            place=str(server.place),
            backlog=server.backlog,
            pricer=cache(lambda: Pricer.from_settings(settings)),
            trace_link=showing.trace_link,
            fixed={} if showing.team is None else {"team": showing.team},
        )
        return Dashboard(house, access, wish)

    return show


def _check(otlp: str, *, is_open: bool) -> None:
    """Refuse what cannot work before anything is opened, and an address that strangers could send costs to."""
    if any(find_spec(name) is None for name in ("uvicorn", "starlette", "opentelemetry.proto")):
        raise MissingExtra("--otlp needs a web server and OTLP's classes: pip install 'otel-llmcost[otlp]'")
    address = Address.parse(otlp, "--otlp")
    if is_open and not address.is_loopback:
        raise SettingsError(
            f"--otlp {otlp} can be reached from other machines, and who sends spans writes costs in anyone's name: give "
            "--otlp-token-file, or --otlp-without-token where the network lets only your own senders through"
        )


def _receive(settings: Settings, otlp: str, tokens: Tokens | None) -> Receiver:
    from otel_llmcost.receiver.listening import Receiver

    return Receiver(settings, Address.parse(otlp, "--otlp"), tokens)
