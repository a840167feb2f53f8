"""Options that several commands share, and how their words become arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import click
from click.shell_completion import CompletionItem

from otel_llmcost.cli._output import FORMATS
from otel_llmcost.errors import ReportError
from otel_llmcost.ownership import OwnerHash
from otel_llmcost.reports.dimensions import DIMENSIONS, TIMES, column_of
from otel_llmcost.reports.period import Period, month, period
from otel_llmcost.settings import Settings

__all__ = [
    "NO_REQUESTS",
    "asked",
    "by_option",
    "complete_dimension",
    "dsn_option",
    "format_option",
    "period_of",
    "period_options",
    "table_or_json",
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


def by_option(command: Command) -> Command:
    """Add `--by`, one dimension or two; one that does not exist is wrong usage before any ledger is opened."""
    return click.option(
        "--by",
        required=True,
        metavar="ONE[,TWO]",
        help="team, feature, customer, model, day, …",
        callback=_dimensions,
        shell_complete=_complete_by,
    )(command)


def _dimensions(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    with asked():
        for name in text.split(","):
            column_of(name)
    return text


def complete_dimension(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete `te` to `team`, where time is no answer."""
    return [CompletionItem(name) for name in DIMENSIONS if name.startswith(typed) and name not in TIMES]


def _complete_by(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete `te` to `team`, and `team,mo` to `team,model`."""
    before, comma, last = typed.rpartition(",")
    return [CompletionItem(f"{before}{comma}{name}") for name in DIMENSIONS if name.startswith(last) and name != before]


def format_option(command: Command) -> Command:
    """Add `--format`."""
    text = "table and markdown are for people; json and csv have exact text."
    return click.option("--format", type=click.Choice(FORMATS), default="table", show_default=True, help=text)(command)


def table_or_json(command: Command) -> Command:
    """Add `--format` where a table has no other form than JSON."""
    text = "table is for people; json has exact text."
    return click.option(
        "--format", type=click.Choice(["table", "json"]), default="table", show_default=True, help=text
    )(command)


def where_option(command: Command) -> Command:
    """Add `--where`, repeatable."""
    text = "Only charges with this value; repeatable."
    return click.option("--where", multiple=True, metavar="DIMENSION=VALUE", help=text, shell_complete=_complete_where)(
        command
    )


def _complete_where(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    return [CompletionItem(f"{item.value}=") for item in complete_dimension(ctx, param, typed)]


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
    columns = [column_of(name) for name, _, _ in pairs]
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
