"""What survives: processes killed at any moment, forks, stopped owners, two processes that want the same segment."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal, adopt, backlog, waiting
from tests.journal.journal_rows import append

WRITER = Path(__file__).with_name("writer_process.py")
Begin = Callable[..., Journal]
Drain = Callable[[], list[int]]


def spawn(folder: Path, *, seal_rows: int = 1000, first: int = 0) -> subprocess.Popen[bytes]:
    """
    Start a process that appends numbered rows from `first` on.
    """
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), str(seal_rows), str(first)], stdout=subprocess.PIPE
    )


def kill(writer: subprocess.Popen[bytes]) -> list[int]:
    """
    Kill a writer; give the numbers that it had reported.
    """
    writer.kill()
    output, _ = writer.communicate()
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]


def wait_for_rows(writer: subprocess.Popen[bytes]) -> bytes:
    """
    Wait until the writer has reported a row, and give that line.
    """
    assert writer.stdout
    return writer.stdout.readline()


def in_child(work: Callable[[], None]) -> int:
    """
    Fork, run `work` in the child, leave it by `os._exit`; give the child's exit status.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_kill_9_loses_no_row(folder: Path, drain: Drain) -> None:
    """
    Every row whose `append` had returned survives kill -9, once, in 12 kills of three writers at a time.
    """
    chance = random.Random(7)
    reported: list[int] = []
    for round_ in range(4):
        writers = [spawn(folder, first=(round_ * 3 + writer) * 10_000_000) for writer in range(3)]
        reported += [int(wait_for_rows(writer)) for writer in writers]
        time.sleep(chance.uniform(0.02, 0.3))
        for writer in writers:
            reported += kill(writer)
    stored = drain()
    assert len(reported) > 1000
    assert len(stored) == len(set(stored))
    assert not set(reported) - set(stored)
    assert len(set(stored) - set(reported)) <= 12, "at most the row in flight of each kill"
    assert COUNTERS["journal.damaged"] == 0


def test_a_living_owner_is_not_robbed(folder: Path, drain: Drain) -> None:
    """
    An open segment is adopted after its owner's death, not before, and not while the owner is stopped.
    """
    writer = spawn(folder, seal_rows=10**9)
    wait_for_rows(writer)
    assert drain() == []
    writer.send_signal(signal.SIGSTOP)
    assert drain() == []
    writer.send_signal(signal.SIGCONT)
    wait_for_rows(writer)
    reported = kill(writer)
    assert set(reported) <= set(drain())


def test_one_segment_one_adopter(begin: Begin, folder: Path) -> None:
    """
    A segment that one shipper holds is not given to another, until it is released.
    """
    journal = begin()
    append(journal, 1)
    journal.flush()
    [path] = folder.iterdir()
    first = adopt(path, "test")
    assert first
    assert adopt(path, "test") is None
    assert in_child_adopts(path) == 1
    first.release()
    assert in_child_adopts(path) == 0
    assert adopt(path, "test")


def in_child_adopts(path: Path) -> int:
    """
    Let another process try to adopt a segment; 0 if it could.
    """
    code = (
        "import sys, pathlib; from otel_llmcost.journal import adopt\n"
        "sys.exit(not adopt(pathlib.Path(sys.argv[1]), 'test'))"
    )
    return subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode


def test_fork_begins_its_own_segments(begin: Begin, drain: Drain) -> None:
    """
    Parent and child write to different segments after a fork, and both sides' rows are there once.
    """
    journal = begin()
    append(journal, 1)

    def work() -> None:
        for number in range(100, 200):
            append(journal, number)

    assert in_child(work) == 0
    append(journal, 2)
    assert list(range(100, 200)) == drain(), "the child is dead, the parent is not"
    journal.flush()
    assert drain() == [1, 2]


def test_a_child_does_not_keep_its_parents_segments(folder: Path, drain: Drain) -> None:
    """
    When a parent dies and its forked child lives on, the parent's rows are adopted at once.
    """
    script = (
        "import os, sys, time, pathlib; from otel_llmcost.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), ledger='test')\n"
        "journal.append('llm_requests', '202611', b'{\"n\":1}')\n"
        "child = os.fork()\n"
        "if child: os.write(1, b'%d\\n' % child); os._exit(0)\n"
        "os.close(1); time.sleep(60)\n"
    )
    parent = subprocess.run([sys.executable, "-c", script, str(folder)], check=True, stdout=subprocess.PIPE)
    try:
        assert drain() == [1]
    finally:
        os.kill(int(parent.stdout), signal.SIGKILL)


