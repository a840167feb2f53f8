"""An embedded ledger that `otel-llmcost serve` owns: asked by every command, filled by every application, killed at will."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import orjson
import pytest

from otel_llmcost.errors import LedgerBusy, LedgerError
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.ledger.embedded import OwnerLock
from otel_llmcost.ledger.loopback import Address, ask_owner
from otel_llmcost.ledger.row import month_of, rate_row, request_row
from otel_llmcost.reports import spend
from otel_llmcost.reports.session import connect_when_free, open_ledger, own_ledger
from otel_llmcost.server import Server
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import RATE, a_request
from tests.server.processes import Application, Serve, run, total, wait_until_shipped, waiting

EXIT_SECONDS = 2.0 + 1.0
"""What is promised, and a second for a machine whose cores are all in use."""
QUESTIONS = [
    ("report", "--by", "team,feature", "--since", "2020-01-01"),
    ("requests", "--since", "2020-01-01", "--format", "json"),
    ("explain", "chatcmpl-3", "--format", "json"),
    ("doctor", "--since", "2020-01-01", "--format", "json"),
    ("verify", "--since", "2020-01-01", "--format", "json"),
]


def write(dsn: str, count: int, *, segments: int = 1) -> None:
    """Let requests wait in the journal, as an application leaves them that has ended."""
    place = parse_dsn(dsn)
    journal = Journal(place.journal_dir(Settings()), ledger=place.fingerprint)
    row = request_row(a_request())
    for number in range(1, count * segments + 1):
        ids = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "response_id": f"chatcmpl-{number}"}
        journal.append("llm_requests", month_of(row), orjson.dumps(row | ids))
        if number % count == 0:
            journal.flush()
    journal.close()


def write_rate(dsn: str) -> None:
    """Let the rate of these requests wait too."""
    place = parse_dsn(dsn)
    journal = Journal(place.journal_dir(Settings()), ledger=place.fingerprint)
    journal.append("llm_rates", "202611", orjson.dumps(rate_row(RATE)))
    journal.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger"


@pytest.fixture
def dsn(folder: Path) -> str:
    """Its DSN."""
    return f"chdb://{folder}"


def test_it_says_the_same_as_the_ledger_itself(dsn: str, folder: Path) -> None:
    """
    Every command answers while `serve` runs, without a warning, with the words that it has when it owns the ledger.
    """
    write(dsn, 5)
    write_rate(dsn)
    with Serve(dsn) as serve:
        through_it = [run(*question, "--dsn", dsn) for question in QUESTIONS]
        rates = run("rates", "--provider", "openai", "--model", "gpt-5.4-mini", OTEL_LLMCOST_DSN=dsn)
        code, _, said = serve.stop()
    by_itself = [run(*question, "--dsn", dsn) for question in QUESTIONS]

    assert (code, said, rates.returncode) == (0, "", 0)
    assert f"owns chdb://{folder}" in serve.said
    for asked, own in zip(through_it, by_itself, strict=True):
        assert (asked.returncode, asked.stderr) == (own.returncode, own.stderr) == (0, "")
        assert re.sub(r"[\d,]+ MiB are free", "", asked.stdout) == re.sub(r"[\d,]+ MiB are free", "", own.stdout)
    assert not (folder / "serving.json").exists()


def test_a_report_after_a_flush_has_its_rows(dsn: str) -> None:
    """
    What an application has flushed is in the next answer, while both run: no wait, no warning.
    """
    with Serve(dsn), Application(dsn, 20) as first, Application(dsn, 30) as second:
        first.wait_for("flushed")
        second.wait_for("flushed")

        assert total(dsn)["requests"] == 50


def test_what_was_written_while_nobody_served(dsn: str, folder: Path) -> None:
    """
    Rows of applications that ended or were killed before `serve` started are shipped by it, without being asked.
    """
    with Application(dsn, 30) as ended, Application(dsn, 100_000) as killed:
        ended.wait_for("flushed")
        killed.wait_for("40")
        count = 41 + killed.ended()
    assert waiting(folder)

    with Serve(dsn):
        wait_until_shipped(folder)
        found = total(dsn)["requests"]

    # one span may have ended between the last word and the kill
    assert found in (30 + count, 30 + count + 1)


def test_killed_at_any_moment(dsn: str, folder: Path) -> None:
    """
    Fault 44, 50: `serve` is killed again and again while applications write; each row is stored once, in rollups too.
    """
    with Application(dsn, 3_000) as first, Application(dsn, 3_000) as second:
        for pause in (0.0, 0.3, 0.8, 1.3, 2.1):
            with Serve(dsn) as serve:
                time.sleep(pause)
                serve.kill()
        first.wait_for("flushed")
        second.wait_for("flushed")
    with Serve(dsn):
        found = total(dsn)
        verified = run("verify", "--dsn", dsn)

    assert found["requests"] == 6_000
    assert verified.returncode == 0, verified.stdout
    assert waiting(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told(dsn: str, folder: Path, number: int) -> None:
    """
    Ctrl-C and SIGTERM end it at once and cleanly, and the ledger is free.
    """
    with Serve(dsn) as serve:
        code, seconds, said = serve.stop(number)

    assert (code, said) == (0, "")
    assert seconds < EXIT_SECONDS
    OwnerLock(folder).release()


def test_it_ends_while_pages_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    """
    Pages that wait for a ClickHouse server which does not answer do not keep it, nor each other; a silent browser neither.
    """
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.settimeout(8.0)  # less than a page waits
        dsn = f"http://127.0.0.1:{hanging.getsockname()[1]}/costs"
        with Serve(dsn, OTEL_LLMCOST_JOURNAL_DIR=str(tmp_path)) as serve:
            shown = re.search(r"http://127\.0\.0\.1:(\d+)/\.", serve.said)
            assert shown
            with ExitStack() as browsers:
                for asked in (
                    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    "GET /waste HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    "",
                ):
                    browser = browsers.enter_context(socket.create_connection(("127.0.0.1", int(shown[1]))))
                    browser.sendall(asked.encode())
                    if asked:
                        browsers.enter_context(hanging.accept()[0])  # its page has asked
                code, seconds, _ = serve.stop()

    assert code == 0
    assert seconds < EXIT_SECONDS


def test_a_question_in_hand_is_told_when_it_closes(tmp_path: Path) -> None:
    """
    An owner that closes while a page asks says that it has not ended, in time, and leaves the engine to the question.
    """
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        dsn = f"http://127.0.0.1:{hanging.getsockname()[1]}/costs"
        server = Server(Settings(journal_dir=tmp_path), dsn)
        with ThreadPoolExecutor(1) as page:
            answer = page.submit(server.query, "extent")
            with hanging.accept()[0]:
                hanging.close()  # so that the question fails at once when this is over, and is not sent again
                began = time.monotonic()
                ended = server.close()
                seconds = time.monotonic() - began
            assert isinstance(answer.exception(timeout=30), LedgerError)

    assert ended is False
    assert seconds < EXIT_SECONDS
    assert server.close() is True


def test_it_ends_in_the_middle_of_a_long_journal(dsn: str, folder: Path) -> None:
    """
    SIGTERM while it ships ends it as fast; the next one ships the rest, and each row is stored once.
    """
    write(dsn, 10_000, segments=12)
    with Serve(dsn) as serve:
        while len(left := waiting(folder)) == 12:
            time.sleep(0.01)
        code, seconds, _ = serve.stop()
    assert left
    assert waiting(folder)
    assert (code, seconds < EXIT_SECONDS) == (0, True), seconds

    with Serve(dsn):
        wait_until_shipped(folder)
        assert total(dsn)["requests"] == 120_000


def test_one_owner(dsn: str) -> None:
    """
    A second `serve`, and whoever must own the ledger to change it, is told at once which process to stop, and what it is.
    """
    with Serve(dsn) as serve:
        second = run("serve", "--dsn", dsn)
        shipping = run("ship", "--once", "--dsn", dsn)
        with pytest.raises(LedgerBusy, match=f"open in process {serve.process.pid}"), own_ledger(Settings(), dsn):
            pass

    assert second.returncode == 1
    assert f"open in process {serve.process.pid}" in second.stderr
    assert f"stop `otel-llmcost serve` (process {serve.process.pid}), run this, and start it again" in shipping.stderr


def test_after_a_kill_a_command_owns_the_ledger(dsn: str, folder: Path) -> None:
    """
    What a killed `serve` left behind leads nobody astray: the next command opens the ledger itself.
    """
    write(dsn, 3)
    with Serve(dsn) as serve:
        wait_until_shipped(folder)
        serve.kill()
        left = Address.of(folder)

        assert left is not None
        assert total(dsn)["requests"] == 3


def test_a_command_waits_for_another(dsn: str, folder: Path) -> None:
    """
    A ledger that another command owns for a moment is waited for; one that is kept is said to be, with its process.
    """
    write(dsn, 1)
    lock = OwnerLock(folder)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(total, dsn)
        time.sleep(1.5)
        lock.release()
        assert asked.result()["requests"] == 1
    lock = OwnerLock(folder)
    began = time.monotonic()
    with pytest.raises(LedgerBusy, match=f"open in process {os.getpid()}"):
        connect_when_free(parse_dsn(dsn), 0.5)
    lock.release()

    assert 0.5 < time.monotonic() - began < 5.0


def test_eight_at_once(dsn: str) -> None:
    """
    Eight who ask at the same time, and again and again, all get the same exact answer.
    """
    write(dsn, 200)

    def ask(_number: int) -> list[object]:
        with open_ledger(Settings(), dsn) as ledger:
            found = [spend(ledger, ["team"], since=date(2026, 1, 1), until=date(2027, 1, 1)) for _ in range(5)]
        return [(each.total.requests, str(each.total.cost_usd)) for each in found]

    with Serve(dsn), ThreadPoolExecutor(8) as pool:
        answers = [answer for found in pool.map(ask, range(16)) for answer in found]

    assert answers == [(200, "2.310000000000")] * 80


def test_the_key_is_the_users_own(dsn: str, folder: Path) -> None:
    """
    The file with the key is for this user alone, and what the process says does not have it.
    """
    with Serve(dsn) as serve:
        address = Address.of(folder)
        mode = (folder / "serving.json").stat().st_mode & 0o777
        _, _, said = serve.stop()

    assert address is not None
    assert mode == 0o600
    assert address.key not in f"{serve.said}{said}{address!r}"


def test_a_stopped_owner_is_no_hang(dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 28: a `serve` that is stopped (SIGSTOP) is an error in time, and answers again when it goes on.
    """
    write(dsn, 1)
    monkeypatch.setattr("otel_llmcost.ledger.loopback.GREETING_SECONDS", 0.5)
    with Serve(dsn) as serve:
        serve.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Exception, match="could not be asked") as stopped:
            ask_owner(parse_dsn(dsn))
        seconds = time.monotonic() - began
        serve.process.send_signal(signal.SIGCONT)
        assert total(dsn)["requests"] == 1

    assert type(stopped.value).__name__ == "LedgerUnavailable"
    assert seconds < 5.0


