"""Every way in which a process ends, forks, is stopped or is replaced: what had ended is in the journal, once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from otel_llmcost.journal import waiting
from otel_llmcost.ledger.dsn import parse_dsn
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble, Fault

ROOT = Path(__file__).parents[3]


class Program:
    """An application in a process of its own; what it said had ended, and what its journal has."""

    def __init__(self, folder: Path, dsn: str = "") -> None:
        self.folder = folder
        self.dsn = dsn or f"chdb://{folder}/ledger"
        self.said: list[str] = []

    def run(self, how: str) -> int:
        """Run it to its end; give its exit status."""
        process = self.start(how)
        output, _ = process.communicate(timeout=60)
        self._hear(output)
        return process.returncode

    def start(self, how: str) -> subprocess.Popen[str]:
        """Start it."""
        command = [sys.executable, "-m", "tests.e2e.faults.dying", how, str(self.folder), self.dsn]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_until_ready(self, how: signal.Signals) -> int:
        """Run it until it has ended its spans, and send it a signal; give its exit status."""
        process = self.start("waits")
        assert process.stdout
        while (line := process.stdout.readline()) != "ready\n":
            assert line
            self._hear(line)
        process.send_signal(how)
        process.communicate(timeout=60)
        return process.returncode

    def stored(self) -> list[str]:
        """Give the ids of the spans in the journal, as whoever adopts it would find them."""
        parsed = parse_dsn(self.dsn)
        folder = parsed.journal_dir(Settings(dsn=self.dsn, journal_dir=self.folder / "journal"))
        found = []
        for segment in waiting(folder, parsed.fingerprint):
            if segment.table == "llm_requests":
                found += [orjson.loads(line)["span_id"] for line in segment.payload().splitlines()]
            segment.release()
        return sorted(found)

    @property
    def recorded(self) -> list[str]:
        """What it said had ended and was recorded."""
        return sorted(span_id for span_id in self.said if not span_id.startswith("-"))

    def _hear(self, output: str) -> None:
        self.said += [line for line in output.splitlines(keepends=False) if line]


@pytest.fixture(name="program")
def _program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
def test_signals(program: Program, how: signal.Signals) -> None:
    """
    Fault 23: a process that a signal ends loses nothing; the kernel's out-of-memory killer sends SIGKILL.
    """
    assert program.run_until_ready(how) == -how
    assert len(program.recorded) == 100
    assert program.stored() == program.recorded


@pytest.mark.parametrize(
    ("how", "status"),
    [("exits at once", 7), ("aborts", -signal.SIGABRT), ("crashes", -signal.SIGSEGV), ("becomes another", 0)],
)
def test_ends_without_a_good_bye(program: Program, how: str, status: int) -> None:
    """
    Fault 23: `os._exit`, abort, a segmentation fault and exec lose nothing; what was exec'd keeps no segment open.
    """
    assert program.run(how) == status
    assert len(program.recorded) == (200 if how == "becomes another" else 100)
    assert program.stored() == program.recorded


@pytest.fixture(name="hung", scope="module")
def _hung() -> Iterator[ClickHouseDouble]:
    with ClickHouseDouble() as server:
        server.inject(Fault("before", "hang", times=1000, value="30"))
        yield server


@pytest.mark.parametrize(("how", "status"), [("returns", 0), ("exits", 3), ("raises", 1), ("shuts down", 0)])
def test_a_server_that_hangs_delays_no_exit(tmp_path: Path, hung: ClickHouseDouble, how: str, status: int) -> None:
    """
    Fault 24: a program that ends in order ends within 2 seconds while its server hangs, and its rows wait on disk.
    """
    program = Program(tmp_path, hung.dsn())
    process = program.start(how)
    assert process.stdout
    for _ in range(100):
        program._hear(process.stdout.readline())
    began = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - began < 2.0 + 1.5  # the interpreter's own end, on a machine with other work
    assert process.returncode == status
    assert program.stored() == program.recorded


@pytest.mark.parametrize(("how", "at_least"), [("forks", 420), ("has a pool", 280)])
def test_forks(program: Program, how: str, at_least: int) -> None:
    """
    Faults 25 and 26: children forked before, between and during writes, pool workers that are replaced and processes of
    multiprocessing that end without any handler: each span of each process is there once.
    """
    assert program.run(how) == 0
    assert len(program.recorded) >= at_least
    assert program.stored() == program.recorded


def test_the_end_of_the_interpreter(program: Program) -> None:
    """
    Fault 30: spans of daemon threads and exit handlers, before and after the provider's shutdown, are in the journal if
    they claim so, and claim it as long as the provider lives.
    """
    assert program.run("ends spans at exit") == 0
    stored = program.stored()
    assert len(program.recorded) >= 110
    assert set(program.recorded) <= set(stored)
    assert len(stored) == len(set(stored)) <= len(program.recorded) + 1
    assert [span_id.startswith("-") for span_id in program.said[-10:]] == [True] * 10


class Gunicorn(Program):
    """The same application behind the pre-forking server."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._socket = folder / "socket"
        command = [
            sys.executable, "-m", "gunicorn", "--bind", f"unix:{self._socket}", "--workers", "2", "--log-level", "error",
            "--max-requests", "25", "--graceful-timeout", "5", *options, "tests.e2e.faults.served:application",
        ]  # fmt: skip
        environment = os.environ | {"SERVED_DSN": self.dsn, "SERVED_FOLDER": str(folder)}
        self.master = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        self.workers: set[int] = set()

    def ask(self, times: int) -> None:
        """Ask it, as often as it takes: while a worker is killed a request may fail."""
        answered, deadline = 0, time.monotonic() + 60
        while answered < times:
            assert time.monotonic() < deadline
            try:
                span_id, worker = self._get().split()
            except OSError:
                time.sleep(0.05)
                continue
            self.said.append(span_id)
            self.workers.add(int(worker))
            self._last = int(worker)
            answered += 1

    def kill_a_worker(self) -> None:
        """Kill the one that answered last, unless it is being replaced just now: then the next."""
        while True:
            self.ask(1)
            with suppress(ProcessLookupError):
                os.kill(self._last, signal.SIGKILL)
                return

    def _get(self) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._socket))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = connection.makefile("rb").read()
        if b"\r\n\r\n" not in answer:
            raise ConnectionResetError
        return answer.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize(
    ("options", "how"),
    [
        (("--worker-class", "sync", "--preload"), signal.SIGTERM),
        (("--worker-class", "sync"), signal.SIGQUIT),
        (("--worker-class", "gthread", "--threads", "4", "--preload"), signal.SIGQUIT),
        (("--worker-class", "gthread", "--threads", "4"), signal.SIGTERM),
    ],
    ids=["sync preloaded", "sync", "gthread preloaded", "gthread"],
)
def test_gunicorn(tmp_path: Path, options: tuple[str, ...], how: signal.Signals) -> None:
    """
    Fault 27: workers that are replaced after 25 requests, one that is killed, and a master that is told to end: each
    answered request is there once, whether the application was loaded before the fork or after.
    """
    server = Gunicorn(tmp_path, *options)
    try:
        server.ask(60)
        server.kill_a_worker()
        server.ask(10)
    finally:
        server.master.send_signal(how)
        server.master.wait(30)
    stored = server.stored()
    assert len(server.workers) >= 3
    assert server.recorded == sorted(server.said)
    assert set(server.recorded) <= set(stored)
    assert len(stored) == len(set(stored)) <= len(server.said) + 1, "at most the request that the killed one was at"
