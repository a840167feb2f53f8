"""A ledger that is ready for questions: opened, its tables there, and what waits in the journal shipped first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once

__all__ = ["open_ledger"]

_logger = logging.getLogger("otel_llmcost")


@contextmanager
def open_ledger(settings: Settings, dsn: str | None = None) -> Iterator[Ledger]:
    """
    Open the ledger of a DSN, or of the settings, for as long as the `with` lasts.

    An embedded ledger gets its tables by itself; a server's are `otel-llmcost schema apply`'s affair. Rows that could
    not be shipped are warned about, because the answers lack them. Raises `LedgerBusy` when another process owns the
    embedded ledger, `SettingsError`, and `LedgerError`.
    """
    place = parse_dsn(dsn or settings.ledger_dsn())
    with connect(place) as ledger:
        if place.kind == "chdb":
            migrations.apply(ledger)
        if place.path is not None or place.kind == "http":
            shipped = ship_once(ledger, place.journal_dir(settings), fingerprint=place.fingerprint)
            if shipped.stopped is not None:
                _logger.warning(
                    "%d segments of the journal are not in these answers: %s", shipped.left, shipped.stopped
                )
        yield ledger
