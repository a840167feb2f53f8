"""`otel-llmcost top`: what is being spent right now."""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NoReturn

import click

from otel_llmcost.cli._frame import Frame, draw
from otel_llmcost.cli._options import asked, complete_dimension, dsn_option, where_of, where_option
from otel_llmcost.cli._output import terminal_width
from otel_llmcost.errors import LedgerError, SettingsError
from otel_llmcost.ledger import Answers, Dsn, loopback, parse_dsn
from otel_llmcost.reports import requests
from otel_llmcost.reports.dimensions import TIMES, column_of
from otel_llmcost.reports.lately import Window, lately
from otel_llmcost.reports.session import open_ledger
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.cli._screen import Screen

__all__ = ["top"]

_NEWEST: Final = 5
_ROWS: Final = 10
_FEWEST_ROWS: Final = 3
_AROUND: Final = 9
"""Lines that a frame has beside its rows and the newest requests: sums, titles, total, what is folded, the last one."""
_QUIT: Final = "q"
_LONGEST: Final = timedelta(days=7)
_PIPED_WIDTH: Final = 160
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked again and again."""

    place: Dsn
    settings: Settings
    by: str
    length: str
    where: dict[str, str]

    def ask(self, ledger: Answers, *, rows: int, newest: int, width: int) -> Frame:
        """Ask it once, and draw the answer."""
        now = datetime.now(UTC)
        window = Window.of(_length(self.length, now), now)
        found = lately(ledger, self.by, window=window, where=self.where, top=rows)
        days = window.since.date(), now.date() + timedelta(days=1)
        lines = requests(ledger, since=days[0], until=days[1], where=self.where, limit=newest) if newest else ()
        return draw(found, lines, place=str(self.place), width=width)


def _dimension(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    with asked():
        if column_of(text) in TIMES:
            raise click.UsageError(f"--by {text} would be one row: choose another dimension, the bars show time")
    return text


def _since(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if not timedelta() < _length(text, datetime.now(UTC)) <= _LONGEST:
        raise click.BadParameter(f"{text!r} is longer than 7 days: `otel-llmcost report --since {text}` answers that")
    return text


def _length(text: str, now: datetime) -> timedelta:
    """Read `15m`, `1h`, `2d`, or `today`, which is the time since midnight UTC."""
    if text == "today":
        return max(now - now.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(minutes=1))
    if not (match := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)):
        raise click.BadParameter(f"{text!r} is not a time: write 15m, 1h, 2d or today")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command()
@click.option(
    "--by", default="team", show_default=True, metavar="DIMENSION", callback=_dimension,
    shell_complete=complete_dimension, help="team, feature, customer, model, …",
)  # fmt: skip
@click.option(
    "--since", default="1h", show_default=True, metavar="15m|1h|2d|today", callback=_since, help="How far back."
)
@where_option
@click.option(
    "--every",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Refresh so often.",
)
@click.option("--once", is_flag=True, help="Print what is so now, and end; so it does where its output is no terminal.")
@click.option("--no-color", is_flag=True, help="No bold headings; NO_COLOR in the environment does the same.")
@dsn_option
def top(by: str, since: str, where: tuple[str, ...], every: float, once: bool, no_color: bool, dsn: str | None) -> None:
    """
    Watch what is being spent right now: sums, who spends it, how fast, and the newest requests. q or Ctrl-C ends it.

    Figures "a minute" are of the last 5 minutes. A request counts at the instant it began, once it has ended.

    An embedded ledger is watched through `otel-llmcost serve`; while nobody serves it, this ships its journal and answers
    the other commands as long as it runs.

    \b
    Examples:
      otel-llmcost top
      otel-llmcost top --by customer --since today --where team=support
      otel-llmcost top --by model --once
    """
    settings = Settings.from_env(dsn=dsn)
    place = parse_dsn(settings.ledger_dsn())
    with asked():
        question = _Question(place=place, settings=settings, by=by, length=since, where=where_of(where, settings))
    if place.path is not None and not place.path.exists():
        raise SettingsError(
            f"there is no ledger at {place} to watch: start the application first, or correct --dsn or OTEL_LLMCOST_DSN"
        )
    if once or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        with open_ledger(settings) as ledger:
            frame = question.ask(ledger, rows=_ROWS, newest=_NEWEST, width=terminal_width() or _PIPED_WIDTH)
        click.echo("\n".join(frame.lines))
    else:
        _watch(question, every=every, bold=not (no_color or os.environ.get("NO_COLOR")))


def _watch(question: _Question, *, every: float, bold: bool) -> None:
    """Show frame after frame until a key ends it. A ledger that goes away is asked again; one that was never there is not."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    from otel_llmcost.cli._screen import Screen

    frame: Frame | None = None
    with _Heard() as heard, Screen(bold=bold) as screen:
        while True:
            try:
                with closing(_frames(question, screen)) as frames:
                    for frame in frames:
                        foot = f"Every {every:g} s; q ends it.{heard.last}"
                        if screen.show(frame.lines, frame.headings, foot, every) == _QUIT:
                            return
            except LedgerError as error:
                if frame is None:
                    raise
                foot = f"As it was; asked again every {every:g} s; q ends it. {error}"
                if screen.show(frame.lines, frame.headings, foot, every) == _QUIT:
                    return


def _frames(question: _Question, screen: Screen) -> Generator[Frame]:
    with _watched(question) as ledger:
        while True:
            width, height = screen.size
            newest = _NEWEST if height > _AROUND + _FEWEST_ROWS + _NEWEST else 0
            rows = max(_FEWEST_ROWS, height - _AROUND - (newest + 2 if newest else 0))
            yield question.ask(ledger, rows=rows, newest=newest, width=width)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _watched(question: _Question) -> Iterator[Answers]:
    """
    Open the ledger for a long time: an embedded one that nobody serves is served meanwhile, so that nobody is kept out.
    """
    place = question.place
    if place.path is None or loopback.is_served(place):
        with open_ledger(question.settings) as opened:
            yield opened
        return
    from otel_llmcost.server import Server

    stop: SimpleQueue[int] = SimpleQueue()
    server = Server(question.settings)
    running = threading.Thread(target=server.run, args=(stop,), name="otel-llmcost-server", daemon=True)
    running.start()
    try:
        yield server
    finally:
        stop.put(0)
        running.join()
        if not server.close():  # an engine at work cannot be left but by the end of the process, which loses nothing
            atexit.register(os._exit, 0)


class _Heard(logging.Handler):
    """Keeps what is logged off the screen: the last of it is told in a frame, all of it when the screen is over."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: deque[str] = deque(maxlen=20)
        self._logger = logging.getLogger("otel_llmcost")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._said.append(record.getMessage())

    @property
    def last(self) -> str:
        """What was said last, for the end of a line."""
        return f" {self._said[-1]}" if self._said else ""

    def __enter__(self) -> _Heard:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._logger.removeHandler(self)
        for text in dict.fromkeys(self._said):
            click.echo(text, err=True)
