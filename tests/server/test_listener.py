"""Asking a ledger through its owner: the same answers and errors as without, for who may ask, and for nobody else."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import date

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import LedgerBusy, LedgerError, LedgerRefused, LedgerUnavailable, LLMCostError
from otel_llmcost.ledger import Answers, Dsn, Ledger
from otel_llmcost.ledger.answers import questions
from otel_llmcost.ledger.loopback import Address, LoopbackLedger, ask_owner, is_served
from otel_llmcost.reports import cost_quantiles, explain, requests, spend
from otel_llmcost.reports.gaps import unpriced, usage_gaps, without_usage
from otel_llmcost.server import listener as listening
from otel_llmcost.server.listener import Listener

YEAR = {"since": date(2026, 1, 1), "until": date(2027, 1, 1)}


def everything(ledger: Answers) -> list[object]:
    """Ask all that reports can ask."""
    return [
        spend(ledger, ["team", "model"], **YEAR, top=2),
        spend(ledger, ["customer"], where={"feature": "feature-3"}, **YEAR),
        requests(ledger, **YEAR, limit=1000),
        explain(ledger, "chatcmpl-7"),
        explain(ledger, "chatcmpl-1"),
        cost_quantiles(ledger, "team", **YEAR),
        usage_gaps(ledger, **YEAR),
        without_usage(ledger, **YEAR),
        unpriced(ledger, **YEAR),
    ]


def asking(place: Dsn) -> LoopbackLedger:
    """Connect to the owner, who must be there."""
    found = ask_owner(place)
    assert found is not None
    return found


@pytest.mark.parametrize("rows_per_frame", [7, 500])
def test_answers_are_the_same(
    ledger: Ledger, listener: Listener, place: Dsn, monkeypatch: pytest.MonkeyPatch, rows_per_frame: int
) -> None:
    """
    Every report is the same through the owner, to the type of each value, in one frame or in many.
    """
    monkeypatch.setattr(listening, "_ROWS_PER_FRAME", rows_per_frame)
    with asking(place) as asked:
        assert asked.catch_up() == ("a segment is missing",)
        assert repr(everything(asked)) == repr(everything(ledger))
        assert asked.query("explain_requests", {"id": "nothing"}) == []


def test_errors_are_the_same(ledger: Ledger, listener: Listener, place: Dsn) -> None:
    """
    What the ledger refuses is refused through the owner with the same class and sentence, and the next question works.
    """
    wrong = {"table": "no_such_table", "batch_id": ""}
    with pytest.raises(LLMCostError) as direct:
        ledger.query("batch_exists", wrong)
    with asking(place) as asked:
        with pytest.raises(LLMCostError) as through_it:
            asked.query("batch_exists", wrong)
        with pytest.raises(LedgerError):
            asked.query("batch_exists", {})
        assert asked.query("batch_exists", {"table": "llm_requests", "batch_id": "t"}) == [{"found": 1}]

    assert (type(through_it.value), str(through_it.value)) == (type(direct.value), str(direct.value))


@pytest.mark.parametrize(
    "name", ["record_migration", "create_database", "../schema/001_llm_requests", "SELECT 1", "", 7]
)
def test_only_questions_that_read(listener: Listener, place: Dsn, name: str) -> None:
    """
    No SQL crosses, and nothing that writes or defines is run.
    """
    with asking(place) as asked, pytest.raises(LedgerRefused, match="is no question"):
        asked.query(name, {"database": "x", "name": "x", "sha256": "x"})


def test_the_questions() -> None:
    """
    What may be asked is what begins with SELECT: all that reports ask, nothing that changes anything.
    """
    assert {"spend", "requests", "explain_requests", "usage_gaps", "cost_quantiles"} <= questions()
    assert not {"record_migration", "create_database"} & questions()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b'\0\0\0\x1c{"nonce":"n","proof":"\xc3\xa9..."}']
)
def test_strangers_learn_nothing(listener: Listener, place: Dsn, said: bytes) -> None:
    """
    Who does not know the key gets a random number and a closed connection, and is in nobody's way.
    """
    with socket.create_connection(("127.0.0.1", listener.address.port), timeout=10.0) as stranger:
        greeting = json.loads(stranger.recv(4096)[4:])
        rest = b""
        with suppress(OSError):  # turned away before all was said
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            rest = stranger.recv(4096)
    with asking(place) as asked:
        assert asked.query("explain_requests", {"id": "nothing"}) == []

    assert (sorted(greeting), rest) == (["nonce", "protocol"], b"")


def test_a_wrong_key(listener: Listener, place: Dsn, caplog: pytest.LogCaptureFixture) -> None:
    """
    With another key there is no answer, on either side's word; it is logged once, counted each time.
    """
    assert place.path is not None
    replace(listener.address, key="00" * 32).write(place.path)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable, match="could not be asked"):
            ask_owner(place)
    deadline = time.monotonic() + 5.0
    while COUNTERS["server.refused"] < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert caplog.text.count("turned away") == 1


def test_silent_connections_block_nobody(listener: Listener, place: Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    More connections than are served at once, all silent, delay who may ask by the time to be known, no longer.
    """
    monkeypatch.setattr(listening, "GREETING_SECONDS", 0.5)
    silent = [socket.create_connection(("127.0.0.1", listener.address.port)) for _ in range(40)]
    began = time.monotonic()
    with asking(place) as asked:
        assert asked.query("explain_requests", {"id": "nothing"}) == []
    for each in silent:
        each.close()

    assert time.monotonic() - began < 5.0


