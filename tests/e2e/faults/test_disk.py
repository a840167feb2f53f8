"""
Faults of the journal's disk under a real application: full, failing, read-only, gone, restored from a backup.

Each test audits every call of every test here, by span and in picodollars (`bank.Bank.settle`). Torn, damaged and foreign
files are in tests/journal, and so is the power loss before every single operation.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Segment, backlog
from otel_llmcost.ledger import connect
from otel_llmcost.verify import carry_out, plan, verify
from tests.clickhouse_double import ClickHouseDouble
from tests.e2e.faults.application import Application
from tests.e2e.faults.audit import ROLLUPS, Audit
from tests.e2e.faults.bank import Bank
from tests.e2e.faults.small_disk import small_disk

TABLES = ("llm_requests", *ROLLUPS)


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    """The ledger of all tests here but the one that doubles rows in its own."""
    with ClickHouseDouble() as server:
        yield Bank(server, "disk")


@pytest.fixture
def application(bank: Bank, tmp_path: Path) -> Iterator[Application]:
    """An application whose journal works so far."""
    application = bank.application(tmp_path)
    application.call(5)
    bank.settle(application)
    yield application
    application.end()


def call(application: Application, times: int) -> int:
    """Make calls; give how many of them the journal refused, which are then not the ledger's to have."""
    refused = 0
    for _ in range(times):
        before = COUNTERS["exporter.rows_refused"]
        application.call()
        if COUNTERS["exporter.rows_refused"] > before:
            application.ended.popitem()
            refused += 1
    return refused


