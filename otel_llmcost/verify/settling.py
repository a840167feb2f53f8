"""
The journal before and after a rebuild: nothing may be on its way into the months that are built anew.

A segment that was sent and not acknowledged is sent again with the same token. Replacing a partition makes the ledger
forget the tokens of its rows: the rollup would then take that segment a second time. Limits: only this machine's
journal of this ledger can be seen; for other machines, `compare` after the rebuild tells what they added meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from otel_llmcost.errors import LedgerError
from otel_llmcost.journal import Name, segment_names
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.dsn import Dsn
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once

__all__ = ["journal_of", "settle"]


def journal_of(place: Dsn, settings: Settings) -> Path | None:
    """Give the journal of a ledger; None for an engine in memory that has none."""
    if place.kind == "chdb" and place.path is None and settings.journal_dir is None:
        return None
    return place.journal_dir(settings)


def settle(ledger: Ledger, month: str, settings: Settings) -> None:
    """
    Ship the journal; raise `LedgerError` when a segment of the month is still sent and not acknowledged after that.

    What was never sent may wait: it enters rows and rollups together.
    """
    directory = journal_of(ledger.dsn, settings)
    if directory is None:
        return
    shipped = ship_once(ledger, directory, fingerprint=ledger.dsn.fingerprint)
    sent = [name for name in segment_names(directory) if name.first_tried is not None and _may_hold(name, month)]
    if sent:
        why = shipped.stopped or "another process is sending them"
        raise LedgerError(
            f"segments of {month} that were sent and are not acknowledged: {len(sent)}, in {directory} ({why}). Rebuilding "
            "that month now would count them twice: let them be shipped, then run this again"
        )


def _may_hold(name: Name, month: str) -> bool:
    """Tell whether a segment may have charges of a month; corrections are named by one of the two that they may be of."""
    return name.table == "llm_adjustments" or (name.table == "llm_requests" and name.month == month)
