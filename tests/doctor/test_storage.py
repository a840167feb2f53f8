"""The journal on its way: what waits, what cannot go, and whether there is room."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from otel_llmcost.doctor.storage import journal_findings
from otel_llmcost.journal import Journal, filesystems
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.settings import Settings

SERVER = parse_dsn("https://ledger.example.com/llmcost")
SEGMENT = "llm_requests.202611.00000000-0000-0000-0000-000000000001.sealed"
MIB = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A journal of at most 2 MiB."""
    return Settings(journal_dir=tmp_path, journal_max_bytes=2 * MIB)


@pytest.fixture
def journal(settings: Settings) -> Path:
    """The folder of that journal."""
    directory = SERVER.journal_dir(settings)
    directory.mkdir(mode=0o700)
    return directory


def found(settings: Settings, dsn: str = "") -> dict[str, str]:
    """Give the severity of each finding."""
    place = parse_dsn(dsn) if dsn else SERVER
    return {finding.subject: finding.severity for finding in journal_findings(place, settings)}


def segment(journal: Path, size: int = 100, age_s: float = 0) -> None:
    """Let a segment wait."""
    file = journal / SEGMENT
    file.write_bytes(b"x" * size)
    then = time.time() - age_s
    os.utime(file, (then, then))


def test_nothing_was_written_yet(settings: Settings) -> None:
    """
    A journal that is not there yet is well, and is not made by looking.
    """
    assert found(settings) == {"disk": "ok", "journal": "ok"}
    assert not SERVER.journal_dir(settings).exists()


@pytest.mark.parametrize(("age_s", "severity"), [(5, "ok"), (3_600, "warning")])
def test_an_old_backlog(settings: Settings, journal: Path, age_s: float, severity: str) -> None:
    """
    Rows that a server should have had long ago are warned about.
    """
    segment(journal, age_s=age_s)

    assert found(settings)["journal"] == severity


def test_an_embedded_ledger_waits_for_a_question(tmp_path: Path) -> None:
    """
    An embedded ledger is shipped when someone asks: a backlog is no fault.
    """
    journal = tmp_path / "ledger" / "journal"
    journal.mkdir(mode=0o700, parents=True)
    segment(journal, age_s=86_400)

    assert found(Settings(), f"chdb://{tmp_path}/ledger")["journal"] == "ok"


def test_a_network_file_system(settings: Settings, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A journal on a network file system, which an application refuses, is a problem.
    """
    mounts = journal / "mountinfo"
    device = journal.stat().st_dev
    mounts.write_text(f"26 1 {os.major(device)}:{os.minor(device)} / / rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystems, "_MOUNTS", mounts)

    assert found(settings)["journal"] == "problem"


def test_a_full_journal(settings: Settings, journal: Path) -> None:
    """
    A journal near its cap is a problem: the newest rows will be refused.
    """
    segment(journal, size=2 * MIB - 100)

    assert found(settings)["journal"] == "problem"


def test_quarantine(settings: Settings, journal: Path) -> None:
    """
    Rows that could not be shipped are in no report, and a problem; their reasons are not counted.
    """
    kept = journal / "quarantine"
    kept.mkdir(mode=0o700)
    (kept / SEGMENT).touch()
    (kept / f"{SEGMENT}.reason").touch()

    (finding,) = [each for each in journal_findings(SERVER, settings) if each.subject == "quarantine"]

    assert (finding.severity, "no report: 1," in finding.what) == ("problem", True)


def test_a_journal_that_others_can_read(settings: Settings, journal: Path) -> None:
    """
    A folder that is open to others is a problem, because no row would be written there, and the fix closes it.
    """
    journal.chmod(0o755)

    assert found(settings)["journal"] == "problem"
    (finding,) = [each for each in journal_findings(SERVER, settings) if each.severity == "problem"]
    assert (finding.what, finding.fix) == (f"the journal folder '{journal}' is open to other users", "chmod 700 it")


@pytest.mark.parametrize(("free", "severity"), [(MIB, "problem"), (300 * MIB, "warning"), (2_000 * MIB, "ok")])
def test_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, severity: str) -> None:
    """
    A disk that the journal could fill is warned about before it is full.
    """
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    assert found(Settings(journal_dir=tmp_path))["disk"] == severity


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    """
    Looking at an embedded ledger that nobody made yet makes nothing, wherever its journal would be.
    """
    severities = found(Settings(journal_dir=tmp_path), f"chdb://{tmp_path}/ledger")

    assert (severities["journal"], [*tmp_path.iterdir()]) == ("ok", [])


def test_rows_that_nobody_will_ship(tmp_path: Path) -> None:
    """
    Segments for another ledger are a problem: their rows are in no report.
    """
    place = parse_dsn(f"chdb://{tmp_path}/ledger")
    writer = Journal(place.journal_dir(Settings()), ledger="other")
    writer.append("llm_requests", "202611", b'{"n":1}')
    writer.close()

    (foreign,) = [each for each in journal_findings(place, Settings()) if "another ledger" in each.what]

    assert foreign.severity == "problem"


@pytest.mark.parametrize(("mode", "is_told"), [(0o755, True), (0o750, False), (0o700, False)])
def test_a_ledger_that_everyone_can_read(tmp_path: Path, mode: int, is_told: bool) -> None:
    """
    A ledger that every user of the machine can read is warned about, with the command that closes it.
    """
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger").chmod(mode)
    place = parse_dsn(f"chdb://{tmp_path}/ledger")

    assert any(each.fix.startswith("chmod 700") for each in journal_findings(place, Settings())) is is_told


def test_a_ledger_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A ledger that this user may not open is a problem that says whose it is, not a traceback.
    """
    (tmp_path / "ledger").mkdir(mode=0o700)
    monkeypatch.setattr(os, "access", lambda *_: False)

    (finding,) = journal_findings(parse_dsn(f"chdb://{tmp_path}/ledger"), Settings())

    assert (finding.severity, f"belongs to user {os.geteuid()}" in finding.what) == ("problem", True)
