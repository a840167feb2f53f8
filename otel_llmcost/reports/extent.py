"""From when to when a ledger has requests: what a comparison with earlier times can be based on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from otel_llmcost.ledger import Answers

__all__ = ["Extent", "extent"]


@dataclass(frozen=True, slots=True)
class Extent:
    """The instants of the first and of the newest request, UTC."""

    first: datetime
    newest: datetime


def extent(ledger: Answers) -> Extent | None:
    """Look how far the ledger reaches; None where it has no request. Raises `LedgerError`."""
    (row,) = ledger.query("extent")
    if not row["requests"]:
        return None
    return Extent(cast("datetime", row["first"]), cast("datetime", row["newest"]))
