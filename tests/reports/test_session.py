"""An embedded ledger that is asked: under any name, and with what its answers lack said aloud."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from otel_llmcost.journal import Journal
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.ledger.row import month_of, request_row
from otel_llmcost.settings import Settings
from tests.ledger.samples import a_request

QUESTION = ("report", "--by", "team", "--month", "2026-11", "--format", "json")


def ask(dsn: str) -> tuple[dict[str, object], str]:
    """Ask in a process of its own, as a user does; give the total and what was said on standard error."""
    command = [sys.executable, "-W", "ignore", "-m", "otel_llmcost", *QUESTION, "--dsn", dsn]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)["total"], done.stderr


def write(dsn: str, number: int, ledger: str = "") -> None:
    """Let a request wait in the journal of an embedded ledger."""
    place = parse_dsn(dsn)
    row = request_row(a_request(number))
    journal = Journal(place.journal_dir(Settings()), ledger=ledger or place.fingerprint)
    journal.append("llm_requests", month_of(row), orjson.dumps(row))
    journal.close()


def test_a_ledger_by_another_name(tmp_path: Path) -> None:
    """
    What an application wrote is in the report, through a link to its ledger and after the ledger was moved.
    """
    (tmp_path / "link").symlink_to("ledger")
    write(f"chdb://{tmp_path}/ledger", 1)
    linked, _ = ask(f"chdb://{tmp_path}/link")
    write(f"chdb://{tmp_path}/link", 2)
    (tmp_path / "ledger").rename(tmp_path / "moved")
    moved, said = ask(f"chdb://{tmp_path}/moved")

    assert (linked["requests"], moved["requests"], said) == (1, 2, "")


def test_what_is_left_behind_is_said(tmp_path: Path) -> None:
    """
    Rows that an answer lacks are told on standard error, with how many segments there are and what to do.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    write(dsn, 1)
    write(dsn, 2, ledger="other")
    total, said = ask(dsn)

    assert total["requests"] == 1
    assert "segments for another ledger (other): 1, in" in said


@pytest.mark.parametrize("there", [False, True])
def test_a_mistyped_ledger(tmp_path: Path, there: bool) -> None:
    """
    A ledger that asking has made is said to be new and empty; one that an application wrote to is not.
    """
    if there:
        write(f"chdb://{tmp_path}/typo", 1)
    _, said = ask(f"chdb://{tmp_path}/typo")

    assert ("a new, empty one was made there" in said) is not there
