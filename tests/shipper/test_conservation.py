"""The law of the journal, for any order of events: what went in is stored once, or set aside with a reason."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from otel_llmcost.errors import LedgerRefused, LedgerUnavailable
from otel_llmcost.journal import Journal, backlog, merge_small
from otel_llmcost.shipper import ship_once
from tests.shipper.ledgers import Crash, MemoryLedger, once


class JournalAndLedger(RuleBasedStateMachine):
    """Writers, shippers and a ledger that fail and die in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "journal"
        self.ledger = MemoryLedger()
        self.written = 0
        self.begin()

    def begin(self) -> None:
        """
        Begin a writing process.
        """
        self.journal = Journal(self.folder, ledger="test", seal_rows=7)

    @rule(rows=st.integers(1, 20), bad=st.integers(-60, 19), month=st.sampled_from(["202610", "202611"]))
    def append(self, rows: int, bad: int, month: str) -> None:
        """
        Append rows, of which one may be bad.
        """
        for row in range(rows):
            if row == bad:
                self.ledger.bad.add(self.written)
            self.journal.append("llm_requests", month, b'{"n":%d}' % self.written)
            self.written += 1

    @rule(later=st.sampled_from([0.0, 11.0]))
    def maintain(self, later: float) -> None:
        """
        Let a second, or the age of a segment, pass.
        """
        with patch("time.time", lambda: 2_000_000_000.0 + later):
            self.journal.maintain(None)

    @rule()
    def kill_the_writer(self) -> None:
        """
        Let the writing process die, and another begin.
        """
        del self.journal
        self.begin()

    @rule(at=st.integers(0, 12), stored=st.booleans(), refused=st.booleans())
    def ship_with_a_fault(self, at: int, stored: bool, refused: bool) -> None:
        """
        Ship while one insert fails, before or after it stored.
        """
        before = self.ledger.inserts
        fault = once(before + at, LedgerRefused("view") if refused and stored else LedgerUnavailable("reset"))
        with patch.object(self.ledger, "after" if stored else "before", fault):
            ship_once(self.ledger, self.folder, fingerprint="test")

    @rule(at=st.integers(1, 40), done=st.booleans())
    def ship_and_die(self, at: int, done: bool) -> None:
        """
        Ship until a step on the disk kills the shipper.
        """
        crash = Crash(at, done=done)
        with (
            suppress(KeyboardInterrupt),
            patch.multiple(Path, unlink=crash.around(Path.unlink), rename=crash.around(Path.rename)),
            patch("os.fsync", crash.around(os.fsync)),
        ):
            ship_once(self.ledger, self.folder, fingerprint="test")

    @rule()
    def merge(self) -> None:
        """
        Put small segments into large ones.
        """
        merge_small(self.folder, "test")

    @rule(at=st.integers(1, 30), done=st.booleans())
    def merge_and_die(self, at: int, done: bool) -> None:
        """
        Do so until a step on the disk kills the merger.
        """
        crash = Crash(at, done=done)
        with (
            suppress(KeyboardInterrupt),
            patch.multiple(Path, unlink=crash.around(Path.unlink), rename=crash.around(Path.rename)),
            patch("os.fsync", crash.around(os.fsync)),
        ):
            merge_small(self.folder, "test")

    def teardown(self) -> None:
        """
        Drain, and count: each good row is stored once, each bad row is set aside, nothing else is anywhere.
        """
        self.journal.append("llm_requests", "202611", b'{"n":%d}' % self.written)  # proves that rows are taken
        self.journal.close()
        shipped = ship_once(self.ledger, self.folder, fingerprint="test")
        assert (shipped.stopped, shipped.left) == (None, 0)
        assert self.ledger.stored == [n for n in range(self.written + 1) if n not in self.ledger.bad]
        assert backlog(self.folder).quarantined == len(self.ledger.bad)
        self.place.cleanup()


TestJournalAndLedger = JournalAndLedger.TestCase
TestJournalAndLedger.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_shippers_at_the_same_time(tmp_path: Path) -> None:
    """
    Six shippers that narrow down bad rows in one folder, two of which merge, while it is written and the ledger fails,
    agree on each row. Fault 95.
    """
    folder = tmp_path / "journal"
    ledger = MemoryLedger()
    ledger.bad = set(range(0, 2000, 37))
    ledger.after = lambda number: LedgerUnavailable("reset") if number % 11 == 3 else None
    stop = threading.Event()

    def ship(merging: bool) -> None:
        while not stop.is_set():
            ship_once(ledger, folder, fingerprint="test", merging=merging)

    shippers = [threading.Thread(target=ship, args=[number < 2]) for number in range(6)]
    for shipper in shippers:
        shipper.start()
    try:
        journal = Journal(folder, ledger="test", seal_rows=100)
        for number in range(2000):
            journal.append("llm_requests", "202611", b'{"n":%d}' % number)
            if number % 50 == 0:
                journal.maintain()
        journal.close()
    finally:
        stop.set()
        for shipper in shippers:
            shipper.join()
    ledger.after = lambda _number: None
    while ship_once(ledger, folder, fingerprint="test").left:
        journal = Journal(folder, ledger="test")
        journal.append("llm_requests", "202611", b'{"n":%d}' % (2001 + ledger.inserts))
        journal.close()
    assert [n for n in ledger.stored if n < 2000] == [n for n in range(2000) if n not in ledger.bad]
    assert backlog(folder).quarantined == len(ledger.bad)
