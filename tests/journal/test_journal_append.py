"""What `append` promises: the row is there, whole, once, whatever threads, forks and full disks do."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError, JournalFull
from otel_llmcost.journal import Journal, backlog, waiting
from otel_llmcost.journal.folder import folder_bytes
from tests.journal.journal_rows import append, append_each

Begin = Callable[..., Journal]
Drain = Callable[[], list[int]]


def test_rows_come_back_untouched(begin: Begin, folder: Path) -> None:
    """
    A row comes back byte for byte, with its segment's id in front.
    """
    journal = begin()
    row = json.dumps({"n": 1, "text": 'quotes " and {"batch_id":"no"}', "ümlaut": "é\n"}, ensure_ascii=False).encode()
    journal.append("llm_requests", "202611", row)
    journal.flush()
    [segment] = waiting(folder, "test")
    with segment:
        assert b'{"batch_id":"%s",' % segment.batch_id.encode() + row[1:] + b"\n" == segment.payload()
        assert (
            segment.table,
            segment.month,
            segment.rows,
            segment.first_tried,
        ) == ("llm_requests", "202611", 1, None)


def test_one_segment_per_table_and_month(begin: Begin, folder: Path) -> None:
    """
    A segment holds one month of one table, so that its insert touches one partition.
    """
    journal = begin()
    for month in ("202610", "202611"):
        for table in ("llm_requests", "llm_adjustments"):
            append(journal, 1, table=table, month=month)
            append(journal, 2, table=table, month=month)
    assert journal.flush() == 4
    assert backlog(folder).segments == 4


def test_append_writes_once(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A row costs its caller one write and no fsync.
    """
    journal = begin()
    append(journal, 0)
    writes, real_write = [], os.write

    def count_write(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", count_write)
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("append waited for the disk"))
    append(journal, 1)
    monkeypatch.undo()
    assert len(writes) == 1


