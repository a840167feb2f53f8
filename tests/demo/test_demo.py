"""The demo does the main job from end to end, and says what it needs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_llmcost.cli import cli
from otel_llmcost.demo import run
from otel_llmcost.errors import SettingsError
from tests.server.processes import COMMAND, START_SECONDS, Process, total


def demo(folder: Path, *, requests: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command as users do: in a process of its own, which alone may own the embedded engine."""
    command = [sys.executable, "-m", "otel_llmcost", "demo", "--no-serve", "--requests", str(requests)]
    return subprocess.run([*command, "--folder", str(folder)], capture_output=True, text=True, check=False, timeout=120)


def test_the_demo_prints_the_worked_requests(tmp_path):
    """
    The two worked requests come out of the ledger to the last digit, and so does what they come to a month.
    """
    first = demo(tmp_path / "demo")
    assert first.returncode == 0, first.stderr
    lines = [" ".join(line.split()) for line in first.stdout.splitlines()]
    for line in (
        "8,000 fresh input tokens x $0.75 per 1M tokens = $0.006",
        "2,000 cached input tokens x $0.075 per 1M tokens = $0.00015",
        "1,200 output tokens x $4.50 per 1M tokens = $0.0054",
        "total = $0.01155",
        "10,000 of these a day: $115.50 a day, $3,465.00 per 30 days",
        "8,000 fresh input tokens x $3.00 per 1M tokens = $0.024",
        "1,200 output tokens x $15.00 per 1M tokens = $0.018",
        "total = $0.042",
        "2,000 of these a day: $84.00 a day, $2,520.00 per 30 days",
    ):
        assert line in lines
    assert "33 requests of the real clients" in first.stdout
    totals = [line for line in lines if line.startswith("Total ")]
    assert len(totals) == 2
    assert all(" 33 " in total for total in totals), "one row for each request, whatever the number of its spans"
    assert "\x1b" not in first.stdout + first.stderr, "no colour when piped"

    again = demo(tmp_path / "demo")
    assert again.stdout.splitlines()[:20] == first.stdout.splitlines()[:20], "an earlier demo is replaced"


def test_the_demo_has_a_history(tmp_path):
    """
    After its own requests come those of the weeks before, reported with them, and what happened in those weeks.
    """
    done = demo(tmp_path / "demo", requests=500)
    assert done.returncode == 0, done.stderr
    assert "\n500 requests of 62 days before" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    totals = [line for line in lines if line.startswith("Total ")]
    assert [f" {count} " in total for count, total in zip((33, 33, 533), totals, strict=True)] == [True] * 3
    assert any("campaign asks again and again for initech" in line for line in lines)
    assert "Sending the 62 days before" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no progress bar when piped"


def test_the_demo_goes_on_live_until_it_is_stopped(tmp_path):
    """
    With --live requests keep coming and can be asked for, and Ctrl-C ends it.
    """
    dsn = f"chdb://{tmp_path / 'demo'}"
    command = [*COMMAND, "demo", "--live", "--requests", "300", "--folder", str(tmp_path / "demo")]
    with Process(command) as process:
        while "Ctrl-C ends it" not in process.line(process.process.stderr):
            pass
        deadline = time.monotonic() + START_SECONDS
        while total(dsn)["requests"] <= 333:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(timeout=START_SECONDS) == 0


def test_live_is_for_the_dashboard():
    """
    --live without the dashboard that would show it is refused, and nothing is made.
    """
    result = CliRunner().invoke(cli, ["demo", "--live", "--no-serve"])
    assert result.exit_code == 2
    assert "leave --no-serve out" in result.output


def test_the_demo_touches_no_other_folder(tmp_path):
    """
    A folder that holds something else is refused, and stays as it is.
    """
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="--folder"):
        run.run(tmp_path, lambda _count: None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_missing_extra_is_named(monkeypatch):
    """
    Without the clients the demo says which command installs them.
    """
    monkeypatch.delitem(sys.modules, "otel_llmcost.demo.traffic", raising=False)
    monkeypatch.setitem(sys.modules, "anthropic", None)
    result = CliRunner().invoke(cli, ["demo"])
    assert result.exit_code == 1
    assert "pip install 'otel-llmcost[demo]'" in result.output