def test_never_another_ledgers_answer(ledger: Ledger, place: Dsn) -> None:
    """
    An owner of another ledger that is reached by mistake is not asked.
    """
    assert place.path is not None
    other = Listener(ledger, "another", tuple)
    other.address.write(place.path)
    with pytest.raises(LedgerUnavailable, match="it owns another ledger"):
        ask_owner(place)
    other.close(5.0)


def test_who_does_not_serve(place: Dsn, listener: Listener) -> None:
    """
    An owner that left no address, a broken one, or an earlier process's, does not serve.
    """
    assert place.path is not None
    file = place.path / "serving.json"
    address = listener.address
    for process, expected in ((os.getpid(), True), (os.getpid() + 1, False)):
        replace(address, process=process).write(place.path)
        assert is_served(place) is expected
    for text in ("", "{}", "[]", "{", '{"process":"x","port":1,"key":""}'):
        file.write_text(text)
        assert (is_served(place), ask_owner(place)) == (False, None)
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert not is_served(place)
    Address.remove(place.path)
    assert not file.is_symlink()


def test_nobody_listens(place: Dsn, listener: Listener) -> None:
    """
    An address that leads nowhere from here, as in another container, is said to; while a process ends it is waited out.
    """
    listener.close(5.0)

    with pytest.raises(LedgerBusy, match="ask from the machine or container that it runs in"):
        ask_owner(place)


def test_the_owner_ends(place: Dsn, listener: Listener) -> None:
    """
    When the owner ends, the next question is an error that says what to do, and so is every one after it.
    """
    asked = asking(place)
    assert listener.close(5.0)

    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match=r"went away .* ask again"):
            asked.query("explain_requests", {"id": "x"})


class Slow:
    """A ledger whose engine is busy until it is told."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def query(self, _name: str, _parameters: object = None) -> list[dict[str, object]]:
        """Answer late."""
        self.free.wait(30.0)
        return []


def test_a_busy_engine(place: Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A question has its time; and who must end meanwhile is told that the engine is still at work, then that it is not.
    """
    assert place.path is not None
    monkeypatch.setattr("otel_llmcost.ledger.loopback.ANSWER_SECONDS", 0.3)
    slow = Slow()
    listener = Listener(slow, place.fingerprint, tuple)
    listener.address.write(place.path)
    with asking(place) as asked, pytest.raises(LedgerUnavailable, match=r"did not answer within 0 s"):
        asked.query("spend")

    assert not listener.close(0.2)
    slow.free.set()
    deadline = time.monotonic() + 5.0
    while listener._lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_defect_is_said_and_survived(place: Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An error that nobody foresaw is told to who asked, with where its stack is, and the next question is answered.
    """

    class Broken:
        """A ledger with a defect."""

        def query(self, name: str, _parameters: object = None) -> list[dict[str, object]]:
            """Fail at one question."""
            return [{"whole": 1}] if name == "requests" else [][0]

    assert place.path is not None
    monkeypatch.setattr("otel_llmcost.fence.RERAISE", False)
    listener = Listener(Broken(), place.fingerprint, tuple)
    listener.address.write(place.path)
    with asking(place) as asked:
        with pytest.raises(LedgerError, match="its log has the stack"):
            asked.query("spend")
        assert asked.query("requests") == [{"whole": 1}]

    assert listener.close(5.0)
    assert COUNTERS["fence.answer"] == 1
