"""What happens to rows while the journal's folder cannot be used: they wait in memory, and nothing is lost or doubled."""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError, JournalFull, SettingsError
from otel_llmcost.journal import Journal, backlog, filesystems
from otel_llmcost.journal.maintenance import Maintenance
from otel_llmcost.journal.standby import MAX_BYTES, MAX_ROWS
from otel_llmcost.shipper import ship_once
from tests.journal.journal_rows import append, append_each
from tests.shipper.ledgers import MemoryLedger, away

Begin = Callable[..., Journal]
Drain = Callable[[], list[int]]
FOREIGN_USER = 12345


@contextmanager
def open_to_others(folder: Path) -> Iterator[str]:
    """A folder that others can read."""
    folder.mkdir(mode=0o755)
    yield "chmod 700"
    folder.chmod(0o700)


@contextmanager
def another_users(folder: Path) -> Iterator[str]:
    """A folder of another user."""
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    folder.mkdir(mode=0o700)
    os.chown(folder, FOREIGN_USER, FOREIGN_USER)
    yield f"belongs to user {FOREIGN_USER}"
    os.chown(folder, os.geteuid(), os.getegid())


@contextmanager
def in_the_way(folder: Path) -> Iterator[str]:
    """A file where the folder should be."""
    folder.write_text("")
    yield "set OTEL_LLMCOST_JOURNAL_DIR"
    folder.unlink()


@contextmanager
def no_descriptors(_folder: Path) -> Iterator[str]:
    """A process that has all the files open that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield "Too many open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("trouble", [open_to_others, another_users, in_the_way, no_descriptors])
def test_a_folder_that_cannot_be_used(
    begin: Begin,
    folder: Path,
    drain: Drain,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[Path], Iterator[str]],
) -> None:
    """
    Fault 40: rows wait in memory, which is said once with what to do; when the folder can be used, maintenance puts them
    there, without a restart, and later rows follow.
    """
    with trouble(folder) as words:
        journal = begin()
        assert append_each(journal, range(5)) == ([*range(5)], [])
        journal.flush()
        assert (journal.standby.rows, journal.is_sealed) == (5, False)
    assert len(caplog.records) == 1
    assert words in caplog.text
    assert COUNTERS["journal.memory_rows"] == 5
    append(journal, 5)
    journal.maintain()
    assert (journal.standby.rows, journal.is_sealed) == (0, True)
    append(journal, 6)
    journal.flush()
    assert sorted(drain()) == [*range(7)]
    assert "6 rows went there" in caplog.records[1].getMessage()


def test_the_folder_fails_while_we_write(begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 40: a file system that becomes read-only under an open segment costs no row, before, while or after.
    """
    journal = begin()
    append(journal, 1)
    real_write, real_open = os.write, os.open

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(os, "open", refuse)
    append(journal, 2)
    append(journal, 3)
    journal.standby.write_out()
    assert journal.standby.rows == 2
    monkeypatch.setattr(os, "write", real_write)
    monkeypatch.setattr(os, "open", real_open)
    journal.maintain()
    append(journal, 4)
    journal.flush()
    assert sorted(drain()) == [1, 2, 3, 4]


@pytest.mark.parametrize(("size", "kept"), [(100, MAX_ROWS), (1 << 18, MAX_BYTES >> 18)], ids=["rows", "bytes"])
def test_memory_is_bounded(begin: Begin, folder: Path, size: int, kept: int) -> None:
    """
    At the bounds of memory the newest rows are refused, each counted and none of it kept in part.
    """
    folder.write_text("")
    journal = begin()
    row = b'{"text":"%s"}' % (b"x" * (size - 11))
    refused = 0
    for _ in range(kept + 3):
        try:
            journal.append("llm_requests", "202611", row)
        except JournalFull:
            refused += 1
    assert (journal.standby.rows, refused, COUNTERS["journal.memory_dropped"]) == (kept, 3, 3)
    with pytest.raises(JournalFull, match="newest rows are refused"):
        journal.append("llm_requests", "202611", row, row)
    assert COUNTERS["journal.memory_dropped"] == 5
    with pytest.raises(JournalError, match="1048576"):
        journal.append("llm_requests", "202611", b'{"text":"%s"}' % (b"x" * (1 << 20)))


