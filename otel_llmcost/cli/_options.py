"""Options that several commands share, and how their words become arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import click

from otel_llmcost.cli._output import FORMATS
from otel_llmcost.errors import ReportError
from otel_llmcost.ownership import OwnerHash
from otel_llmcost.reports.dimensions import DIMENSIONS
from otel_llmcost.reports.period import Period, month, period
from otel_llmcost.settings import Settings

__all__ = [
    "NO_REQUESTS",
    "asked",
    "dsn_option",
    "format_option",
    "period_of",
    "period_options",
    "where_of",
    "where_option",
]

NO_REQUESTS: Final = (
    "No requests in this period: look further back with --since, and at what `otel-llmcost doctor` says; is the "
    "application's ledger the one that --dsn or OTEL_LLMCOST_DSN names here?"
)
_SINCE: Final = "30d"
Command = TypeVar("Command", bound=Callable[..., object])


def dsn_option(command: Command) -> Command:
    """Add `--dsn`."""
    return click.option("--dsn", metavar="DSN", help="The ledger; default OTEL_LLMCOST_DSN.")(command)


def format_option(command: Command) -> Command:
    """Add `--format`."""
    return click.option("--format", type=click.Choice(FORMATS), default="table", show_default=True)(command)


def where_option(command: Command) -> Command:
    """Add `--where`, repeatable."""
    text = "Only charges with this value; repeatable."
    return click.option("--where", multiple=True, metavar="DIMENSION=VALUE", help=text)(command)


def period_options(command: Command) -> Command:
    """Add `--since`, `--until` and `--month`."""
    command = click.option("--month", metavar="2026-10", help="One month, instead of --since and --until.")(command)
    command = click.option("--until", metavar="DATE", help="Up to this UTC day, not included; default: all.")(command)
    text = f"From this UTC day, or so many days with today; default: {_SINCE}."
    return click.option("--since", metavar="DATE|30d", help=text)(command)


def period_of(since: str | None, until: str | None, month_text: str | None) -> Period:
    """Read the period options. Raises `ReportError`, also for two answers to one question."""
    if month_text is None:
        return period(since or _SINCE, until)
    if since is not None or until is not None:
        raise ReportError("--month is a whole period: leave out --since and --until, or --month")
    return month(month_text)


def where_of(where: tuple[str, ...], settings: Settings) -> dict[str, str]:
    """Read `--where team=search`; a value that is stored as a hash is asked for by it. Raises `ReportError`."""
    pairs = [text.partition("=") for text in where]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise ReportError(f"--where {wrong[0]!r} is not DIMENSION=VALUE, as in --where team=search")
    columns = [DIMENSIONS.get(name, name) for name, _, _ in pairs]
    if twice := [name for (name, _, _), column in zip(pairs, columns, strict=True) if columns.count(column) > 1]:
        raise ReportError(f"--where {twice[-1]}=… is given twice: a charge has one value; ask once for each")
    stored = OwnerHash.from_settings(settings)
    return {name: stored.of(column, value) for (name, _, value), column in zip(pairs, columns, strict=True)}


@contextmanager
def asked() -> Iterator[None]:
    """Answer a question about something that does not exist as wrong usage: exit code 2."""
    try:
        yield
    except ReportError as error:
        raise click.UsageError(str(error)) from error
