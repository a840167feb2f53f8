"""Merging: a row is in exactly one valid segment at every step, whoever dies where, and whoever else is at work."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal, adopt, backlog, merge_small, segment_names, waiting
from tests.journal.conftest import drain_numbers

Begin = Callable[..., Journal]
Drain = Callable[[], list[int]]
INPUTS = 3
ROWS = 4
STEPS = ("open", "write", "fsync", "rename", "unlink")
"""Every call that changes the disk."""


def write(folder: Path, segments: int, rows: int = ROWS, first: int = 0, month: str = "202611") -> list[int]:
    """
    Write numbered rows into sealed segments of so many rows.
    """
    journal = Journal(folder, ledger="test")
    numbers = range(first, first + segments * rows)
    for number in numbers:
        journal.append("llm_requests", month, b'{"n":%d}' % number)
        if number % rows == rows - 1:
            journal.flush()
    journal.close()
    return [*numbers]


def test_many_small_segments_become_one(folder: Path, drain: Drain) -> None:
    """
    Rows are moved byte for byte, each with its own batch id, and the large segment is as old as its oldest row.
    """
    numbers = write(folder, 20)
    lines = []
    for segment in waiting(folder, "test"):
        lines.append(segment.payload())
        created = segment.created
        segment.release()
        break
    with adopted(folder) as segments:
        before = b"".join(sorted(segment.payload() for segment in segments))
    assert merge_small(folder, "test") == 20
    [name] = segment_names(folder)
    merged = adopt(folder / str(name), "test")
    assert merged is not None
    assert merged.state == "merged"
    assert sorted(merged.payload().splitlines()) == sorted(before.splitlines())
    assert len(merged.batch_ids) == 20
    assert merged.created == pytest.approx(created, abs=5)
    merged.release()
    assert sorted(drain()) == numbers
    assert COUNTERS["journal.merged"] == 20


@contextmanager
def adopted(folder: Path) -> Iterator[list]:
    """
    Hold every segment that can be had.
    """
    held = [segment for name in segment_names(folder) if (segment := adopt(folder / str(name), "test"))]
    yield held
    for segment in held:
        segment.release()


def test_only_what_may_be_merged(folder: Path, begin: Begin) -> None:
    """
    Other tables, months and ledgers, segments that were tried, and those of living processes are left as they are.
    """
    for month in ("202610", "202611"):
        write(folder, 1, month=month)
    alive = begin()
    alive.append("llm_requests", "202611", b'{"n":1}')
    rates = Journal(folder, ledger="test")
    rates.append("llm_rates", "202611", b'{"n":2}')
    rates.close()
    other = Journal(folder, ledger="another")
    other.append("llm_requests", "202611", b'{"n":3}')
    other.close()
    write(folder, 1)
    tried = next(segment for segment in waiting(folder, "test") if segment.month == "202611")
    tried.mark_tried(1_800_000_000)
    tried.release()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert merge_small(folder, "test") == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("bound", "value", "sizes"),
    [("MERGED_SEGMENTS", 3, [12, 12, 4]), ("MERGED_ROWS", 10, [8, 8, 8, 4]), ("MERGED_BYTES", 2000, None)],
)
def test_bounds(
    folder: Path, drain: Drain, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, sizes: list[int] | None
) -> None:
    """
    No merged segment has more rows or bytes, or is made of more segments, than the bound says.
    """
    monkeypatch.setattr(f"otel_llmcost.journal.merging.{bound}", value)
    numbers = write(folder, 7)
    merge_small(folder, "test")
    with adopted(folder) as segments:
        if sizes:
            assert sorted((segment.rows for segment in segments), reverse=True) == sizes
        else:
            assert all(segment.path.stat().st_size <= value for segment in segments)
            assert 1 < len(segments) < 7
    assert sorted(drain()) == numbers


def test_large_segments_are_not_rewritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A segment of half the bound or more stays the file that it is.
    """
    monkeypatch.setattr("otel_llmcost.journal.merging.MERGED_ROWS", 2 * ROWS - 1)
    write(folder, 3)
    before = sorted(folder.iterdir())
    assert merge_small(folder, "test") == 0
    assert sorted(folder.iterdir()) == before


def test_segments_of_dead_processes_are_merged_too(folder: Path, begin: Begin, drain: Drain) -> None:
    """
    What dead processes left unsealed goes into the same large segment.
    """
    for number in range(5):
        journal = Journal(folder, ledger="test")
        journal.append("llm_requests", "202611", b'{"n":%d}' % number)
        del journal
    assert merge_small(folder, "test") == 5
    assert len(segment_names(folder)) == 1
    assert sorted(drain()) == [0, 1, 2, 3, 4]