def test_a_server_gets_rows_out_of_memory(begin: Begin, folder: Path) -> None:
    """
    While the folder cannot be used, rows go from memory to a server: once each, and again with the same bytes and token.
    """
    folder.write_text("")
    journal, ledger = begin(), MemoryLedger()
    append_each(journal, range(3))
    ledger.after = away  # it was stored, and the answer got lost
    shipped = ship_once(ledger, folder, fingerprint="test", standby=journal.standby)
    assert (shipped.left, journal.standby.rows) == (1, 3)
    ledger.after = lambda _number: None
    append_each(journal, range(3, 5))
    shipped = ship_once(ledger, folder, fingerprint="test", standby=journal.standby)
    assert (shipped.left, shipped.stopped, journal.standby.rows) == (0, None, 0)
    assert ledger.stored == [*range(5)]
    assert journal.is_sealed


def test_what_was_tried_from_memory_is_known_in_the_folder(begin: Begin, folder: Path) -> None:
    """
    A batch whose first insert lost its answer, and that reaches the folder afterwards, is stored once.
    """
    folder.write_text("")
    journal, ledger = begin(), MemoryLedger()
    append_each(journal, range(3))
    ledger.after = away
    ship_once(ledger, folder, fingerprint="test", standby=journal.standby)
    ledger.after = lambda _number: None
    folder.unlink()
    journal.maintain()
    assert [path.suffix[:7] for path in folder.iterdir()] == [".tried-"]
    ship_once(ledger, folder, fingerprint="test", standby=journal.standby)
    assert (ledger.stored, backlog(folder).segments) == ([0, 1, 2], 0)


def test_rows_that_never_left_memory_are_counted(begin: Begin, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    What is lost with the process, because it never left memory, is said and counted.
    """
    folder.write_text("")
    journal = begin()
    append_each(journal, range(4))
    journal.close()
    journal.standby.give_up()
    assert COUNTERS["journal.memory_dropped"] == 4
    assert "4 rows that waited in memory are lost" in caplog.text


def test_a_child_does_not_have_its_parents_rows(begin: Begin, folder: Path, drain: Drain) -> None:
    """
    Rows that wait in memory at a fork are the parent's alone.
    """
    folder.write_text("")
    journal = begin()
    append(journal, 1)
    if not (child := os.fork()):
        os._exit(journal.standby.rows)
    assert os.waitpid(child, 0)[1] == 0
    folder.unlink()
    journal.flush()
    assert drain() == [1]


MOUNTS = """\
26 1 {device} / / rw,relatime shared:1 - {kind} server:/home rw,{options}
27 26 0:99999 / /elsewhere rw - nfs4 server:/elsewhere rw
"""


@pytest.mark.parametrize(
    ("kind", "options", "is_refused"),
    [
        ("nfs4", "vers=4.2", True),
        ("cifs", "", True),
        ("fuse.sshfs", "", True),
        ("9p", "trans=virtio,version=9p2000.L", True),
        ("9p", "trans=fd,rfdno=4", False),
        ("ext4", "", False),
        ("fuse.lxcfs", "", False),
        ("overlay", "lowerdir=/nfs", False),
    ],
)
def test_network_file_systems_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, is_refused: bool
) -> None:
    """
    A journal on a network file system is a wrong setting, which the error names; also where its folder is not made yet.
    """
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        MOUNTS.format(device=f"{os.major(device)}:{os.minor(device)}", kind=kind, options=options), encoding="utf-8"
    )
    monkeypatch.setattr(filesystems, "_MOUNTS", mounts)
    if is_refused:
        with pytest.raises(SettingsError, match=rf"{kind}\).*OTEL_LLMCOST_JOURNAL_DIR"):
            Journal(folder / "deep", ledger="test")
        assert not folder.exists()
    else:
        Journal(folder, ledger="test").close()


def test_flush_keeps_its_timeout_when_the_disk_hangs(
    begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With a disk that does not answer, a flush says False when its time is over, closing ends, and no row is lost.
    """
    answers = threading.Event()
    real_fsync = os.fsync

    def hang(descriptor: int) -> None:
        answers.wait(30)
        real_fsync(descriptor)

    journal = begin()
    maintenance = Maintenance(journal, None)
    append(journal, 1)
    monkeypatch.setattr(os, "fsync", hang)
    began = time.monotonic()
    assert not maintenance.flush(0.3)
    append(journal, 2)
    assert not maintenance.close(0.3)
    assert 0.55 < time.monotonic() - began < 1.5
    answers.set()
    maintenance._thread.join(10)
    assert maintenance.flush(0.1)
    assert sorted(drain()) == [1, 2]


def test_flush_tells_what_the_disk_said(begin: Begin, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A flush is True when every row is durable, and False when an fsync failed.
    """

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = begin()
    maintenance = Maintenance(journal, None)
    assert maintenance.flush(5)
    append(journal, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert not maintenance.flush(5)
    assert maintenance.flush(5)
    assert drain() == [1]
    maintenance.close(5)
