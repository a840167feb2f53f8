"""A ledger that is ready for questions: opened, its tables there, and what waits in the journal shipped first."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from otel_llmcost.journal import leftovers
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once

__all__ = ["open_ledger"]

_LEDGER_FILES: Final = ("engine", "journal", "id")
_logger = logging.getLogger("otel_llmcost")


@contextmanager
def open_ledger(settings: Settings, dsn: str | None = None) -> Iterator[Ledger]:
    """
    Open the ledger of a DSN, or of the settings, for as long as the `with` lasts.

    An embedded ledger gets its tables by itself; a server's are `otel-llmcost schema apply`'s affair. Rows that could
    not be shipped are warned about, because the answers lack them, and so is a ledger that is made by asking it. Raises
    `LedgerBusy` when another process owns the embedded ledger, `SettingsError`, and `LedgerError`.
    """
    place = parse_dsn(dsn or settings.ledger_dsn())
    is_new = place.path is not None and not any(os.path.exists(place.path / name) for name in _LEDGER_FILES)
    with connect(place) as ledger:
        if is_new:
            _logger.warning(
                "%s was no ledger: a new, empty one was made there. If that is not the application's, correct --dsn or "
                "OTEL_LLMCOST_DSN, and remove that folder",
                place.path,
            )
        if place.kind == "chdb":
            migrations.apply(ledger)
        if place.path is not None or place.kind == "http":
            _ship(ledger, place.journal_dir(settings), place.fingerprint)
        yield ledger


def _ship(ledger: Ledger, directory: Path, fingerprint: str) -> None:
    """Ship what waits, and warn about what is left behind."""
    shipped = ship_once(ledger, directory, fingerprint=fingerprint)
    try:
        left = leftovers(directory, fingerprint)
    except OSError as error:
        _logger.warning("rows in the journal %s are not in these answers: %s", directory, shipped.stopped or error)
        return
    for reason in left.reasons(directory):
        _logger.warning("not in these answers: %s", reason)
    if shipped.stopped is not None:
        _logger.warning("%d segments of the journal are not in these answers: %s", left.unshipped, shipped.stopped)
    elif left.unshipped:
        _logger.warning(
            "%d segments of the journal are not in these answers: another process has them, or they cannot be read "
            "(`otel-llmcost doctor`); ask again in a minute",
            left.unshipped,
        )
