"""What reading does with bytes that are not as they were written, and with files that we did not write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import Journal, Segment, adopt, backlog, waiting
from otel_llmcost.journal.frames import Header, frame, read, rebatch, row_prefix
from tests.journal.journal_rows import append_each

Begin = Callable[..., Journal]
Drain = Callable[[], list[int]]
BATCH = "01234567-89ab-cdef-0123-456789abcdef"
HEADER = Header(version=1, table="llm_requests", month="202611", ledger="test", batch_id=BATCH, created=1.5)


def segment_bytes(rows: int, header: Header = HEADER) -> tuple[bytes, list[int]]:
    """
    Build a segment by the format's definition; give its bytes and where each record begins, and the end.
    """
    data, starts = header.to_frame(), []
    for number in range(rows):
        starts.append(len(data))
        data += frame(row_prefix(header.batch_id) + b'"n":%d}\n' % number)
    return data, [*starts, len(data)]


def plant(folder: Path, data: bytes, name: str = f"llm_requests.202611.{BATCH}.open") -> Path:
    """
    Put a file into the folder that no journal wrote.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def numbers(records: list[bytes]) -> list[int]:
    """
    Give the numbers in some rows.
    """
    return [json.loads(record)["n"] for record in records]


def test_torn_tail_at_every_offset(folder: Path, drain: Drain) -> None:
    """
    A last record that a crash cut short, at any byte, is cut off and counted; all rows before it are there.
    """
    data, starts = segment_bytes(4)
    for end in range(starts[3] + 1, starts[4]):
        COUNTERS.reset()
        plant(folder, data[:end])
        assert drain() == [0, 1, 2]
        assert (COUNTERS["journal.torn"], COUNTERS["journal.damaged"]) == (1, 0)
    assert backlog(folder).quarantined == 0


@pytest.mark.parametrize("zeros", [1, 7, 8, 9, 100, 4096])
def test_zero_filled_tail(folder: Path, drain: Drain, zeros: int) -> None:
    """
    Zeros behind the last row, as a power loss leaves them, are cut off.
    """
    plant(folder, segment_bytes(3)[0] + bytes(zeros))
    assert drain() == [0, 1, 2]
    assert COUNTERS["journal.torn"] == 1


def test_a_hole_in_the_middle(folder: Path, drain: Drain) -> None:
    """
    Fault 43: blocks that never reached the disk, in the middle of a file, are set aside; the rows on either side are there.
    """
    data, starts = segment_bytes(200)
    path = plant(folder, data)
    with path.open("r+b") as file:
        file.truncate(starts[50] + 5)
        file.truncate(starts[150] + 5)  # sparse: no block of it was ever written
        file.seek(0, os.SEEK_END)
        file.write(data[starts[150] + 5 :])
    assert drain() == [*range(50), *range(151, 200)]
    assert (COUNTERS["journal.damaged"], COUNTERS["journal.torn"]) == (1, 0)


def test_the_cut_is_made_once(folder: Path) -> None:
    """
    A torn segment has the same payload, and so the same token, each time it is adopted.
    """
    path = plant(folder, segment_bytes(3)[0][:-5])
    first = adopt(path, "test")
    assert first
    first.release()
    again = adopt(first.path, "test")
    assert again
    assert first.payload() == again.payload()
    assert COUNTERS["journal.torn"] == 1
    assert first.path.suffix == ".sealed"
    again.release()


