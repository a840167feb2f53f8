"""One round of shipping: every row once, whatever fails, is repeated or is refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import (
    LedgerDenied,
    LedgerRefused,
    LedgerUnavailable,
    LLMCostError,
    SchemaError,
    UnknownColumn,
)
from otel_llmcost.journal import Journal, Segment, backlog, waiting
from otel_llmcost.journal.merging import merge
from otel_llmcost.shipper import Shipped, ship_once
from tests.shipper.ledgers import Crash, MemoryLedger, away, once

Seal = Callable[..., None]


def ship(ledger: MemoryLedger, folder: Path, **options: bool) -> Shipped:
    """
    Ship one round for the ledger `test`.
    """
    return ship_once(ledger, folder, fingerprint="test", **options)


def test_ships_everything(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A round stores each sealed segment by one insert, removes it, and says what it did.
    """
    seal(range(10))
    seal(range(10, 15))
    size = sum(len(segment.payload()) for segment in released(waiting(folder, "test")))
    seen: list[tuple[int, int]] = []
    shipped = ship_once(ledger, folder, fingerprint="test", progress=lambda done, all_: seen.append((done, all_)))
    assert shipped == Shipped(segments=2, rows=15, bytes=size)
    assert ledger.stored == list(range(15))
    assert seen == [(1, 2), (2, 2)]
    assert backlog(folder).segments == 0
    assert ship(ledger, folder) == Shipped()


