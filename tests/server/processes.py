"""The real processes of these tests: `otel-llmcost serve`, other commands, and an application."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

COMMAND = (sys.executable, "-W", "ignore", "-m", "otel_llmcost")
START_SECONDS = 60
"""For a machine whose cores are all in use."""


def environment(**settings: str) -> dict[str, str]:
    """This process's environment, with these settings and no others of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | settings


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*COMMAND, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=START_SECONDS, check=False, env=environment(**settings)
    )


def total(dsn: str, **settings: str) -> dict[str, object]:
    """Ask for the sums over everything, which must come without a word on standard error."""
    done = run("report", "--by", "team", "--since", "2020-01-01", "--format", "json", "--dsn", dsn, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)["total"]


class Process:
    """A process that says on one of its outputs when it is ready."""

    def __init__(self, command: list[str], **settings: str) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**settings),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def line(self, output: IO[str] | None) -> str:
        """Wait for its next line."""
        assert output is not None
        line = output.readline()
        assert line, self.process.communicate()[1]
        return line


class Serve(Process):
    """`otel-llmcost serve`, ready."""

    def __init__(self, dsn: str, **settings: str) -> None:
        super().__init__([*COMMAND, "serve", "--dsn", dsn], **settings)
        self.said = self.line(self.process.stderr)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Send a signal; give the exit code, the seconds until it ended, and what else it had said."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=START_SECONDS)
        seconds = time.monotonic() - began
        assert self.process.stderr is not None
        return code, seconds, self.process.stderr.read()


class Application(Process):
    """An application that ends spans of LLM requests."""

    def __init__(self, dsn: str, spans: int, **settings: str) -> None:
        super().__init__(
            [sys.executable, "-W", "ignore", "-m", "tests.server.application", dsn, str(spans)], **settings
        )

    def wait_for(self, what: str) -> None:
        """Wait until it has said this."""
        while self.line(self.process.stdout).strip() != what:
            pass

    def ended(self) -> int:
        """Kill it; give the number of spans whose `end()` had returned."""
        self.kill()
        assert self.process.stdout is not None
        return sum(line.strip().isdecimal() for line in self.process.stdout)


def waiting(folder: Path) -> list[str]:
    """Give the segments that are still in an embedded ledger's journal."""
    journal = folder / "journal"
    return sorted(each.name for each in journal.iterdir() if each.is_file()) if journal.exists() else []


def wait_until_shipped(folder: Path) -> None:
    """Wait until the journal is empty."""
    deadline = time.monotonic() + START_SECONDS
    while waiting(folder):
        assert time.monotonic() < deadline, waiting(folder)
        time.sleep(0.05)