def test_fork_while_threads_append(begin: Begin, drain: Drain) -> None:
    """
    Forking while another thread is inside `append` neither blocks the child nor harms a row.
    """
    import threading

    journal = begin(seal_rows=2000)
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.is_set():
            append(journal, len(written))
            written.append(len(written))

    thread = threading.Thread(target=write)
    thread.start()
    for child in range(30):
        assert in_child(lambda child=child: append(journal, 10_000_000 + child)) == 0
    stop.set()
    thread.join()
    journal.flush()
    assert [*range(len(written)), *range(10_000_000, 10_000_030)] == sorted(drain())


def test_two_shippers_share_the_work(begin: Begin, folder: Path) -> None:
    """
    Processes that drain one folder at the same time take each row once between them.
    """
    journal = begin(seal_rows=5)
    for number in range(1000):
        append(journal, number)
    journal.flush()
    code = (
        "import sys, json, pathlib; from otel_llmcost.journal import waiting\n"
        "for s in waiting(pathlib.Path(sys.argv[1]), 'test'):\n"
        "    print(*[json.loads(l)['n'] for l in s.payload().splitlines()]); s.remove()\n"
    )
    drains = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    taken = [int(word) for process in drains for word in process.communicate()[0].split()]
    assert list(range(1000)) == sorted(taken)


def test_many_orphans_one_descriptor(folder: Path) -> None:
    """
    The segments of 300 dead processes are adopted one by one, holding one file at a time.
    """
    folder.mkdir(mode=0o700)
    for number in range(300):
        append(Journal(folder, ledger="test"), number)
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    for segment in waiting(folder, "test"):
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
        segment.remove()
    assert most == 1
    assert COUNTERS["journal.adopted"] == 300
    assert backlog(folder).segments == 0


def test_tried_is_remembered(begin: Begin, folder: Path) -> None:
    """
    When a segment was first tried is known to whoever adopts it later, and does not change.
    """
    journal = begin()
    append(journal, 1)
    journal.flush()
    [segment] = waiting(folder, "test")
    segment.mark_tried(1_700_000_000.9)
    segment.mark_tried(1_800_000_000.0)
    segment.release()
    [again] = waiting(folder, "test")
    assert again.first_tried == 1_700_000_000
    assert segment.payload() == again.payload()
    again.release()


def test_backlog(begin: Begin, folder: Path) -> None:
    """
    The backlog tells segments, bytes, the oldest age and what is in quarantine; a missing folder is empty.
    """
    assert tuple(getattr(backlog(folder), name) for name in backlog(folder).__slots__) == (0, 0, 0.0, 0)
    journal = begin()
    append(journal, 1)
    journal.flush()
    append(journal, 2)
    [old, *_] = sorted(folder.iterdir(), key=lambda path: path.suffix, reverse=True)
    os.utime(old, (time.time() - 90, time.time() - 90))
    seen = backlog(folder)
    assert (seen.segments, seen.quarantined) == (2, 0)
    assert sum(path.stat().st_size for path in folder.iterdir()) == seen.bytes
    assert 89 < seen.oldest_seconds < 95
    segment = adopt(old, "test")
    assert segment
    segment.quarantine("a test")
    assert (backlog(folder).segments, backlog(folder).quarantined) == (1, 1)
    assert "a test" in next((folder / "quarantine").glob("*.reason")).read_text()


def test_letting_go_twice_harms_no_other(begin: Begin, folder: Path) -> None:
    """
    Letting go of a segment twice does not let go of another that got its descriptor's number meanwhile.
    """
    journal = begin()
    append(journal, 1)
    journal.flush()
    [segment] = waiting(folder, "test")
    segment.release()
    [again] = waiting(folder, "test")
    segment.release()
    assert list(waiting(folder, "test")) == []
    again.release()


def test_one_unreadable_segment_does_not_stop_the_others(
    begin: Begin, folder: Path, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A segment on a bad sector is left and counted once; the others are adopted.
    """
    journal = begin(seal_rows=1)
    for number in range(3):
        append(journal, number)
    journal.flush()
    reads, real_read = 0, os.pread

    def fail_first(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real_read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", fail_first)
    assert len(drain()) == 2
    assert COUNTERS["journal.unreadable"] == 1
    assert len(drain()) == 1
