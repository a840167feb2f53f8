"""What verify says of this machine's journal."""

from __future__ import annotations

import os
import time
from pathlib import Path

from otel_llmcost.journal import Journal, segment_names
from otel_llmcost.verify.surroundings import journal_checks


def said(journal: Path | None) -> list[tuple[str, str]]:
    """Name and state of each check."""
    return [(check.name, check.state) for check in journal_checks(journal, "ours")]


def write(journal: Path, ledger: str) -> None:
    """Let a row wait for a ledger."""
    writer = Journal(journal, ledger=ledger)
    writer.append("llm_requests", "202611", b'{"n":1}')
    writer.close()


def test_what_waits(tmp_path: Path) -> None:
    """
    Rows that wait for a moment are no problem, those that wait for long are, and so are those for another ledger.
    """
    journal = tmp_path / "journal"
    assert (said(None), said(journal)) == ([], [("journal", "ok")])
    write(journal, "ours")
    assert said(journal) == [("journal", "ok")]
    (waiting,) = segment_names(journal)
    long_ago = time.time() - 3_600
    os.utime(journal / str(waiting), (long_ago, long_ago))
    assert said(journal) == [("journal", "problem")]
    write(journal, "another")
    assert said(journal) == [("journal", "problem"), ("journal", "problem")]