def test_private_files(begin: Begin, folder: Path) -> None:
    """
    Nobody else can read the rows: folder 0700, files 0600.
    """
    append(begin(), 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


def test_seals_by_rows(begin: Begin, drain: Drain, folder: Path) -> None:
    """
    The row that fills a segment begins the next one; only maintenance waits for the disk to seal it.
    """
    journal = begin(seal_rows=10)
    for number in range(25):
        append(journal, number)
    assert [path.suffix[1:] for path in folder.iterdir()] == ["open"] * 3
    assert journal.maintain() == 2
    assert sorted(path.suffix[1:] for path in folder.iterdir()) == ["open", "sealed", "sealed"]
    assert list(range(20)) == sorted(drain())


@pytest.mark.parametrize("clock", [11.0, -86_400.0], ids=["ten-seconds-later", "clock-set-back"])
def test_seals_by_age(begin: Begin, drain: Drain, clock: float) -> None:
    """
    A segment is sealed after `seal_seconds`, also when the clock was set back meanwhile.
    """
    journal = begin(seal_seconds=10.0)
    append(journal, 1)
    now = next(iter(journal._open.values())).opened
    assert journal.maintain(now + 9) == 0
    assert journal.maintain(now + clock) == 1
    assert drain() == [1]


def test_maintain_syncs_only_new_rows(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each second costs one fsync per segment with new rows, one more where its file is new, and none when nothing was
    written.
    """
    journal = begin()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    append(journal, 1)
    journal.maintain()
    assert len(synced) == 2
    journal.maintain()
    assert len(synced) == 2
    append(journal, 2)
    journal.maintain()
    monkeypatch.undo()
    assert len(synced) == 3


def test_closed_journal_refuses(begin: Begin, drain: Drain) -> None:
    """
    A closed journal has sealed its rows, and refuses further ones with a count.
    """
    journal = begin()
    append(journal, 1)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        append(journal, 2)
    assert COUNTERS["journal.failed"] == 1
    assert drain() == [1]


@pytest.mark.parametrize(("table", "month"), [("../evil", "202611"), ("llm_requests", "2026-11"), ("", "")])
def test_names_that_cannot_be_files(begin: Begin, table: str, month: str) -> None:
    """
    A table or month cannot leave the folder.
    """
    with pytest.raises(JournalError, match="cannot name a segment"):
        append(begin(), 1, table=table, month=month)


def test_threads(begin: Begin, drain: Drain) -> None:
    """
    16 threads lose, double and tear no row while segments fill and are sealed under them.
    """
    journal = begin(seal_rows=997)
    done = threading.Event()

    def write(thread: int) -> None:
        for number in range(2_000):
            append(journal, thread * 2_000 + number)

    def maintain() -> None:
        while not done.wait(0.01):
            journal.maintain()

    keeper = threading.Thread(target=maintain)
    writers = [threading.Thread(target=write, args=(thread,)) for thread in range(16)]
    for thread in (keeper, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    keeper.join()
    journal.flush()
    assert list(range(32_000)) == sorted(drain())
    assert {name: COUNTERS[name] for name in ("journal.adopted", "journal.torn")} == {
        "journal.adopted": 0,
        "journal.torn": 0,
    }


def test_a_signal_handler_may_append(begin: Begin, drain: Drain) -> None:
    """
    A signal that ends a span while its thread is inside `append` neither deadlocks nor harms a row.
    """
    journal = begin(seal_rows=7)
    handled = iter(range(1_000_000, 2_000_000))
    expected = []

    def handle(_signal: int, _frame: object) -> None:
        expected.append(next(handled))
        append(journal, expected[-1])
        signal.setitimer(signal.ITIMER_REAL, 0.0003)

    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    try:
        for number in range(10_000):
            append(journal, number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    journal.flush()
    assert expected
    assert sorted([*range(10_000), *expected]) == sorted(drain())


def test_size_cap_is_exact(begin: Begin, drain: Drain, folder: Path) -> None:
    """
    At the cap the newest rows are refused, each one counted, and no byte more is written.
    """
    journal = begin(max_bytes=5_000)
    kept, errors = append_each(journal, range(100))
    assert kept == list(range(len(kept)))
    assert {type(error) for error in errors} == {JournalFull}
    assert "OTEL_LLMCOST_JOURNAL_MAX_BYTES" in str(errors[0])
    assert len(kept) + COUNTERS["journal.refused"] == 100
    assert 5_000 - 100 < folder_bytes(folder) <= 5_000
    journal.flush()
    assert drain() == kept


def test_room_comes_back(begin: Begin, drain: Drain) -> None:
    """
    What was shipped makes room again at the next maintenance.
    """
    journal = begin(max_bytes=5_000)
    assert append_each(journal, range(100))[1]
    journal.flush()
    assert drain()
    journal.maintain()
    append(journal, 2_000)


def test_other_processes_count(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The cap is the folder's: what others write into it counts, within ten seconds.
    """
    journal, other = begin(max_bytes=5_000), begin(max_bytes=5_000)
    assert append_each(journal, range(100))[1]
    later = time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    other.maintain()
    with pytest.raises(JournalFull):
        append(other, 1_000)


def test_room_comes_back_without_maintenance(
    begin: Begin, drain: Drain, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A full journal finds the room that a shipper made even if nothing maintains it, and looks for it rarely.
    """
    journal = begin(max_bytes=5_000)
    assert append_each(journal, range(100))[1]
    journal.flush()
    assert drain()
    looks: list[Path] = []
    monkeypatch.setattr("otel_llmcost.journal.writer.folder_bytes", lambda place: looks.append(place) or 0)
    assert append_each(journal, range(100))[0] == []
    assert looks == []
    later = time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    assert append_each(journal, range(20))[0] == list(range(20))
    assert looks == [folder]


def test_a_row_too_large(begin: Begin) -> None:
    """
    A row over 1 MiB is refused and counted, because reading could not bound its memory otherwise.
    """
    with pytest.raises(JournalError, match="1048576"):
        begin().append("llm_requests", "202611", b'{"text":"%s"}' % (b"x" * (1 << 20)))
    assert COUNTERS["journal.refused"] == 1


def test_rows_that_are_large_together(begin: Begin, drain: Drain) -> None:
    """
    Many rows in one call may come to more than 1 MiB: the bound is a row's.
    """
    journal = begin()
    journal.append("llm_requests", "202611", *(b'{"n":%d,"text":"%s"}' % (n, b"x" * 10_000) for n in range(300)))
    journal.flush()

    assert drain() == list(range(300))


class FailingDisk:
    """os.write that fails at its `nth` call: short (half is written) or with an error."""

    def __init__(self, nth: int, fault: str) -> None:
        self.nth, self.fault, self.calls = nth, fault, 0
        self._write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        """
        Write, or fail.
        """
        self.calls += 1
        if self.calls != self.nth:
            return self._write(descriptor, data)
        if self.fault == "short":
            return self._write(descriptor, data[: len(data) // 2])
        raise OSError(getattr(errno, self.fault), os.strerror(getattr(errno, self.fault)))


@pytest.mark.parametrize("fault", ["short", "ENOSPC", "EDQUOT", "EIO", "EBADF"])
@pytest.mark.parametrize("nth", range(1, 15))
def test_each_write_may_fail(begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch, nth: int, fault: str) -> None:
    """
    Whichever write fails, every row is there once, but for the one that a full disk refused, which is counted.
    """
    journal = begin(seal_rows=4)
    monkeypatch.setattr(os, "write", FailingDisk(nth, fault))
    kept, errors = append_each(journal, range(10))
    monkeypatch.undo()
    is_full = nth <= 13 and fault not in ("EIO", "EBADF")  # of three headers and ten rows
    assert [type(error) for error in errors] == [JournalFull] * (COUNTERS["journal.disk_full"])
    journal.flush()
    assert kept == sorted(drain())
    assert 10 - len(kept) == is_full == COUNTERS["journal.disk_full"]
    assert {n: COUNTERS[n] for n in ("journal.torn", "journal.damaged")} == {"journal.torn": 0, "journal.damaged": 0}


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_half_row_that_cannot_be_taken_back(
    begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """
    If even truncating fails, the half row is skipped by reading and the rows round it are safe.
    """

    def refuse(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = begin()
    monkeypatch.setattr(os, "write", FailingDisk(nth + 1, "short"))  # the first write is the header
    monkeypatch.setattr(os, "ftruncate", refuse)
    kept, _ = append_each(journal, range(6))
    monkeypatch.undo()
    journal.flush()
    assert len(kept) == 5
    assert kept == sorted(drain())


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """
    A folder on a file system of 256 KiB.
    """
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(full_disk: Path) -> None:
    """
    On a full disk rows are refused, not torn; segments can still be shipped, and then there is room again.
    """
    journal = Journal(full_disk / "journal", ledger="test")
    kept, errors = append_each(journal, range(20_000))
    assert "free space" in str(errors[0])
    journal.flush()
    [segment] = waiting(full_disk / "journal", "test")
    assert kept == list(range(segment.rows))
    segment.mark_tried(1.0)
    segment.remove()
    append(journal, 1)
    journal.close()


def test_the_folder_is_deleted_while_we_write(begin: Begin, drain: Drain, folder: Path) -> None:
    """
    A folder removed under an open segment loses nothing: the rows are written again at the next maintenance.
    """
    journal = begin()
    append(journal, 1)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    append(journal, 2)
    assert journal.maintain() == 1
    append(journal, 3)
    journal.flush()
    assert sorted(drain()) == [1, 2, 3]
    assert COUNTERS["journal.rescued"] == 1


def test_sealing_fails_and_recovers(begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A failing fsync is loud and loses nothing: the segment is kept and sealed later.
    """

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = begin()
    append(journal, 1)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(JournalError, match="kept and tried again"):
        journal.flush()
    assert COUNTERS["journal.sync_failed"] == 1
    monkeypatch.undo()
    append(journal, 2)
    assert journal.flush() == 2
    assert sorted(drain()) == [1, 2]


def test_a_forgotten_journal_is_no_leak(folder: Path, drain: Drain) -> None:
    """
    A journal that nobody closed lets go of its files when it is collected, and its rows are adopted.
    """
    append(Journal(folder, ledger="test"), 1)
    gc.collect()
    assert drain() == [1]


def test_saving_rows_on_a_full_disk(begin: Begin, drain: Drain, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Rows of a deleted file that cannot be written again yet are not shipped in part: all of them wait, and come once.
    """

    def write_half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) * 2 // 3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = begin()
    append_each(journal, range(30))
    for path in folder.iterdir():
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("otel_llmcost.journal.folder.write_all", write_half)
        with pytest.raises(JournalError, match="No space left"):
            journal.flush()
    assert drain() == []
    journal.flush()
    assert drain() == list(range(30))


def test_rows_that_belong_together_are_written_together(tmp_path, monkeypatch):
    """
    Of rows appended in one call, all are in the journal or none, also when the disk fills up in the middle.
    """
    journal = Journal(tmp_path / "journal", ledger="l")
    journal.append("t", "202611", b'{"n":1}')
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) - 3]))
    with pytest.raises(JournalError):
        journal.append("t", "202611", b'{"n":2}', b'{"n":3}')
    monkeypatch.setattr(os, "write", real)
    journal.append("t", "202611", b'{"n":4}', b'{"n":5}')
    journal.flush()
    (segment,) = waiting(tmp_path / "journal", "l")
    with segment:
        numbers = [json.loads(line)["n"] for line in segment.payload().splitlines()]

    assert (numbers, segment.rows) == ([1, 4, 5], 3)
