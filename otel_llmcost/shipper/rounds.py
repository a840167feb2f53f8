"""
Segments into the ledger: one segment is one insert with one token, the hash of the bytes sent.

So a segment may be sent as often as needed, by whoever holds it, and is stored once. What the ledger refuses is halved
until the bad rows are alone, and only those are set aside; but nothing is set aside before the ledger has proven that it
takes rows of that table, because a refusal of everything (a password, a grant, a column) is not a fault of the rows.
Limits: the ledger remembers 100,000 tokens a table; a segment first tried over 30 minutes ago is looked up instead.
TRUNCATE and DROP PARTITION make it forget earlier.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import orjson

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import (
    JournalError,
    LedgerDenied,
    LedgerError,
    LedgerRefused,
    LLMCostError,
    UnknownColumn,
    forget_frames,
)
from otel_llmcost.fence import fenced
from otel_llmcost.journal import KeptBatch, Name, Segment, Standby, adopt, merge_small, segment_names
from otel_llmcost.journal.frames import batch_of
from otel_llmcost.ledger.connection import ROLLED_UP
from otel_llmcost.ledger.row import month_of

__all__ = ["LOOKUP_SECONDS", "RowLedger", "Shipped", "ship_once"]

LOOKUP_SECONDS: Final = 1800.0
"""After this long the ledger may have forgotten a token: the rows themselves are looked for before they are sent."""
_REFUSALS: Final = 3
"""So many segments of a table are tried in a round while the ledger takes none of it; and the newest."""
_UNPROVEN_SPLITS: Final = 3
"""So often is a segment halved in search of rows that the ledger takes, before there is any proof that it does."""
_DOUBT: Final = (
    ". The month is marked: if a view failed when they were stored, its rollups lack them, which `otel-llmcost verify` "
    "tells and `otel-llmcost repair` mends"
)

_logger = logging.getLogger("otel_llmcost")
_Error = TypeVar("_Error", bound=LLMCostError)


class RowLedger(Protocol):
    """What shipping needs of a ledger; `otel_llmcost.ledger.Ledger` is one."""

    def insert(self, table: str, payload: bytes, *, token: str) -> None:
        """Store lines of JSON once per token. Raises `LedgerUnavailable`, `LedgerRefused` or `SchemaError`."""

    def has_batch(self, table: str, batch_id: str, month: str = "") -> bool:
        """Tell whether the table holds rows of that batch; of that month (`YYYYMM`), if one is given."""

    def mark_for_repair(self, table: str, month: str, batch_id: str, reason: str) -> None:
        """Say that the rollups of that month may lack that batch, which the table has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What one round did."""

    segments: int = 0
    """Segments that are in the ledger and no longer on disk."""
    rows: int = 0
    """
    Rows that the ledger acknowledged. Those that it had already under the same token are among them: it stores them no
    second time, and does not say so. What was looked up and found is not.
    """
    bytes: int = 0
    found: int = 0
    """Rows that were in the ledger already; the rollups of their months are marked for repair."""
    refused: int = 0
    """Rows set aside in `quarantine/`."""
    left: int = 0
    """Sealed segments that still wait, other processes' work included."""
    stopped: LLMCostError | None = None
    """Why the round ended before its time, or what was refused and is kept; None when all went well."""


def ship_once(
    ledger: RowLedger,
    directory: Path,
    *,
    fingerprint: str,
    progress: Callable[[int, int], None] | None = None,
    on_shipped: Callable[[str, bytes], None] | None = None,
    lookup_seconds: float = LOOKUP_SECONDS,
    merging: bool = False,
    standby: Standby | None = None,
) -> Shipped:
    """
    Ship every segment of a journal's folder that is sealed or whose owner died; never raises what the ledger says.

    `progress` is told (segments looked at, segments seen at the start); `on_shipped` the table and the lines of JSON of
    every insert that the ledger acknowledged. A replicated ledger forgets tokens by time: `lookup_seconds` must be at
    most half of its window. `merging` puts small segments into large ones first. `standby` has rows that are in no folder;
    while its folder cannot be used they are all that is shipped.
    """
    round_ = _Round(ledger, directory, fingerprint, lookup_seconds, on_shipped)
    stopped: LLMCostError | None = None
    left = 0
    try:
        try:
            if standby is not None:
                round_.ship_kept(standby)
            if standby is None or standby.reason is None:
                if merging:
                    round_.merge()
                round_.ship_all(progress)
                round_.settle()
        except LLMCostError as error:
            stopped = _bare(error)
        left = standby.count if standby is not None else 0
        if standby is None or standby.reason is None:
            left += sum(name.state != "open" for name in segment_names(directory))
    except OSError as error:
        stopped = JournalError(f"the journal {str(directory)!r} cannot be read or written ({error.strerror})")
    return Shipped(
        segments=round_.segments,
        rows=round_.rows,
        bytes=round_.bytes,
        found=round_.found,
        refused=round_.refused,
        left=left,
        stopped=stopped or round_.kept,
    )


