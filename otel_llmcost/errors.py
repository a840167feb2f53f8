"""
Everything that this package raises on purpose; each message says what is wrong and what to do next.

* LLMCostError
  - SettingsError          a setting or a DSN is wrong (names it and the accepted form)
  - RateCardError          a rate card is wrong (names file and line)
  - ReportError            a report was asked for something that does not exist (lists what does)
  - JournalError           the journal cannot be used
    + JournalFull          its size cap is reached; the newest rows are refused and counted
    + JournalUnusable      its folder cannot be used; rows wait in memory, within bounds
  - LedgerError            the ledger refused
    + LedgerUnavailable    worth retrying: it did not answer, or not as ClickHouse does
    + LedgerBusy           another process owns the embedded ledger and does not serve it (names its pid)
    + LedgerRefused        it answered, and a retry will not help (a bad row, an old server)
      . LedgerDenied       it will not have this user: password, grants, limits on settings
    + SchemaError          tables are missing, or a migration was edited after it was applied
      . UnknownColumn      rows have a column that the table lacks: a newer version wrote them
  - MissingExtra           an optional dependency is not installed (names the pip command)

A request that cannot be priced is not an error: it is `model.Unpriced`, a value with a reason.
"""

from __future__ import annotations

import traceback

__all__ = [
    "JournalError",
    "JournalFull",
    "JournalUnusable",
    "LLMCostError",
    "LedgerBusy",
    "LedgerDenied",
    "LedgerError",
    "LedgerRefused",
    "LedgerUnavailable",
    "MissingExtra",
    "RateCardError",
    "ReportError",
    "SchemaError",
    "SettingsError",
    "UnknownColumn",
    "forget_frames",
]


class LLMCostError(Exception):
    """The root of the tree: catch this to catch everything of ours."""


class SettingsError(LLMCostError):
    """A setting or a DSN is wrong."""


class RateCardError(LLMCostError):
    """A rate card is wrong; the message begins with `file:line`."""


class ReportError(LLMCostError):
    """A report was asked for a dimension, filter or period that does not exist."""


class JournalError(LLMCostError):
    """The journal cannot be used."""


class JournalFull(JournalError):
    """The journal reached its size cap: the row was refused and counted."""


class JournalUnusable(JournalError):
    """The journal's folder cannot be used, for a while or for ever."""


class LedgerError(LLMCostError):
    """The ledger refused, or is not what it should be."""


class LedgerUnavailable(LedgerError):
    """The ledger did not answer, or the answer was not ClickHouse's: worth retrying."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """How long whoever answered wants to be left alone (`Retry-After`); None if nothing was said."""


class LedgerBusy(LedgerError):
    """Another process owns the embedded ledger."""


class LedgerRefused(LedgerError):
    """The ledger answered no, and a retry of the same thing will not help."""


class LedgerDenied(LedgerRefused):
    """The ledger will not have this user: whatever is sent, the answer is the same until someone changes that."""


class SchemaError(LedgerError):
    """Tables are missing, or a migration was edited after it was applied."""


class UnknownColumn(SchemaError):
    """Rows have a column that the table lacks: they wait for the tables of the version that wrote them."""


class MissingExtra(LLMCostError):
    """An optional dependency is not installed."""


def forget_frames(error: BaseException) -> None:
    """
    Give free what the finished calls behind an error hold, and behind what caused it; what it says stays.

    A frame that knows its own error is freed by a full collection only, which may not come for hours: an insert that
    fails would keep all its rows in memory until then.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            chain += each.__cause__, each.__context__