class Dying:
    """Counts what changes the disk, and ends the process, without any cleaning up, at one of those steps."""

    def __init__(self, at: int, *, done: bool) -> None:
        self.at, self.done, self.steps = at, done, 0

    def around(self, step: Callable[..., object]) -> Callable[..., object]:
        """
        Give a step that may be the last one.
        """

        def run(*arguments: object, **options: object) -> object:
            self.steps += 1
            if self.steps == self.at and not self.done:
                os._exit(9)
            result = step(*arguments, **options)
            if self.steps == self.at:
                os._exit(9)
            return result

        return run


def merge_and_die(folder: Path, at: int, *, done: bool) -> bool:
    """
    Merge in another process that dies at a step, before or after it is done; tell whether it got there.
    """
    child = os.fork()
    if not child:
        dying = Dying(at, done=done)
        with patch.multiple(os, **{name: dying.around(getattr(os, name)) for name in STEPS}):
            merge_small(folder, "test")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("done", [False, True], ids=["before-the-step", "after-the-step"])
def test_a_crash_at_every_step(tmp_path: Path, done: bool) -> None:
    """
    A process that dies before or after any single step of a merge leaves every row to the next, exactly once. Fault 44.
    """
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        numbers = write(folder, INPUTS)
        died = merge_and_die(folder, at, done=done)
        assert sorted(drain_numbers(folder)) == numbers, at
        assert list(folder.iterdir()) == [], at
        if not died:
            break
    assert at > 2 * INPUTS + 5


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True], ids=["before-the-step", "after-the-step"])
def test_a_crash_at_every_step_and_again_in_the_next_merge(tmp_path: Path, done: bool) -> None:
    """
    Two merges in a row that die, each at any of its steps, cost no row and double none.
    """
    for first in range(4, 24, 3):
        for second in range(1, 24, 5):
            folder = tmp_path / f"{first}-{second}"
            numbers = write(folder, INPUTS)
            merge_and_die(folder, first, done=done)
            merge_and_die(folder, second, done=not done)
            assert merge_small(folder, "test") >= 0
            assert sorted(drain_numbers(folder)) == numbers, (first, second)


def test_a_merged_segment_that_cannot_be_read(tmp_path: Path) -> None:
    """
    When a merge was cut short and its result is damaged, the segments that it was made of are shipped instead.
    """
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        numbers = write(folder, INPUTS)
        assert merge_and_die(folder, at, done=False)
        names = segment_names(folder)
        merged = [name for name in names if name.state == "merged"]
        if len(merged) == 1 and len(names) == 1 + INPUTS:
            break
    path = folder / str(merged[0])
    path.write_bytes(b"\xff" * 40 + path.read_bytes()[40:])
    first, then = drain_numbers(folder), drain_numbers(folder)
    assert sorted(first + then) == numbers
    assert backlog(folder).quarantined == 1


