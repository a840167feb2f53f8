"""A ledger that is ready for questions: opened, its tables there, and what waits in the journal shipped first."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from otel_llmcost.errors import LedgerBusy, LLMCostError
from otel_llmcost.journal import leftovers
from otel_llmcost.ledger import Answers, Dsn, Ledger, connect, loopback, migrations, parse_dsn
from otel_llmcost.ledger.loopback import LoopbackLedger
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once

__all__ = ["connect_when_free", "lacking", "open_ledger", "own_ledger"]

_LEDGER_FILES: Final = ("engine", "journal", "id")
_WAIT_SECONDS: Final = 5.0
"""Another command owns an embedded ledger for about this long at most; a serving process for good."""
_POLL_SECONDS: Final = 0.1
Opened = TypeVar("Opened")
_logger = logging.getLogger("otel_llmcost")


@contextmanager
def open_ledger(settings: Settings, dsn: str | None = None) -> Iterator[Answers]:
    """
    Open the ledger of a DSN, or of the settings, to ask it, for as long as the `with` lasts.

    An embedded ledger that `otel-llmcost serve` owns is asked through that process; one that another command owns is
    waited for. It gets its tables by itself; a server's are `otel-llmcost schema apply`'s affair. Rows that could not be
    shipped are warned about, because the answers lack them, and so is a ledger that is made by asking it. Raises
    `LedgerBusy` when another process keeps the embedded ledger without serving it, `SettingsError`, and `LedgerError`.
    """
    place = parse_dsn(dsn or settings.ledger_dsn())
    is_new = _is_new(place)
    with _waited_for(lambda: _own_or_ask(place), _WAIT_SECONDS) as ledger:
        if isinstance(ledger, Ledger):
            _make_ready(ledger, settings, is_new=is_new)
        else:
            _warn(ledger.catch_up())
        yield ledger


@contextmanager
def own_ledger(settings: Settings, dsn: str | None = None) -> Iterator[Ledger]:
    """
    Open a ledger as `open_ledger` does, but never through another process: to change it.

    Raises `LedgerBusy`, which names the process that must end first; `SettingsError`, and `LedgerError`.
    """
    place = parse_dsn(dsn or settings.ledger_dsn())
    is_new = _is_new(place)
    with connect_when_free(place, _WAIT_SECONDS) as ledger:
        _make_ready(ledger, settings, is_new=is_new)
        yield ledger


def lacking(
    directory: Path, fingerprint: str, stopped: LLMCostError | None, batches: frozenset[str] | None = None
) -> Iterator[str]:
    """
    Say in a sentence each what is in a journal, and so not in the answers of its ledger, after a round of shipping.

    `stopped` is why the round ended before its time; `batches`: look only at these segments.
    """
    try:
        left = leftovers(directory, fingerprint, batches)
    except OSError as error:
        yield f"rows in the journal {directory} are not in these answers: {stopped or error}"
        return
    for reason in left.reasons(directory):
        yield f"not in these answers: {reason}"
    if stopped is not None:
        yield f"{left.unshipped} segments of the journal are not in these answers: {stopped}"
    elif left.unshipped:
        yield (
            f"{left.unshipped} segments of the journal are not in these answers: another process has them, or they "
            "cannot be read (`otel-llmcost doctor`); ask again in a minute"
        )


def _own_or_ask(place: Dsn) -> Ledger | LoopbackLedger:
    try:
        return connect(place)
    except LedgerBusy:
        owner = loopback.ask_owner(place)
        if owner is None:
            raise
        return owner


def connect_when_free(place: Dsn, wait_seconds: float) -> Ledger:
    """Connect as the owner, as soon as a command that asked has ended. Raises `LedgerBusy`, at once if one serves it."""
    return _waited_for(lambda: connect(place), 0.0 if loopback.is_served(place) else wait_seconds)


def _waited_for(open_it: Callable[[], Opened], seconds: float) -> Opened:
    """Try until nobody else owns the ledger; `LedgerBusy` when the seconds are over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return open_it()
        except LedgerBusy:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _is_new(place: Dsn) -> bool:
    return place.path is not None and not any(os.path.exists(place.path / name) for name in _LEDGER_FILES)


def _make_ready(ledger: Ledger, settings: Settings, *, is_new: bool) -> None:
    """Have the tables and the journal's rows in a ledger that this process owns."""
    place = ledger.dsn
    if is_new:
        _warn(
            [
                f"{place.path} was no ledger: a new, empty one was made there. If that is not the application's, correct "
                "--dsn or OTEL_LLMCOST_DSN, and remove that folder"
            ]
        )
    if place.kind == "chdb":
        migrations.apply(ledger)
    if place.path is not None or place.kind == "http":
        directory, fingerprint = place.journal_dir(settings), place.fingerprint
        shipped = ship_once(ledger, directory, fingerprint=fingerprint)
        _warn(lacking(directory, fingerprint, shipped.stopped))


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        _logger.warning("%s", sentence)