def test_every_bit_flip_is_detected() -> None:
    """
    Whichever bit of the rows flips, the row it is in is set aside and no other is lost or changed.
    """
    data, starts = segment_bytes(3)
    for position in range(starts[0], len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            rows = read(bytes(flipped))
            hit = sum(position >= start for start in starts) - 1
            assert [n for n in range(3) if n != hit] == numbers(rows.records)
            assert [(starts[hit], starts[hit + 1])] == rows.damaged, "never mistaken for a torn tail"


def test_damage_is_kept_and_the_rest_shipped(folder: Path, drain: Drain) -> None:
    """
    Damaged bytes go to quarantine once, with a reason, and the rows round them are adopted.
    """
    data, starts = segment_bytes(5)
    damaged = data[: starts[2] + 20] + b"\xff\xff" + data[starts[2] + 22 :]
    path = plant(folder, damaged)
    for _ in range(2):
        segment = adopt(path, "test")
        assert segment
        segment.release()
        path = segment.path
    assert drain() == [0, 1, 3, 4]
    assert COUNTERS["journal.damaged"] == 1
    [kept] = [path for path in (folder / "quarantine").iterdir() if path.suffix != ".reason"]
    assert damaged[starts[2] : starts[3]] == kept.read_bytes()
    assert "checksum" in kept.with_name(f"{kept.name}.reason").read_text()


@pytest.mark.parametrize("position", [0, 3, 5, 8, 30, 100])
def test_a_damaged_header(folder: Path, drain: Drain, position: int) -> None:
    """
    Without a good header nobody knows which ledger the rows are for: the whole file is set aside, with a reason.
    """
    data = bytearray(segment_bytes(3)[0])
    data[position] ^= 4
    plant(folder, bytes(data))
    assert drain() == []
    assert (backlog(folder).segments, backlog(folder).quarantined) == (0, 1)
    assert COUNTERS["journal.quarantined"] == 1


@pytest.mark.parametrize("data", [b"", bytes(4096), HEADER.to_frame(), HEADER.to_frame() + b"\x20\0"])
def test_empty_segments_are_removed(folder: Path, drain: Drain, data: bytes) -> None:
    """
    A segment without a row is removed.
    """
    plant(folder, data)
    assert drain() == []
    assert (backlog(folder).segments, backlog(folder).quarantined) == (0, 0)


@pytest.mark.parametrize("change", [{"ledger": "another"}, {"version": 2}])
def test_foreign_segments_stay(folder: Path, drain: Drain, change: dict[str, object]) -> None:
    """
    A segment of another ledger, or of a version that we do not know, is left where it is and counted once.
    """
    header = Header(**{**{name: getattr(HEADER, name) for name in HEADER.__slots__}, **change})
    path = plant(folder, segment_bytes(2, header)[0])
    assert drain() + drain() == []
    assert path.exists()
    assert COUNTERS["journal.foreign"] == 1


def test_a_renamed_segment(folder: Path, drain: Drain) -> None:
    """
    A segment whose name says another table than its header is not shipped into that table.
    """
    plant(folder, segment_bytes(2)[0], f"llm_adjustments.202611.{BATCH}.sealed")
    assert drain() == []
    assert backlog(folder).quarantined == 1


def test_planted_files_are_refused(folder: Path, drain: Drain, tmp_path: Path) -> None:
    """
    Links, folders, pipes and files of other users are never read, followed or removed; each is counted once.
    """
    secret = plant(tmp_path / "elsewhere", segment_bytes(2)[0], "secret")
    folder.mkdir(mode=0o700)
    names = [f"llm_requests.202611.{n}{BATCH[1:]}.sealed" for n in range(5)]
    (folder / names[0]).symlink_to(secret)
    (folder / names[1]).hardlink_to(secret)
    (folder / names[2]).mkdir()
    os.mkfifo(folder / names[3])
    (folder / names[4]).symlink_to(tmp_path / "missing")
    assert drain() + drain() == []
    assert COUNTERS["journal.refused_file"] == 5
    assert segment_bytes(2)[0] == secret.read_bytes()
    assert set(names) == {path.name for path in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_segment_is_refused(folder: Path, drain: Drain) -> None:
    """
    A segment that another user put there is refused and counted.
    """
    os.chown(plant(folder, segment_bytes(2)[0]), 12345, 12345)
    assert drain() == []
    assert COUNTERS["journal.refused_file"] == 1


def test_other_files_are_left_alone(folder: Path, drain: Drain) -> None:
    """
    Files that are not named like a segment are not touched.
    """
    plant(folder, b"notes", "README")
    assert drain() == []
    assert (folder / "README").exists()


def test_a_huge_file_is_set_aside_unread(folder: Path, drain: Drain) -> None:
    """
    A file larger than any segment is set aside without being read.
    """
    os.truncate(plant(folder, segment_bytes(1)[0]), 1 << 40)
    assert drain() == []
    assert backlog(folder).quarantined == 1


def test_same_name_quarantined_twice(folder: Path) -> None:
    """
    A segment that comes back from a backup and is quarantined again does not replace the first.
    """
    for rows in (1, 2):
        segment = adopt(plant(folder, segment_bytes(rows)[0]), "test")
        assert segment
        segment.quarantine("a test")
    assert backlog(folder).quarantined == 2


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=40))
def test_reading_never_raises(noise: bytes, position: int, insert: bytes) -> None:
    """
    Any bytes can be read: rows that come out are rows that went in, in their order.
    """
    assert read(noise).records == []
    data, _ = segment_bytes(3)
    found = numbers(read(data[:position] + insert + data[position + len(insert) :]).records)
    assert found == sorted(set(found))
    assert set(found) <= {0, 1, 2}