class Recorded:
    """Records the changes of a folder's names and where they were made durable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[tuple[str, ...]] = []
        self._directories: set[int] = set()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """
        Record what is done meanwhile.
        """
        rename, unlink, fsync, open_ = os.rename, os.unlink, os.fsync, os.open

        def renamed(source: object, target: object) -> None:
            rename(source, target)
            self.steps.append(("rename", Path(source).name, Path(target).name))

        def unlinked(path: object, **options: object) -> None:
            unlink(path, **options)
            self.steps.append(("unlink", Path(path).name))

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):
                self.steps.append(("sync",))

        def opened(path: object, flags: int, *rest: object, **options: object) -> int:
            if flags & os.O_CREAT and not os.path.exists(path):
                self.steps.append(("create", Path(path).name))
            return open_(path, flags, *rest, **options)

        with patch.multiple(os, rename=renamed, unlink=unlinked, fsync=synced, open=opened):
            yield

    def possible(self) -> Iterator[tuple[bool, tuple[tuple[str, ...], ...]]]:
        """
        Give whether the rows were inserted by then, and each history that a power loss at any moment may leave.

        All changes up to the last sync are kept, and any choice of those since.
        """
        for end in range(len(self.steps) + 1):
            past = self.steps[:end]
            synced = max((index + 1 for index, step in enumerate(past) if step == ("sync",)), default=0)
            open_ = [step for step in past[synced:] if step != ("insert",)]
            for count in range(len(open_) + 1):
                for chosen in itertools.combinations(open_, count):
                    yield ("insert",) in past, (*past[:synced], *chosen)


@pytest.mark.parametrize("left", ["sealed", "open", "half-merged"])
def test_a_power_loss_at_every_step(tmp_path: Path, left: str) -> None:
    """
    Whatever part of the changes since the last sync a power loss keeps, every row is there once: stored or in a segment.
    """
    folder = tmp_path / "journal"
    numbers = write(folder, INPUTS)
    if left != "sealed":
        state = "open" if left == "open" else f"into-{'0' * 8}-0000-0000-0000-{'0' * 12}"
        for path in [*folder.iterdir()]:
            path.rename(path.with_suffix(f".{state}"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    recorded = Recorded(folder)
    with recorded.recording():
        if left == "half-merged":
            for segment in waiting(folder, "test"):
                segment.release()
        assert merge_small(folder, "test") == INPUTS
        [segment] = waiting(folder, "test")
        with segment:
            segment.mark_tried(1_800_000_000)
            contents = segment.path.read_bytes()
            recorded.steps.append(("insert",))
            segment.remove()
    histories = {*recorded.possible()}
    assert len(histories) > 30
    for inserted, history in histories:
        place = tmp_path / "again"
        kept = replayed(files, contents, history)
        for name, content in kept.items():
            place.mkdir(mode=0o700, exist_ok=True)
            (place / name).write_bytes(content)
        found = sorted(drain_numbers(place)) if kept else []
        if inserted:
            assert [*kept.values()] in ([], [contents]), "nothing, or the same bytes again, with the same token"
        else:
            assert found == numbers, history
        shutil.rmtree(place, ignore_errors=True)


def replayed(files: dict[str, bytes], contents: bytes, history: tuple[tuple[str, ...], ...]) -> dict[str, bytes]:
    """
    Apply the changes that a power loss kept; what was written into a file is there, because it was synced itself.
    """
    left = dict(files)
    for step in history:
        match step:
            case ("create", name):
                left[name] = contents
            case ("rename", source, target) if source in left:
                left[target] = left.pop(source)
            case ("rename", _, target) if target.endswith((".merged", ".tried-1800000000")):
                left[target] = contents
            case ("unlink", name):
                left.pop(name, None)
    return left


def test_a_full_disk(folder: Path, drain: Drain) -> None:
    """
    A merge that the disk has no room for fails, leaves every row where it was, and nothing else behind.
    """
    numbers = write(folder, INPUTS)
    write_, calls = os.write, 0

    def full(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(28, "No space left on device")
        return write_(descriptor, data[: len(data) // 2])

    with patch("os.write", full), pytest.raises(OSError, match="No space"):
        merge_small(folder, "test")
    assert sorted(drain()) == numbers
    assert list(folder.iterdir()) == []
    assert backlog(folder).quarantined == 0


def test_mergers_and_shippers_at_the_same_time(folder: Path) -> None:
    """
    Two merging processes and three shippers on one folder, while it is written, take every row once. Fault 95.
    """
    count, shippers, mergers = 3000, 3, 2
    children = [in_child(lambda: merge_until_told(folder)) for _ in range(mergers)]
    outputs = [folder.with_name(f"shipped-{number}") for number in range(shippers)]
    children += [in_child(lambda output=output: ship_until_told(folder, output)) for output in outputs]
    try:
        writers = [threading.Thread(target=write, args=(folder, count // 20, 5, start * count)) for start in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    finally:
        folder.with_name("stop").touch()
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert statuses == [0] * (shippers + mergers)
    taken = [json.loads(line)["n"] for output in outputs for line in output.read_bytes().splitlines()]
    taken += drain_numbers(folder)
    assert sorted(taken) == [start * count + n for start in range(4) for n in range(count // 4)]
    assert list(folder.iterdir()) == []


def in_child(work: Callable[[], None]) -> int:
    """
    Run in a forked process, and give its id.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def merge_until_told(folder: Path) -> None:
    """
    Merge again and again.
    """
    while not folder.with_name("stop").exists():
        merge_small(folder, "test")


def ship_until_told(folder: Path, output: Path) -> None:
    """
    Take segments again and again; write their rows to a file.
    """
    with output.open("wb") as file:
        while not folder.with_name("stop").exists():
            for segment in waiting(folder, "test"):
                with segment:
                    segment.mark_tried(1_800_000_000)
                    file.write(segment.payload())
                    segment.remove()
