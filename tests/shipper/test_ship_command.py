"""`otel-llmcost ship`, as real processes beside real journals and a server that can fail."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_llmcost import ClickHouseSpanExporter
from otel_llmcost.journal import Journal, segment_names
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.shipper.test_ship_to_clickhouse import expected, row, stored

COMMAND = (sys.executable, "-W", "ignore", "-m", "otel_llmcost", "ship")
Write = Callable[..., None]


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseDouble]:
    """
    One server for all tests here; each has a database of its own.
    """
    with ClickHouseDouble() as server:
        yield server


@pytest.fixture
def ledger(server: ClickHouseDouble, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """
    This test's own database, with its tables.
    """
    server.inject()
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    with connect(server.dsn(name)) as opened:
        migrations.apply(opened)
        yield opened
    server.inject()


@pytest.fixture
def dsn(ledger: Ledger, server: ClickHouseDouble) -> str:
    """
    The DSN of that database, with its password.
    """
    return server.dsn(ledger.dsn.database)


def write(dsn: str, state: Path, numbers: range, segments: int = 1) -> None:
    """
    Journal requests as an application of this ledger does, in so many segments.
    """
    place = parse_dsn(dsn)
    journal = Journal(place.journal_dir(Settings(journal_dir=state)), ledger=place.fingerprint)
    for number in numbers:
        journal.append("llm_requests", "202611", row(number))
        if (number - numbers.start + 1) % (len(numbers) // segments) == 0:
            journal.flush()
    journal.close()


def waiting(dsn: str, state: Path) -> int:
    """
    Count the segments in the journal.
    """
    return len(segment_names(parse_dsn(dsn).journal_dir(Settings(journal_dir=state))))


def environment(dsn: str, state: Path) -> dict[str, str]:
    """
    Give the settings that an application and its shipper share.
    """
    return {**os.environ, "OTEL_LLMCOST_DSN": dsn, "OTEL_LLMCOST_JOURNAL_DIR": str(state)}


def once(dsn: str, state: Path) -> subprocess.CompletedProcess[str]:
    """
    Run `ship --once`.
    """
    command = [*COMMAND, "--once"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment(dsn, state)
    )


@contextmanager
def shipping(dsn: str, state: Path) -> Iterator[subprocess.Popen[str]]:
    """
    Let `ship` run.
    """
    process = subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True, env=environment(dsn, state))
    assert process.stderr is not None
    try:
        assert "Ctrl-C ends it" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """
    Wait until something is true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_one_shipper_for_many_processes(server: ClickHouseDouble, ledger: Ledger, dsn: str, tmp_path: Path) -> None:
    """
    What many processes wrote is sent by few inserts, and SIGTERM ends the shipper within two seconds.
    """
    write(dsn, tmp_path, range(1, 1001), segments=100)
    with shipping(dsn, tmp_path) as process:
        wait_until(lambda: not waiting(dsn, tmp_path))
        process.terminate()
        start = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - start < 2.5
    assert stored(ledger) == expected(range(1, 1001))
    inserts = [each for each in server.statements() if each["parameters"].get("database") == ledger.dsn.database]
    assert (
        sum(
            "INSERT INTO `llm_requests`" in each["sql"] or "INSERT INTO llm_requests" in each["sql"] for each in inserts
        )
        == 1
    )


def test_once(ledger: Ledger, dsn: str, tmp_path: Path) -> None:
    """
    `--once` empties the journal, what a dead process left included, says what it did, and exits with 0.
    """
    write(dsn, tmp_path, range(1, 101), segments=10)
    orphan = Journal(parse_dsn(dsn).journal_dir(Settings(journal_dir=tmp_path)), ledger=parse_dsn(dsn).fingerprint)
    orphan.append("llm_requests", "202611", row(101))
    del orphan
    done = once(dsn, tmp_path)
    assert (done.returncode, done.stderr) == (0, "101 rows acknowledged in 1 segments\n")
    assert waiting(dsn, tmp_path) == 0
    assert stored(ledger) == expected(range(1, 102))