def test_split_makes_two_new_batches(begin: Begin, folder: Path, drain: Drain) -> None:
    """
    A segment is split into two batches of their own: every row once, in order, under its new batch's id.
    """
    whole = tried_segment(begin, folder, rows=5)
    lines = whole.payload().splitlines(keepends=True)
    halves = whole.split()
    assert [half.rows for half in halves] == [2, 3]
    assert len({whole.batch_id, *(half.batch_id for half in halves)}) == 3
    assert not whole.path.exists()
    rows = [line for half in halves for line in half.payload().splitlines(keepends=True)]
    assert lines == [rebatch(row, whole.batch_id) for row in rows]
    for half in halves:
        assert half.payload().count(half.batch_id.encode()) == half.rows
        half.release()
    assert sorted(drain()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("crash_at", [1, 2], ids=["before-the-whole-is-gone", "after"])
def test_a_crash_while_splitting(
    begin: Begin, folder: Path, drain: Drain, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """
    A split that a crash cuts short leaves the whole or the halves, never both: each row is there once.
    """
    whole = tried_segment(begin, folder, rows=5)
    syncs = 0

    def crash(_folder: Path) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == crash_at:
            raise KeyboardInterrupt

    monkeypatch.setattr("otel_llmcost.journal.segment.sync_folder", crash)
    whole.release()
    pid = os.fork()
    if not pid:  # the child is the one that crashes: its locks end with it
        with suppress(KeyboardInterrupt):
            split_again(whole.path)
        os._exit(0)
    os.waitpid(pid, 0)
    monkeypatch.undo()
    assert sorted(drain()) == [0, 1, 2, 3, 4]
    assert backlog(folder).segments == 0


def split_again(path: Path) -> None:
    """
    Adopt a segment and split it.
    """
    segment = adopt(path, "test")
    assert segment
    segment.split()


def tried_segment(begin: Begin, folder: Path, rows: int) -> Segment:
    """
    Give a segment of numbered rows, adopted and once tried.
    """
    journal = begin()
    append_each(journal, range(rows))
    journal.flush()
    [segment] = waiting(folder, "test")
    segment.mark_tried(1_700_000_000)
    return segment


def test_a_half_is_nothing_while_its_whole_is_there(
    begin: Begin, folder: Path, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Halves that a crash left beside their whole are never taken by themselves, in whatever order files are looked at.
    """
    whole = tried_segment(begin, folder, rows=4)

    def crash(_folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr("otel_llmcost.journal.segment.sync_folder", crash)
        whole.split()
    whole.release()
    halves = [path for path in folder.iterdir() if "part-of" in path.name]
    assert [adopt(half, "test") for half in halves] == [None, None]
    assert drain() == [0, 1, 2, 3]
    assert backlog(folder).segments == 0