def test_who_asks_is_told_what_the_ledger_took(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Each acknowledged insert is told with its table and lines; an insert that failed, or a bad row, is not.
    """
    seal(range(10))
    seal([10], table="llm_rates")
    ledger.bad = {3}
    told: list[tuple[str, int]] = []

    def tell(table: str, payload: bytes) -> None:
        told.extend((table, json.loads(line)["n"]) for line in payload.splitlines())

    ledger.before = once(0, LedgerUnavailable("reset"))
    ship_once(ledger, folder, fingerprint="test", on_shipped=tell)
    assert told == []
    ship_once(ledger, folder, fingerprint="test", on_shipped=tell)
    assert sorted(told) == [("llm_rates", 10), *(("llm_requests", n) for n in range(10) if n != 3)]


def test_a_listener_that_fails_delays_nothing(
    ledger: MemoryLedger, folder: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An error of whoever listens is counted, and every segment is shipped all the same.
    """
    monkeypatch.setattr("otel_llmcost.fence.RERAISE", False)
    seal(range(10))
    seal(range(10, 20))

    def fail(_table: str, _payload: bytes) -> None:
        raise ValueError

    shipped = ship_once(ledger, folder, fingerprint="test", on_shipped=fail)
    assert (shipped.segments, shipped.left, shipped.stopped) == (2, 0, None)
    assert COUNTERS["fence.on_shipped"] == 2


def released(segments: object) -> list[Segment]:
    """
    Look at segments and let them go.
    """
    looked = []
    for segment in segments:
        looked.append(segment)
        segment.release()
    return looked


def test_a_missing_folder_is_nothing_to_do(ledger: MemoryLedger, folder: Path) -> None:
    """
    Without a journal there is nothing to ship, and no error.
    """
    assert ship(ledger, folder / "missing") == Shipped()


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_ledger_that_goes_away(ledger: MemoryLedger, folder: Path, seal: Seal, fault: str, at: int) -> None:
    """
    A ledger that fails before or after it stored ends the round; the next one stores the rest, each row once.
    """
    for start in (0, 10, 20):
        seal(range(start, start + 10))
    setattr(ledger, fault, once(at, LedgerUnavailable("reset")))
    first = ship(ledger, folder)
    assert (first.segments, first.left) == (at, 3 - at)
    assert isinstance(first.stopped, LedgerUnavailable)
    assert ship(ledger, folder).stopped is None
    assert ledger.stored == list(range(30))


def test_a_crash_between_insert_and_removal(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A process that dies after the insert and before the removal leaves a segment that is sent again and stored once.
    """
    seal(range(10))
    for _ in range(3):
        [segment] = waiting(folder, "test")
        segment.mark_tried(time.time())
        payload = segment.payload()
        ledger.insert("llm_requests", payload, token=hashlib.sha256(payload).hexdigest())
        segment.release()  # the lock ends with the process; the file stays
    assert ship(ledger, folder).segments == 1
    assert ledger.stored == list(range(10))
    assert len(ledger.tokens) == 1


@pytest.mark.parametrize("age", [1801.0, -3600.0], ids=["too-old", "tried-in-the-future"])
def test_an_old_try_is_looked_up(ledger: MemoryLedger, folder: Path, seal: Seal, age: float) -> None:
    """
    Where the token may be forgotten, the rows are looked for first: found, they are not sent; missing, they are.
    """
    seal(range(10))
    ledger.after = away
    ship(ledger, folder)
    seal(range(10, 20))
    ledger.after = lambda _number: None
    ledger.forgetful = True
    for segment in waiting(folder, "test"):
        with segment:
            segment.path.rename(segment.path.with_suffix(f".tried-{int(time.time() - age)}"))
    shipped = ship(ledger, folder)
    assert (shipped.segments, shipped.rows, shipped.left) == (2, 10, 0)
    assert shipped.found == 10
    assert (ledger.lookups, COUNTERS["shipper.found"]) == (2, 1)
    assert ledger.stored == list(range(20))
    [mark] = ledger.marks
    assert mark[:2] == ("llm_requests", "202611")
    assert ("llm_requests", mark[2]) in ledger.batches
    assert mark[3] == "found_by_lookup"


def test_what_has_no_rollups_needs_no_mark(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Rates that are found in the ledger leave no month in doubt.
    """
    seal(range(10), table="llm_rates")
    ledger.after = away
    ship(ledger, folder)
    [path] = folder.iterdir()
    path.rename(path.with_suffix(".tried-1700000000"))
    assert ship(ledger, folder).found == 10
    assert ledger.marks == []


def test_nothing_is_removed_before_its_mark(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A batch that is found stays in the journal until the doubt about its rollups is written down.
    """
    seal(range(10))
    ledger.after = away
    ship(ledger, folder)
    for segment in waiting(folder, "test"):
        with segment:
            segment.path.rename(segment.path.with_suffix(".tried-1700000000"))
    ledger.unmarkable = SchemaError("no table llmcost_repairs")
    shipped = ship(ledger, folder)
    assert (shipped.left, shipped.found, type(shipped.stopped)) == (1, 0, SchemaError)
    ledger.unmarkable = None
    assert ship(ledger, folder).found == 10
    assert ledger.stored == list(range(10))


def test_damage_between_two_tries(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A stored segment that loses a row on disk before its answer is heard has another token: it is looked up, not doubled.
    """
    seal(range(10))
    ledger.after = once(0, LedgerUnavailable("reset"))
    ship(ledger, folder)
    [path] = [path for path in folder.iterdir() if path.is_file()]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    shipped = ship(ledger, folder)
    assert (shipped.found, shipped.left) == (9, 0)
    assert ledger.stored == list(range(10))


def test_merged_first(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    One shipper per node puts small segments of one table and month into one insert, and each row is stored once.
    """
    for start in range(0, 100, 10):
        seal(range(start, start + 10))
    seal([100], table="llm_rates")
    shipped = ship(ledger, folder, merging=True)
    assert (shipped.segments, shipped.rows, shipped.left, ledger.inserts) == (2, 101, 0, 2)
    assert ledger.stored == list(range(101))
    assert len(ledger.batches) == 11


@pytest.mark.parametrize("stored", [False, True])
def test_a_merged_segment_whose_try_is_old(ledger: MemoryLedger, folder: Path, seal: Seal, stored: bool) -> None:
    """
    A merged segment is looked up by the batches of its rows: sent if the ledger has none, left out if it has them all.
    """
    for start in range(0, 30, 10):
        seal(range(start, start + 10))
    setattr(ledger, "after" if stored else "before", once(0, LedgerUnavailable("reset")))
    ship(ledger, folder, merging=True)
    [path] = folder.iterdir()
    path.rename(path.with_suffix(".tried-1700000000"))
    ledger.forgetful = True
    shipped = ship(ledger, folder)
    assert (shipped.found, shipped.rows) == ((30, 0) if stored else (0, 30))
    assert len(ledger.marks) == (3 if stored else 0)
    assert ledger.stored == list(range(30))


def test_one_batch_does_not_speak_for_all_that_were_merged(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Rows that a restored backup brought in again never make those that were merged with them look stored.
    """
    seal(range(10))
    [path] = folder.iterdir()
    copy = path.read_bytes()
    ship(ledger, folder)
    path.write_bytes(copy)
    seal(range(10, 20))
    ledger.before = once(1, LedgerUnavailable("reset"))
    ship(ledger, folder, merging=True)
    [path] = folder.iterdir()
    path.rename(path.with_suffix(".tried-1700000000"))
    ship(ledger, folder)
    assert {*ledger.stored} == {*range(20)}, "never lost; the copies are there twice, and `verify` finds them"


def test_bad_rows_in_a_merged_segment(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A merged segment with bad rows is halved like any other: those are set aside, the others stored once.
    """
    for start in range(0, 100, 10):
        seal(range(start, start + 10))
    ledger.bad = {7, 55}
    shipped = ship(ledger, folder, merging=True)
    assert (shipped.refused, shipped.left) == (2, 0)
    assert ledger.stored == sorted(set(range(100)) - ledger.bad)


def test_a_disk_too_full_to_merge(
    ledger: MemoryLedger, folder: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where merging fails, the segments are shipped as they are.
    """
    for start in range(0, 30, 10):
        seal(range(start, start + 10))

    def full(_descriptor: int, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("otel_llmcost.journal.segment.write_all", full)
    shipped = ship(ledger, folder, merging=True)
    assert (shipped.segments, shipped.left, shipped.stopped) == (3, 0, None)
    assert ledger.stored == list(range(30))
    assert COUNTERS["shipper.merge_failed"] == 1


def test_rows_of_a_newer_version_wait(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Rows with a column that the table lacks are neither set aside nor in the way of others, and are stored in the end.
    """
    for start in range(0, 100, 10):
        seal(range(start, start + 10))
    ledger.refuse = lambda numbers: UnknownColumn("no column") if min(numbers) < 60 else None
    shipped = ship(ledger, folder)
    assert isinstance(shipped.stopped, UnknownColumn)
    assert shipped.refused == 0
    ship(ledger, folder)
    assert ledger.stored == list(range(60, 100))
    assert backlog(folder).quarantined == 0
    ledger.refuse = lambda _numbers: None
    assert ship(ledger, folder).left == 0
    assert ledger.stored == list(range(100))


def test_rows_of_a_newer_version_beside_bad_ones(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A half that turns out to have an unknown column waits whole, while the other half's bad row is found.
    """
    seal(range(8))
    seal(range(8, 16))

    def refuse(numbers: set[int]) -> LLMCostError | None:
        if numbers & {1}:
            return LedgerRefused("Code: 27. Cannot parse input")
        return UnknownColumn("no column") if numbers & {6} else None

    ledger.refuse = refuse
    for _ in range(4):
        ship(ledger, folder)
    assert backlog(folder).quarantined == 1
    assert ledger.stored == [0, 2, 3, *range(8, 16)]
    ledger.refuse = lambda _numbers: None
    ship(ledger, folder)
    assert ledger.stored == [n for n in range(16) if n != 1]


def test_a_user_without_rights_ends_the_round(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A refusal of the user costs one try a round, whatever waits, and sets nothing aside.
    """
    for start in range(0, 100, 10):
        seal(range(start, start + 10))
    ledger.before = lambda _number: LedgerDenied("Code: 516. Authentication failed")
    for round_ in range(1, 4):
        shipped = ship(ledger, folder)
        assert (ledger.inserts, shipped.left, shipped.refused) == (round_, 10, 0)
        assert isinstance(shipped.stopped, LedgerDenied)


def test_a_clock_that_jumps_a_day(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A clock set back or forward by a day between two tries doubles nothing and loses nothing. Fault 68.
    """
    for jump, start in ((-86_400.0, 0), (86_400.0, 10)):
        seal(range(start, start + 10))
        ledger.after = lambda _number: LedgerUnavailable("reset")
        ship(ledger, folder)
        ledger.after = lambda _number: None
        ledger.forgetful = True  # a real ledger may have forgotten; the shipper cannot know
        now = time.time()
        with patch("time.time", lambda now=now, jump=jump: now + jump):
            assert ship(ledger, folder).left == 0
        ledger.forgetful = False
    assert ledger.stored == list(range(20))


def test_a_thousand_dead_processes(ledger: MemoryLedger, folder: Path) -> None:
    """
    What 1,000 dead processes left is stored once, in few inserts, and with few files open at a time. Fault 47.
    """
    for number in range(1000):
        journal = Journal(folder, ledger="test")
        journal.append("llm_requests", "202611", b'{"n":%d}' % number)
        del journal
    open_files: list[int] = []
    ledger.before = lambda _number: open_files.append(len(os.listdir("/dev/fd")))
    before = len(os.listdir("/dev/fd"))
    seen: list[int] = []

    def count(segments: Sequence[Segment]) -> Segment:
        seen.append(len(os.listdir("/dev/fd")))
        return merge(segments)

    with patch("otel_llmcost.journal.merging.merge", count):
        shipped = ship(ledger, folder, merging=True)
    assert (shipped.rows, shipped.left) == (1000, 0)
    assert ledger.inserts == 5
    assert ledger.stored == list(range(1000))
    assert max(seen) - before <= 205
    assert max(open_files) - before <= 3


@pytest.mark.parametrize("merging", [False, True])
def test_a_stopped_shipper_keeps_what_it_holds(folder: Path, seal: Seal, tmp_path: Path, merging: bool) -> None:
    """
    A shipper that is stopped in the middle of an insert, and goes on later, is not robbed meanwhile: each row once.
    Faults 28 and 96.
    """
    for start in range(0, 30, 10):
        seal(range(start, start + 10))
    output = tmp_path / "stored"
    child = os.fork()
    if not child:
        slow = MemoryLedger()
        slow.before = lambda _number: os.kill(os.getpid(), signal.SIGSTOP) if slow.inserts == 1 else None
        status = 1
        try:
            ship(slow, folder, merging=merging)
            output.write_text(json.dumps(slow.stored))
            status = 0
        finally:
            os._exit(status)
    _, state = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(state)
    quick = MemoryLedger()
    for _ in range(3):
        ship(quick, folder, merging=merging)
    assert len(quick.stored) == (0 if merging else 20)
    os.kill(child, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(quick.stored + json.loads(output.read_text())) == list(range(30))
    assert ship(quick, folder) == Shipped()


def test_a_recent_try_is_not_looked_up(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Within the window a retry costs no query: the token is enough.
    """
    seal(range(10))
    ledger.after = once(0, LedgerUnavailable("reset"))
    ship(ledger, folder)
    ship(ledger, folder)
    assert ledger.lookups == 0
    assert ledger.stored == list(range(10))


def test_missing_tables_stop_the_round(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Missing tables end the round at once, say so, and cost no row.
    """
    for start in (0, 10):
        seal(range(start, start + 10))
    ledger.before = lambda _number: SchemaError("no table")
    shipped = ship(ledger, folder)
    assert (shipped.left, ledger.inserts) == (2, 1)
    assert isinstance(shipped.stopped, SchemaError)


@pytest.mark.parametrize("bad", [{0}, {99}, {50}, {0, 99}, {3, 4, 5, 60}, set(range(0, 100, 9))], ids=str)
def test_bad_rows_do_not_hold_back_good_ones(ledger: MemoryLedger, folder: Path, seal: Seal, bad: set[int]) -> None:
    """
    Rows that the ledger refuses are alone in quarantine, each with its reason, and every other row is stored once.
    """
    seal(range(100))
    seal(range(100, 110))
    ledger.bad = bad
    shipped = ship(ledger, folder)
    assert (shipped.refused, shipped.left, shipped.stopped) == (len(bad), 0, None)
    assert ledger.stored == sorted(set(range(110)) - bad)
    assert backlog(folder).quarantined == len(bad)
    reasons = [path.read_text() for path in (folder / "quarantine").glob("*.reason")]
    assert len(reasons) == len(bad)
    assert all("Cannot parse input" in reason for reason in reasons)


@pytest.mark.parametrize("number", range(64))
def test_a_bad_row_in_the_only_segment(ledger: MemoryLedger, folder: Path, seal: Seal, number: int) -> None:
    """
    One bad row in the only segment there is: its good rows are stored, and themselves prove that the row is bad.
    """
    seal(range(64))
    ledger.bad = {number}
    assert ship(ledger, folder).refused == 1
    assert ledger.stored == [n for n in range(64) if n != number]


def test_a_ledger_that_refuses_everything(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    When everything is refused nothing is set aside, few inserts are tried, and all is stored once that is mended.
    """
    for start in range(0, 1000, 10):
        seal(range(start, start + 10))
    ledger.before = lambda _number: LedgerRefused("Code: 497. Not enough privileges")
    for round_ in range(5):
        before = ledger.inserts
        shipped = ship(ledger, folder)
        assert isinstance(shipped.stopped, LedgerRefused)
        assert shipped.refused == 0
        assert ledger.inserts - before <= 4 + 14, round_
    assert backlog(folder).quarantined == 0
    ledger.before = lambda _number: None
    assert ship(ledger, folder).left == 0
    assert ledger.stored == list(range(1000))


def test_a_refused_table_does_not_stop_another(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    While one table refuses everything, the rows of another are stored.
    """
    for number in range(10):
        seal([number], table="llm_rates")
        seal([100 + number])
    ledger.bad = set(range(10))
    shipped = ship(ledger, folder)
    assert (shipped.segments, shipped.left) == (10, 10)
    assert ledger.stored == list(range(100, 110))


def test_refused_by_a_view(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Rows that the table has and a view refused are never split or set aside: only their own token completes them.
    """
    seal(range(10))
    ledger.after = lambda _number: LedgerRefused("Code: 395. while pushing to view")
    for _ in range(3):
        shipped = ship(ledger, folder)
        assert (shipped.left, shipped.refused) == (1, 0)
        assert isinstance(shipped.stopped, LedgerRefused)
    ledger.after = lambda _number: None
    assert ship(ledger, folder).segments == 1
    assert ledger.stored == list(range(10))


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_ledger_that_goes_away_while_rows_are_narrowed(
    ledger: MemoryLedger, folder: Path, seal: Seal, fault: str, at: int
) -> None:
    """
    A ledger that goes away at any step of the search for bad rows costs no row and doubles none.
    """
    seal(range(32))
    ledger.bad = {7, 20}
    setattr(ledger, fault, once(at, LedgerUnavailable("reset")))
    for _ in range(6):
        ship(ledger, folder)
    assert ledger.stored == [n for n in range(32) if n not in ledger.bad]
    assert (backlog(folder).segments, backlog(folder).quarantined) == (0, 2)


@pytest.mark.parametrize("done", [False, True], ids=["before-the-step", "after-the-step"])
def test_a_crash_at_every_step_while_rows_are_narrowed(
    ledger: MemoryLedger, folder: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """
    Dying at any removal, rename or sync of the search for bad rows costs no row and doubles none.
    """
    for at in range(1, 200):
        first = 1000 * at
        seal(range(first, first + 8))
        ledger.rows.clear()
        ledger.bad = {first + 3}
        crash = Crash(at, done=done)
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            for place, name in ((Path, "unlink"), (Path, "rename"), (os, "fsync")):
                patch.setattr(place, name, crash.around(getattr(place, name)))
            ship(ledger, folder)
        seal([first + 8])  # a row alone is set aside only when the ledger takes others
        ship(ledger, folder)
        assert ledger.stored == [first + row for row in range(9) if row != 3], at
        assert (backlog(folder).segments, backlog(folder).quarantined) == (0, at)
        if crash.steps < at:
            break
    assert at > 20
