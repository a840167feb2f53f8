"""What crosses the socket is what was sent, or nothing at all."""

from __future__ import annotations

import socket
import struct
import threading
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger.wire import Line, introduce, pack, receive_introduction

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.decimals(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])).map(lambda instant: instant.replace(fold=0)),
)
KEYS = st.one_of(st.text(), st.sampled_from(["decimal", "datetime", "date", "tuple", "map", "error", "more"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner), st.dictionaries(st.integers(), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_come_as_they_went(lines: tuple[Line, Line], value: object) -> None:
    """
    Every value of a row or a parameter arrives with its type and every digit, also one that looks like a tag.
    """
    one, other = lines
    one.send({"value": pack(value)}, seconds=5.0)

    assert repr(other.receive(seconds=5.0, max_bytes=1 << 20)["value"]) == repr(value)


def test_no_other_value_crosses(lines: tuple[Line, Line]) -> None:
    """
    A value of another type is an error where it is sent, never something else where it arrives.
    """
    with pytest.raises(TypeError, match="a set cannot cross"):
        lines[0].send({"value": pack({1})}, seconds=5.0)


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("!I", 1 << 31),
        struct.pack("!I", 7) + b"no json",
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 17) + b'{"decimal":"none"}'[:17],
        struct.pack("!I", 22) + b'{"a":{"decimal":"abc"}}'[:22],
        struct.pack("!I", 100_000) + b"[" * 100_000,
        struct.pack("!I", 9) + b"half",
        b"\0",
        b"",
    ],
)
def test_garbage_is_a_broken_connection(lines: tuple[Line, Line], frame: bytes) -> None:
    """
    Whatever else arrives, or stops arriving, is an `OSError` in time.
    """
    one, other = lines
    one._end.sendall(frame)
    one._end.shutdown(socket.SHUT_WR)

    with pytest.raises(OSError, match=r"frame|closed"):
        other.receive(seconds=5.0, max_bytes=1 << 20)


def test_a_trickle_ends_in_time(lines: tuple[Line, Line]) -> None:
    """
    Who sends a byte now and then has the time of one frame, not of one byte.
    """
    one, other = lines
    stop = threading.Event()

    def trickle() -> None:
        one._end.sendall(struct.pack("!I", 1000))
        while not stop.wait(0.05):
            one._end.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    with pytest.raises(TimeoutError):
        other.receive(seconds=0.3, max_bytes=1 << 20)
    stop.set()
    thread.join()


@pytest.mark.parametrize("known", [True, False])
def test_both_ends_prove_that_they_know_the_key(lines: tuple[Line, Line], known: bool) -> None:
    """
    Each end is let in by the other only with the key, which is in no frame.
    """
    asker, owner = lines
    key, its_key = b"k" * 32, b"k" * 32 if known else b"x" * 32
    outcome: list[object] = []

    def own() -> None:
        try:
            receive_introduction(owner, key, {"ledger": "f"}, seconds=5.0)
            outcome.append("let in")
        except OSError as error:
            outcome.append(type(error))
            owner.close()

    thread = threading.Thread(target=own)
    thread.start()
    if known:
        assert introduce(asker, its_key, seconds=5.0)["ledger"] == "f"
    else:
        with pytest.raises(OSError, match="closed"):
            introduce(asker, its_key, seconds=5.0)
    thread.join()

    assert outcome == ["let in" if known else PermissionError]


def test_an_impostor_is_not_believed(lines: tuple[Line, Line]) -> None:
    """
    Who listens on an old owner's port and does not know the key cannot answer in its place, not even by an echo.
    """
    asker, impostor = lines

    def impersonate() -> None:
        impostor.send({"protocol": 1, "nonce": "n"}, seconds=5.0)
        theirs = impostor.receive(seconds=5.0, max_bytes=4096)
        impostor.send({"ledger": "f", "proof": theirs["proof"]}, seconds=5.0)

    thread = threading.Thread(target=impersonate)
    thread.start()
    with pytest.raises(PermissionError, match="does not know the key"):
        introduce(asker, b"k" * 32, seconds=5.0)
    thread.join()


def test_another_version_is_told_apart(lines: tuple[Line, Line]) -> None:
    """
    An owner of a version with another protocol is not talked to, and that is said.
    """
    asker, owner = lines
    owner.send({"protocol": 2, "nonce": "n"}, seconds=5.0)

    with pytest.raises(OSError, match="another version's protocol"):
        introduce(asker, b"k" * 32, seconds=5.0)


def test_a_datetime_is_no_date(lines: tuple[Line, Line]) -> None:
    """
    An instant keeps its microseconds and its zone beside a day, which has neither.
    """
    one, other = lines
    both = [datetime(2026, 11, 21, 23, 59, 59, 999_999, UTC), date(2026, 11, 21)]
    one.send({"value": pack(both)}, seconds=5.0)

    assert other.receive(seconds=5.0, max_bytes=4096)["value"] == both
