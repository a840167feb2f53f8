"""verify and repair as a user runs them: against a server's double, with a journal and its quarantine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import cli
from otel_llmcost.journal import Journal, segment_names
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import encode_row, month_of, request_row
from otel_llmcost.settings import Settings
from otel_llmcost.verify import quarantine
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, ask, store
from tests.verify.conftest import by_month, charges, run

pytestmark = pytest.mark.parametrize("ledger", ["server"], indirect=True)
Command = Callable[..., Result]


@pytest.fixture
def call(server: ClickHouseDouble, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command against the ledger of these tests, with a journal of its own."""
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path / "journals"))
    dsn = server.dsn(ledger.dsn.database)
    return lambda *arguments: CliRunner().invoke(cli, [*arguments, "--dsn", dsn])


def test_from_finding_to_repair(ledger: Ledger, call: Command) -> None:
    """
    verify ends with 3 and names the repair; the dry run changes nothing and shows every step; --apply does these; then
    verify ends with 0, and a second repair has nothing to do.
    """
    again = by_month(charges())["202611"][:2]
    assert call("verify").exit_code == 0
    store(ledger, again, "again")
    run(ledger, "TRUNCATE TABLE spend_by_hour")
    found = call("verify", "--month", "2026-11")
    dry = call("repair")
    answer = json.loads(call("verify", "--format", "json").stdout)

    assert (found.exit_code, dry.exit_code, answer["problems"]) == (3, 3, 3)
    assert "Fix: otel-llmcost repair shows what it would do; with --apply it does it." in found.stdout
    assert dry.stdout.count("take back ") == 2
    assert dry.stdout.count("build spend_by_hour of 2026") == 2
    assert "Nothing was changed: add --apply" in dry.stderr
    applied = call("repair", "--apply")
    assert (applied.exit_code, applied.stdout.startswith(dry.stdout)) == (0, True)
    assert "taken back: 2 copies of rows" in applied.stdout
    assert (call("verify").exit_code, call("repair").stdout) == (0, "Nothing to repair\n")


def test_quarantine(ledger: Ledger, call: Command, tmp_path: Path) -> None:
    """
    A segment in quarantine is a problem; a repair sends it again, keeps what is refused again with its new reason, and
    leaves what holds no row.
    """
    journal = ledger.dsn.journal_dir(Settings(journal_dir=tmp_path / "journals"))
    writer = Journal(journal, ledger=ledger.dsn.fingerprint)
    good, bad = request_row(a_request(900)), {**request_row(a_request(901)), "duration_us": "long"}
    for row in (good, bad):
        writer.append("llm_requests", month_of(row), encode_row(row))
        writer.flush()
    writer.close()
    _set_aside(journal)
    (journal / "quarantine" / "llm_requests.202611.damaged-4096").write_bytes(b"x")
    found, dry = call("verify"), call("repair", "--quarantine")

    assert (found.exit_code, "quarantine: segments in quarantine, whose rows are in no report: 2" in found.stdout) == (
        3,
        True,
    )
    assert "damaged: rows lost to damage on disk, and in no report: 1 or more, in " in found.stdout
    assert (dry.exit_code, dry.stdout.count("send again "), dry.stdout.count("(some day, refused)")) == (3, 2, 2)
    assert "cannot be sent again, no row in it can be read" in dry.stdout
    applied = call("repair", "--quarantine", "--apply")
    assert (applied.exit_code, "sent again: 2 segments, 1 rows stored, 1 refused again" in applied.stdout) == (0, True)
    assert any(line.startswith("in quarantine: ") and "long" in line for line in applied.stdout.splitlines()), (
        applied.stdout
    )
    assert ask(ledger, f"SELECT count() FROM llm_requests WHERE span_id = '{900:016x}'") == ["1"]  # noqa: S608


def test_a_damaged_row(ledger: Ledger, call: Command, tmp_path: Path) -> None:
    """
    A row whose bytes changed on disk is told by `ship --once` and by verify, until the file is removed; nothing is offered
    to repair.
    """
    journal = ledger.dsn.journal_dir(Settings(journal_dir=tmp_path / "journals"))
    writer = Journal(journal, ledger=ledger.dsn.fingerprint)
    for number in (910, 911, 912):
        row = request_row(a_request(number))
        writer.append("llm_requests", month_of(row), encode_row(row))
    writer.close()
    (segment,) = segment_names(journal)
    content = (journal / str(segment)).read_bytes()
    (journal / str(segment)).write_bytes(content.replace(f"{911:016x}".encode(), b"x" * 16))
    shipped, again = call("ship", "--once"), call("ship", "--once")

    assert "2 rows" in shipped.stderr
    assert "rows lost to damage on disk, and in no report: 1 or more: see quarantine/" in shipped.stderr
    assert "damage" not in again.stderr
    dry, applied, found = (
        call(*each) for each in (["repair", "--quarantine"], ["repair", "--quarantine", "--apply"], ["verify"])
    )
    assert (dry.exit_code, applied.exit_code, found.exit_code) == (0, 0, 3)
    assert ("cannot be sent again" in dry.stdout, "Nothing to repair" in dry.stdout) == (True, True)
    assert ("damaged: rows lost" in found.stdout, "quarantine: segments" in found.stdout) == (True, False)
    for file in (journal / "quarantine").iterdir():
        file.unlink()
    assert call("verify").exit_code == 0


def test_a_period_said_twice(call: Command) -> None:
    """
    A month beside other days is a wrong usage.
    """
    assert call("verify", "--month", "2026-11", "--since", "7d").exit_code == 2


def test_a_ledger_that_is_served(ledger: Ledger, tmp_path: Path) -> None:
    """
    verify asks the process that serves an embedded ledger; repair says that it must end first.
    """
    dsn = f"chdb://{tmp_path}/ledger"
    command = [sys.executable, "-W", "ignore", "-m", "otel_llmcost"]
    with subprocess.Popen(
        [*command, "serve", "--dsn", dsn], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline()
            verified, repaired = (
                subprocess.run([*command, name, "--dsn", dsn], capture_output=True, text=True, timeout=120)
                for name in ("verify", "repair")
            )
        finally:
            serving.terminate()

    assert (verified.returncode, "0 problems" in verified.stdout) == (0, True), verified.stdout + verified.stderr
    assert (repaired.returncode, f"process {serving.pid}" in repaired.stderr) == (1, True), repaired.stderr


def _set_aside(journal: Path) -> None:
    """Move every segment to quarantine, as a refusal does."""
    (journal / "quarantine").mkdir(mode=0o700, exist_ok=True)
    for name in segment_names(journal):
        kept = journal / "quarantine" / str(name)
        (journal / str(name)).rename(kept)
        kept.with_name(f"{kept.name}.reason").write_text("some day, refused\n")
    assert len(quarantine.quarantined(journal)) == 2
