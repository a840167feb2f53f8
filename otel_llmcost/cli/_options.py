"""Options that several commands share, and how their words become arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from otel_llmcost.cli._output import FORMATS
from otel_llmcost.errors import ReportError
from otel_llmcost.reports.period import Period, month, period

__all__ = ["asked", "dsn_option", "format_option", "period_of", "period_options", "where_of", "where_option"]

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
    text = "From this UTC day, or so many days with today."
    return click.option("--since", metavar="DATE|30d", default="30d", show_default=True, help=text)(command)


def period_of(since: str, until: str | None, month_text: str | None) -> Period:
    """Read the period options. Raises `ReportError`."""
    return month(month_text) if month_text else period(since, until)


def where_of(where: tuple[str, ...]) -> dict[str, str]:
    """Read `--where team=search`. Raises `ReportError`."""
    pairs = [text.partition("=") for text in where]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise ReportError(f"--where {wrong[0]!r} is not DIMENSION=VALUE, as in --where team=search")
    return {name: value for name, _, value in pairs}


@contextmanager
def asked() -> Iterator[None]:
    """Answer a question about something that does not exist as wrong usage: exit code 2."""
    try:
        yield
    except ReportError as error:
        raise click.UsageError(str(error)) from error