class FailingWrites:
    """An `os.write` that fails from its `nth` call on, `times` times: after half of the bytes, or with an error."""

    def __init__(self, nth: int, times: int, error: int | None) -> None:
        self._failing = range(nth, nth + times)
        self._error = error
        self._calls = 0
        self._write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        """Write, or fail."""
        self._calls += 1
        if self._calls not in self._failing:
            return self._write(descriptor, data)
        if self._error is None:
            return self._write(descriptor, data[: len(data) // 2])
        raise OSError(self._error, os.strerror(self._error))


@pytest.mark.parametrize(
    ("error", "loses"),
    [(None, True), (errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (errno.EROFS, False)],
    ids=["short", "ENOSPC", "EDQUOT", "EIO", "EROFS"],
)
def test_each_write_fails(
    bank: Bank, application: Application, monkeypatch: pytest.MonkeyPatch, error: int | None, loses: bool
) -> None:
    """
    Faults 38 and 40: whichever write fails, once or three times in a row, no call fails; a full disk refuses exactly the
    calls that it counts, any other error refuses none; later calls are kept without a restart.
    """
    for nth in range(1, 7):
        for times in (1, 3):
            before = COUNTERS["journal.disk_full"]
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", FailingWrites(nth, times, error))
                refused = call(application, 6)
            assert refused == COUNTERS["journal.disk_full"] - before
            assert refused == (min(times, 8 - nth) if loses else 0)  # the first write is the segment's header
            assert call(application, 1) == 0
            assert application.drain()
    bank.settle(application)


def test_a_disk_that_is_full(bank: Bank, tmp_path: Path) -> None:
    """
    Fault 38: with a full disk and no server, calls go on, refused rows are counted one by one, and when the server is back
    what is on the disk is shipped and makes room again.
    """
    with small_disk(tmp_path / "disk", 256) as disk:
        application = bank.application(disk)
        with bank.server.away():
            refused = call(application, 1000)
            assert 100 < refused == COUNTERS["journal.disk_full"] < 900
        bank.settle(application)
        assert backlog(application.exporter.journal_dir).segments == 0
        assert call(application, 50) == 0
        bank.settle(application)
        application.end()


def test_the_size_cap(bank: Bank, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 46: at the size cap the newest calls are refused and counted one by one; the oldest are stored, and then there
    is room again.
    """
    with bank.server.away():
        monkeypatch.setattr(application.exporter._journal, "_limit", application.exporter._journal._written + 50_000)
        refused = call(application, 200)
        assert 100 < refused == COUNTERS["journal.refused"] < 190
    bank.settle(application)
    application.exporter._journal.maintain()
    assert call(application, 50) == 0
    bank.settle(application)


def test_an_fsync_that_fails(bank: Bank, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 39: after an fsync that failed, nobody takes a second one for a proof: the flush says False, and the rows are
    written into another file before they are shipped.
    """
    real = os.fsync
    failed: list[int] = []

    def fail_once(descriptor: int) -> None:
        if not failed:
            failed.append(os.fstat(descriptor).st_ino)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        assert os.fstat(descriptor).st_ino not in failed
        real(descriptor)

    application.call(5)
    monkeypatch.setattr(os, "fsync", fail_once)
    assert not application.exporter.force_flush(5000)
    bank.settle(application)
    assert (COUNTERS["journal.sync_failed"], COUNTERS["journal.rescued"]) == (1, 1)


def test_a_file_system_that_becomes_read_only(bank: Bank, tmp_path: Path) -> None:
    """
    Fault 40: while the file system is read-only, rows go from memory to the server; afterwards the journal has them again.
    """
    with small_disk(tmp_path / "disk", 1024) as disk:
        application = bank.application(disk)
        application.call(5)
        bank.settle(application)
        remount = ["mount", "-o", "remount,ro", str(disk)]
        subprocess.run(remount, check=True)
        try:
            assert call(application, 20) == 0
            assert COUNTERS["journal.memory_rows"] >= 20
            bank.settle(application)
            with bank.server.away():
                assert call(application, 5) == 0
                assert not application.exporter.force_flush(500)
        finally:
            subprocess.run([*remount[:2], "remount,rw", str(disk)], check=True)
        assert call(application, 5) == 0
        bank.settle(application)
        assert application.exporter._journal.standby.reason is None
        application.end()


def test_no_folder_at_the_start(bank: Bank, tmp_path: Path) -> None:
    """
    Fault 40: an application whose journal's folder cannot be made starts, says so once, and its rows reach the server;
    when the folder can be made, it is used, without a restart.
    """
    (tmp_path / "journal").write_text("in the way")
    application = bank.application(tmp_path)
    assert call(application, 10) == 0
    bank.settle(application)
    (tmp_path / "journal").unlink()
    assert call(application, 10) == 0
    bank.settle(application)
    assert application.exporter.journal_dir.is_dir()
    application.end()


def test_the_folder_is_deleted(bank: Bank, application: Application) -> None:
    """
    Fault 40: a journal that is deleted under the application while rows are in it costs none of them.
    """
    for _ in range(3):
        assert call(application, 10) == 0
        shutil.rmtree(application.exporter.journal_dir, ignore_errors=True)
        assert call(application, 10) == 0
    bank.settle(application)


def test_a_crash_between_the_answer_and_the_removal(
    bank: Bank, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Fault 44: a segment that was stored, and whose removal never happened, is sent again and stored once.
    """
    application.call(10)
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "remove", Segment.release)
        assert not application.exporter.force_flush(1000)
    assert [name.suffix[:7] for name in application.exporter.journal_dir.iterdir()] == [".tried-"]
    bank.settle(application)


def test_a_journal_restored_from_a_backup(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 49: segments that come back after they were shipped have the same tokens, and are stored once.
    """
    keep_a_copy(bank, application, tmp_path / "backup")
    bank.settle(application)
    restore(application, tmp_path / "backup")
    bank.settle(application)


def test_a_backup_older_than_the_ledgers_memory(tmp_path: Path) -> None:
    """
    Fault 49: beyond the tokens that the ledger remembers, restored segments are doubled; `verify` finds each of them and
    `repair` takes back exactly what they cost.
    """
    with ClickHouseDouble() as server:
        bank = Bank(server, "replayed")
        application = bank.application(tmp_path)
        keep_a_copy(bank, application, tmp_path / "backup")
        bank.settle(application)
        for table in TABLES:
            bank.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0")
        restore(application, tmp_path / "backup")
        assert application.drain()
        for table in TABLES:
            bank.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 100000")
        doubled = bank.audit()
        assert (doubled.doubled, doubled.rows_minus_want) == (10, sum(application.ended.values()))
        with connect(bank.dsn) as ledger:
            (copies,) = [check for check in verify(ledger).checks if check.name == "copies"]
            assert copies.state == "problem"
            planned = plan(ledger)
            assert planned.copies.charges == 10
            list(carry_out(ledger, planned))
            assert verify(ledger).problems == 0
        repaired = bank.audit()
        assert repaired == Audit(doubled=10)  # both rows stay, the second is taken back: no picodollar is left over
        application.end()


def keep_a_copy(bank: Bank, application: Application, place: Path) -> None:
    """Make calls, and copy the journal while they wait in it."""
    with bank.server.away():
        application.call(10)
        assert not application.exporter.force_flush(300)
        time.sleep(0.1)
        shutil.copytree(application.exporter.journal_dir, place)


def restore(application: Application, place: Path) -> None:
    """Put the copy back."""
    segments = [path for path in place.iterdir() if path.is_file()]
    assert segments
    for path in segments:
        shutil.copy(path, application.exporter.journal_dir)