class _Round:
    """One look at everything that waits."""

    def __init__(
        self,
        ledger: RowLedger,
        directory: Path,
        fingerprint: str,
        lookup_seconds: float,
        on_shipped: Callable[[str, bytes], None] | None,
    ) -> None:
        self._ledger = ledger
        self._directory = directory
        self._fingerprint = fingerprint
        self._lookup_seconds = lookup_seconds
        self._on_shipped = on_shipped
        self._proven: set[str] = set()
        """Tables that took rows in this round: what they refuse now is the fault of the rows."""
        self._doubtful: list[tuple[Path, LedgerRefused]] = []
        self._refusals: Counter[str] = Counter()
        self.segments = self.rows = self.bytes = self.found = self.refused = 0
        self.kept: LedgerError | None = None

    def merge(self) -> None:
        """Put small segments into large ones; where that fails, on a full disk for one, they are shipped as they are."""
        try:
            merge_small(self._directory, self._fingerprint)
        except (OSError, JournalError):
            COUNTERS.add("shipper.merge_failed")

    def ship_kept(self, standby: Standby) -> None:
        """Try each batch that waits in memory once, oldest first; what is refused stays there."""
        if standby.rows:
            with standby.moving:
                for batch in standby.batches():
                    self._ship(batch)

    def ship_all(self, progress: Callable[[int, int], None] | None) -> None:
        """Try each segment once, oldest first; of a table that takes none of the first, only the newest."""
        names = segment_names(self._directory)
        newest = {name.table: name for name in names}
        passed_over: list[Name] = []
        for done, name in enumerate(names, start=1):
            if self._may_be_taken(name.table) or name is newest[name.table]:
                self._take(name)
            else:
                passed_over.append(name)
            if progress is not None:
                progress(done, len(names))
        for name in passed_over:
            if name.table in self._proven:  # by the newest
                self._take(name)

    def _take(self, name: Name) -> None:
        segment = adopt(self._directory / str(name), self._fingerprint)
        if segment is not None:
            with segment:
                self._ship(segment)

    def settle(self) -> None:
        """Deal with what was refused, now that it is known which tables take rows."""
        unproven = True
        for path, error in self._doubtful:
            segment = adopt(path, self._fingerprint)
            if segment is None:
                continue
            with segment:
                if segment.table in self._proven:
                    self._narrow(segment, error)
                elif unproven and segment.rows > 1 and segment.splits < _UNPROVEN_SPLITS:
                    unproven = False  # one each round: if everything is refused, the journal must not go to pieces
                    self._narrow(segment, error)
                else:
                    self.kept = error

    def _may_be_taken(self, table: str) -> bool:
        return table in self._proven or self._refusals[table] < _REFUSALS

    def _ship(self, segment: Segment | KeptBatch) -> None:
        found = self._found(segment) if self._may_be_forgotten(segment) else []
        if found:
            self._mark_found(segment, found)
        if len(found) == segment.rows:
            segment.remove()
            self.segments += 1
        elif error := self._refusal(segment, found):
            self._refusals[segment.table] += 1
            if isinstance(error, LedgerRefused) and isinstance(segment, Segment):
                self._doubtful.append((segment.path, error))
            else:
                self.kept = error

    def _may_be_forgotten(self, segment: Segment | KeptBatch) -> bool:
        """
        Tell whether an earlier try has a token that is no longer known, or no longer the hash of these bytes.

        A clock that was set back tells nothing.
        """
        tried = segment.first_tried
        return tried is not None and not (segment.is_whole and -1.0 <= time.time() - tried < self._lookup_seconds)

    def _is_stored(self, segment: Segment | KeptBatch) -> bool:
        """
        Tell whether the table has the segment's rows. An insert stores all of them or none, so one batch would do; but
        a batch that came into the ledger another way must not speak for those that were merged with it.
        """
        return all(self._ledger.has_batch(segment.table, batch_id) for batch_id in segment.batch_ids)

    def _found(self, segment: Segment | KeptBatch) -> list[bytes]:
        """
        Give the rows that the table has: all or none, but for corrections of two months. Those are a part of the table
        each, and a kill between the two leaves one.
        """
        if not self._is_stored(segment):
            return []
        rows = [(record, batch_of(record), _month(segment, record)) for record in segment.records]
        parts = {(batch_id, month) for _, batch_id, month in rows}
        if len(parts) > len(segment.batch_ids):
            parts = {part for part in parts if self._ledger.has_batch(segment.table, *part)}
        return [record for record, batch_id, month in rows if (batch_id, month) in parts]

    def _mark_found(self, segment: Segment | KeptBatch, found: Sequence[bytes]) -> None:
        """Say what is not sent again; a view may have failed behind it, which its token could have healed."""
        doubt = ""
        if segment.table in ROLLED_UP:
            for batch_id, month in dict.fromkeys((batch_of(record), _month(segment, record)) for record in found):
                self._ledger.mark_for_repair(segment.table, month, batch_id, "found_by_lookup")
            doubt = _DOUBT
        _logger.warning(
            "%d rows of %s, month %s, were in the ledger already and are not sent again%s",
            len(found),
            segment.table,
            segment.month,
            doubt,
        )
        self.found += len(found)
        COUNTERS.add("shipper.found")

    def _insert(self, segment: Segment | KeptBatch, found: Sequence[bytes]) -> None:
        known = {*found}
        rows = [record for record in segment.records if record not in known]
        payload = b"".join(rows)
        segment.mark_tried(time.time())
        self._ledger.insert(segment.table, payload, token=hashlib.sha256(payload).hexdigest())
        segment.remove()
        self._proven.add(segment.table)
        self.segments += 1
        self.rows += len(rows)
        self.bytes += len(payload)
        COUNTERS.add("shipper.rows", len(rows))
        COUNTERS.add("shipper.segments")
        self._tell(segment.table, payload)

    @fenced("on_shipped", otherwise=None)
    def _tell(self, table: str, payload: bytes) -> None:
        if self._on_shipped is not None:
            self._on_shipped(table, payload)

    def _narrow(self, segment: Segment, error: LedgerError) -> None:
        """Halve a refused segment until the bad rows are alone; the good ones are stored on the way."""
        if isinstance(error, UnknownColumn):
            self.kept = error  # the rows are good, the table is old
        elif self._is_stored(segment):
            self.kept = error  # the table has it, a view refused it: only the same token can complete it
        elif segment.rows > 1 and (segment.table in self._proven or segment.splits < _UNPROVEN_SPLITS):
            self._ship_halves(segment)
        elif segment.rows == 1 and segment.table in self._proven:
            segment.quarantine(str(error))
            self.refused += 1
            COUNTERS.add("shipper.refused")
        else:
            self.kept = error

    def _ship_halves(self, segment: Segment) -> None:
        with ExitStack() as held:
            halves = [held.enter_context(half) for half in segment.split()]
            refused = [(half, error) for half in halves if (error := self._refusal(half))]
            for half, error in refused:  # after both: one that was taken proves that the other's rows are at fault
                self._narrow(half, error)

    def _refusal(self, segment: Segment | KeptBatch, found: Sequence[bytes] = ()) -> LedgerError | None:
        """Insert what was not found; give the error that this segment's rows may have caused."""
        try:
            self._insert(segment, found)
        except LedgerDenied:
            raise
        except (LedgerRefused, UnknownColumn) as error:
            return _bare(error)
        return None


def _month(segment: Segment | KeptBatch, record: bytes) -> str:
    """Give the month of a row; a segment of corrections may hold two, and is named by one of them."""
    return month_of(orjson.loads(record)) if segment.table == "llm_adjustments" else segment.month


def _bare(error: _Error) -> _Error:
    """Give an error without its calls, so that whoever keeps it keeps no rows."""
    forget_frames(error)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