def test_for_a_server_it_ships(tmp_path: Path) -> None:
    """
    For a ClickHouse server it ships the journal of this machine's applications, whoever of them has died.
    """
    settings = {"OTEL_LLMCOST_JOURNAL_DIR": str(tmp_path)}
    with ClickHouseDouble() as server:
        dsn = server.dsn("served")
        assert run("schema", "apply", "--dsn", dsn).returncode == 0
        with Application(dsn, 100_000, **settings) as application:
            application.wait_for("25")
            ended = 26 + application.ended()
        with Serve(dsn, **settings) as serve:
            journal = parse_dsn(dsn).journal_dir(Settings(journal_dir=tmp_path))
            deadline = time.monotonic() + 60
            while any(each.is_file() for each in journal.iterdir()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            code, seconds, said = serve.stop()
        found = total(dsn, **settings)["requests"]

    assert (code, said) == (0, "")
    assert seconds < EXIT_SECONDS
    assert found in (ended, ended + 1)


def test_what_an_answer_lacks_is_said(dsn: str, folder: Path) -> None:
    """
    Segments that the owner cannot ship are told to who asks, with what to do.
    """
    write(dsn, 1)
    foreign = Journal(folder / "journal", ledger="other")
    foreign.append("llm_requests", "202611", b"{}")
    foreign.close()
    with Serve(dsn):
        asked = run("report", "--by", "team", "--since", "2020-01-01", "--format", "json", "--dsn", dsn)

    assert orjson.loads(asked.stdout)["total"]["requests"] == 1
    assert "not in these answers: segments for another ledger (other): 1, in" in asked.stderr


def test_where_nobody_could_be_told(dsn: str, folder: Path) -> None:
    """
    Where the address cannot be left, on a full disk for one, it ends and says so, and leaves the ledger free.
    """
    (folder / "serving.json").mkdir(parents=True)
    refused = run("serve", "--dsn", dsn)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"{folder} cannot be written" in refused.stderr
    assert [each.name for each in folder.iterdir() if "serving" in each.name] == ["serving.json"]
    OwnerLock(folder).release()


def test_a_ledger_in_memory_cannot_be_served() -> None:
    """
    Serving what ends with its process is refused, with what to write instead.
    """
    refused = run("serve", "--dsn", "chdb://memory")

    assert refused.returncode == 1
    assert "name a chdb:///folder" in refused.stderr
