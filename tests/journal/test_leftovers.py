"""What stays in a journal is told, with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_llmcost.journal import Journal, Leftovers, leftovers
from otel_llmcost.journal.folder import segment_names

Begin = Callable[..., Journal]


def written(begin: Begin) -> Journal:
    """A journal with one row that is not sealed."""
    journal = begin()
    journal.append("llm_requests", "202611", json.dumps({"n": 1}).encode())
    return journal


def test_nothing_is_left(folder: Path) -> None:
    """
    A journal that is not there leaves nothing behind.
    """
    assert leftovers(folder, "test") == Leftovers()


def test_rows_of_the_last_second_are_not_left_behind(begin: Begin, folder: Path) -> None:
    """
    What a process is still writing is no leftover; what it sealed and nobody shipped is.
    """
    journal = written(begin)
    before = leftovers(folder, "test")
    journal.flush()

    assert (before, leftovers(folder, "test")) == (Leftovers(), Leftovers(unshipped=1))


def test_rows_for_another_ledger(begin: Begin, folder: Path) -> None:
    """
    Segments that name another ledger are counted, and the sentence says which and what to do.
    """
    written(begin).flush()
    left = leftovers(folder, "other")

    assert (left.foreign, left.unshipped) == (1, 0)
    (reason,) = left.reasons(folder)
    assert reason.startswith(f"segments for another ledger (test): 1, in {folder}. ")


def test_rows_of_another_user(begin: Begin, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Segments that another user wrote are counted, and the sentence says whose they are.
    """
    written(begin).flush()
    (name,) = segment_names(folder)
    owner = (folder / str(name)).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    left = leftovers(folder, "test")

    assert left.foreign_users == (owner,)
    (reason,) = left.reasons(folder)
    assert f"belong to user {owner}, while this is user {owner + 1}: 1, " in reason


def test_the_folder_above_is_private(tmp_path: Path) -> None:
    """
    A folder that is made for the journal's sake is as private as the journal.
    """
    Journal(tmp_path / "ledger" / "journal", ledger="test").close()

    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o700


def test_what_no_journal_wrote(begin: Begin, folder: Path) -> None:
    """
    A link with a segment's name is not followed, and does not hide what else is left.
    """
    written(begin).flush()
    (name,) = segment_names(folder)
    (folder / str(name).replace("202611", "202610")).symlink_to("/dev/null")

    assert leftovers(folder, "other") == Leftovers(foreign_ledgers=("test",), unshipped=1)