def test_once_beside_a_living_process(ledger: Ledger, dsn: str, tmp_path: Path) -> None:
    """
    What a living process still writes is mentioned, and is no failure.
    """
    alive = Journal(parse_dsn(dsn).journal_dir(Settings(journal_dir=tmp_path)), ledger=parse_dsn(dsn).fingerprint)
    alive.append("llm_requests", "202611", row(1))
    done = once(dsn, tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        "0 rows acknowledged in 0 segments; 1 segments are still being written\n",
    )
    alive.close()


def test_once_cannot(server: ClickHouseDouble, ledger: Ledger, dsn: str, tmp_path: Path) -> None:
    """
    When rows are left, `--once` exits with 1 and says how many segments and why, without the password.
    """
    write(dsn, tmp_path, range(1, 101), segments=2)
    server.inject(Fault("before", "status", match="INSERT INTO", value="503", times=9))
    done = once(dsn, tmp_path)
    assert done.returncode == 1
    assert "1 segments are left" in done.stderr
    assert "Not shipped: could not insert into llm_requests now" in done.stderr
    assert "s3cret" not in done.stderr
    server.inject()
    assert once(dsn, tmp_path).returncode == 0
    assert stored(ledger) == expected(range(1, 101))


def test_once_with_what_is_anothers(dsn: str, tmp_path: Path) -> None:
    """
    A segment for another ledger is left alone, named, and makes the exit code 1.
    """
    place = parse_dsn(dsn)
    journal = Journal(place.journal_dir(Settings(journal_dir=tmp_path)), ledger="another")
    journal.append("llm_requests", "202611", row(1))
    journal.close()
    done = once(dsn, tmp_path)
    assert done.returncode == 1
    assert "segments for another ledger (another): 1" in done.stderr


def test_an_embedded_ledger(tmp_path: Path) -> None:
    """
    `--once` ships to an embedded ledger that nobody owns; without it the command says which one does.
    """
    place = f"chdb://{tmp_path}/ledger"
    journal = Journal(parse_dsn(place).journal_dir(Settings()), ledger=parse_dsn(place).fingerprint)
    journal.append("llm_requests", "202611", row(1))
    journal.close()
    command = [*COMMAND, "--dsn", place]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "otel-llmcost serve" in refused.stderr
    done = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "1 rows acknowledged in 1 segments\n")


@pytest.mark.slow
def test_killed_and_stopped_shippers(server: ClickHouseDouble, ledger: Ledger, dsn: str, tmp_path: Path) -> None:
    """
    Two shippers, stopped and killed at random while the server loses answers, store every row once. Faults 28, 95, 96.
    """
    chance = random.Random(11)
    server.inject(
        Fault("after", "reset", match="INSERT INTO", times=3),
        Fault("before", "status", match="INSERT INTO", times=3, value="503"),
        Fault("after", "status", match="INSERT INTO", times=3, value="504"),
    )
    for turn in range(6):
        write(dsn, tmp_path, range(1 + 50 * turn, 51 + 50 * turn), segments=10)
        with shipping(dsn, tmp_path) as one, shipping(dsn, tmp_path) as other:
            time.sleep(chance.uniform(0.0, 1.0))
            one.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.2, 1.0))
            other.kill()
            one.send_signal(signal.SIGCONT)
            time.sleep(chance.uniform(0.0, 0.5))
    server.inject()
    done = once(dsn, tmp_path)
    assert done.returncode == 0, done.stderr
    assert stored(ledger) == expected(range(1, 301))


def test_an_application_that_does_not_ship(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    With OTEL_LLMCOST_SHIP=false an application starts no shipper, and `force_flush` is True once its rows are on disk.
    """
    for name, value in environment("http://127.0.0.1:9/llmcost", tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_LLMCOST_SHIP", "false")
    exporter = ClickHouseSpanExporter()
    exporter.append("llm_requests", 1_795_000_000_000_000_000, {"trace_id": "0" * 32})
    assert exporter._shipper is None
    assert exporter.force_flush(2_000)
    assert waiting("http://127.0.0.1:9/llmcost", tmp_path) == 1
    exporter.shutdown()
