"""What is known survives a kill, whatever becomes of the files that it is in."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_llmcost.receiver import known_files
from otel_llmcost.receiver.known import KnownSpans, mark_of
from tests.receiver.conftest import Journaling, remove_journaled
from tests.receiver.otlp import a_span, batch

MARKS = [mark_of((f"{number:032x}", f"{number * 7:016x}")) for number in range(1, 1000)]


def known_in(journal: Path, *, most: int = 1_000_000) -> KnownSpans:
    """Begin as a receiver does, and leave the files to the next as a dead one does."""
    known = KnownSpans(journal, most=most)
    known.close()
    return known


def written(journal: Path, *batches: list[bytes]) -> Path:
    """Give the one file of a receiver that wrote these and died."""
    known = KnownSpans(journal)
    for marks in batches:
        known.add(marks)
        known.save()
    known.close()
    (file,) = (journal / "known").iterdir()
    return file


def test_what_is_known_is_bounded(tmp_path: Path) -> None:
    """
    Half of what is remembered is forgotten at the bound, in memory and on the disk: the oldest, never the newest.
    """
    known = KnownSpans(tmp_path, most=100)
    for mark in MARKS:
        known.add([mark])
        known.save()
    known.close()

    assert len(known) <= 100
    assert all(mark in known for mark in MARKS[-50:])
    assert MARKS[0] not in known
    assert sum(file.stat().st_size for file in (tmp_path / "known").iterdir()) < 100 * (8 + 8) + 200
    again = known_in(tmp_path, most=100)
    assert all(mark in again for mark in MARKS[-50:])
    assert MARKS[0] not in again


def test_one_that_dies_again_and_again_leaves_one_file(tmp_path: Path) -> None:
    """
    What several runs knew is together in one file, and nothing of it is forgotten.
    """
    for first in range(0, 900, 100):
        known = KnownSpans(tmp_path)
        known.add(MARKS[first : first + 100])
        known.save()
        known.close()
    known = known_in(tmp_path)

    assert all(mark in known for mark in MARKS[:900])
    assert len(list((tmp_path / "known").iterdir())) == 1


def test_several_on_one_journal(tmp_path: Path) -> None:
    """
    Each has files of its own: one that starts reads those of the living and lets them be.
    """
    first = KnownSpans(tmp_path)
    first.add(MARKS[:100])
    first.save()
    second = KnownSpans(tmp_path)
    assert all(mark in second for mark in MARKS[:100])
    second.add(MARKS[100:200])
    second.save()
    first.add(MARKS[200:300])
    first.save()
    for each in (first, second):
        each.close()

    known = known_in(tmp_path)
    assert all(mark in known for mark in MARKS[:300])


@pytest.mark.parametrize(("cut_to", "kept"), [(0, 0), (20, 0), (None, 200), (-1, 100), (-400, 100)])
def test_a_file_that_was_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture, cut_to: int | None, kept: int) -> None:
    """
    What was whole before the cut is known, the log says that the rest is not, and the receiver goes on.
    """
    file = written(tmp_path, MARKS[:100], MARKS[100:200])
    file.write_bytes(file.read_bytes()[:cut_to])
    known = KnownSpans(tmp_path)
    known.add(MARKS[200:201])
    known.save()
    known.close()

    assert [mark in known for mark in MARKS[:201]] == [True] * kept + [False] * (200 - kept) + [True]
    assert ("was cut or damaged" in caplog.text) is (kept < 200)
    caplog.clear()
    assert len(known_in(tmp_path)) == kept + 1
    assert caplog.text == ""


def test_a_file_that_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Any one byte that is not what was written: no error, nothing known that was not, and a word in the log.
    """
    file = written(tmp_path, MARKS[:10], MARKS[10:20])
    whole = file.read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "known").mkdir(exist_ok=True)
        for each in (tmp_path / "known").iterdir():
            each.unlink()
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        caplog.clear()
        known = known_in(tmp_path)
        assert known._old in (set(), set(MARKS[:10])), at
        assert "otel-llmcost verify" in caplog.text


def test_what_cannot_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    On a full disk spans are known in this process, the log says once what that means, and they are written when there is
    room: half a record leaves nothing that hides the next.
    """
    caplog.set_level(logging.WARNING)
    known = KnownSpans(tmp_path)
    known.add(MARKS[:10])
    known.save()
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(known_files.os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
        for first in (10, 20):
            known.add(MARKS[first : first + 10])
            known.save()
    assert caplog.text.count("cannot be written (No space left on device): free space on its disk") == 1
    known.add(MARKS[30:40])
    known.save()
    known.close()

    assert all(mark in known for mark in MARKS[:40])
    assert len(known_in(tmp_path)) == 40


def test_a_folder_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Where no file can be made, or a folder is in its place, the receiver knows what it took, and says so.
    """
    (tmp_path / "known").write_text("in the way")
    known = KnownSpans(tmp_path)
    known.add(MARKS[:10])
    known.save()
    assert "cannot be listed (Not a directory)" in caplog.text
    assert "cannot be written (" in caplog.text
    (tmp_path / "known").unlink()
    known.save()
    known.close()

    assert len(known_in(tmp_path)) == 10


def test_rows_that_were_shipped_are_known_to_the_next(journaling: Callable[..., Journaling]) -> None:
    """
    However old its spans are: what was journaled and shipped before a kill is known to the process that starts next.
    """
    first = journaling("ledger")
    bodies = [batch(*(a_span(number, trace=trace) for number in range(1, 20))) for trace in range(1, 40)]
    for body in bodies:
        first.take(body)
    first.known.close()  # as a kill does
    remove_journaled(first)
    second = journaling("ledger")
    for body in bodies:
        second.take(body)

    assert second.rows() == []


def test_rows_that_only_the_journal_has_are_known_to_the_next(journaling: Callable[..., Journaling]) -> None:
    """
    Killed between the write to the journal and the one behind it: the rows that wait say what is known, from then on.
    """
    first = journaling("ledger")
    body = batch(*(a_span(number) for number in range(1, 20)))
    first.take(body)
    first.known.close()
    for file in (first.exporter.journal_dir / "known").iterdir():
        file.unlink()
    journaling("ledger").known.close()
    remove_journaled(first)
    third = journaling("ledger")
    third.take(body)

    assert third.rows() == []


def test_rows_in_memory_are_not_written_down(journaling: Callable[..., Journaling]) -> None:
    """
    While rows wait in memory, where a kill loses them, no file says that they are known; when they are on the disk it does.
    """
    intake = journaling("ledger")
    intake.exporter.journal_dir.mkdir(parents=True, exist_ok=True)
    intake.exporter._journal.standby.keep("llm_requests", "202611", (b"{}",))
    intake.known.add(MARKS[:1])
    intake.intake._remember(MARKS[1:2])
    assert not list(intake.exporter.journal_dir.glob("known/*"))
    intake.exporter._journal.standby.give_up()
    intake.intake._remember(())

    intake.known.close()
    assert len(known_in(intake.exporter.journal_dir)) == 2


def test_two_that_start_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What another one has just put together, while this one looked at its parts, is found.
    """
    written(tmp_path, MARKS[:10])
    read = known_files._read
    others: list[KnownSpans] = []

    def read_when_it_is_gone(path: Path, *, is_dead: bool) -> list[bytes]:
        if not others:
            path.unlink()
            others.append(KnownSpans(tmp_path))
            others[0].add(MARKS[:10])
            others[0].save()
        return read(path, is_dead=is_dead)

    monkeypatch.setattr(known_files, "_read", read_when_it_is_gone)
    known = known_in(tmp_path)
    others[0].close()

    assert len(known) == 10
