"""
What crosses the loopback socket between the owner of an embedded ledger and those who ask it: frames of JSON.

A frame is its length in four bytes and that much JSON. Before anything else both ends prove, over fresh nonces, that they
know the key in the owner's file; the key itself never crosses. Values keep their type and every digit. Limits: one
machine and one user; what follows the proofs is neither encrypted nor signed, as loopback traffic is nobody else's.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import struct
import time
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

__all__ = [
    "FRAME_BYTES",
    "PROTOCOL",
    "QUESTION_BYTES",
    "Line",
    "Message",
    "introduce",
    "pack",
    "receive_introduction",
]

PROTOCOL: Final = 1
QUESTION_BYTES: Final = 16 << 20
FRAME_BYTES: Final = 64 << 20
"""No frame of an answer is larger; an answer has as many frames as it needs."""
_GREETING_BYTES: Final = 4096
_LENGTH: Final = struct.Struct("!I")
Message = dict[str, Any]


class Line:
    """One end of a connection. Whatever goes wrong on it is an `OSError`, and the line is of no more use."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: Message, *, seconds: float) -> None:
        """Send one frame whole, or raise `OSError`."""
        data = json.dumps(message, default=_tagged, separators=(",", ":")).encode()
        self._end.settimeout(seconds)
        self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, *, seconds: float, max_bytes: int) -> Message:
        """Receive one frame whole, in that time from now, or raise `OSError`."""
        deadline = time.monotonic() + seconds
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if length > max_bytes:
            raise ConnectionAbortedError(f"a frame of {length} bytes, where {max_bytes} are the most")
        try:
            message = json.loads(self._read(length, deadline), object_hook=_untagged)
        except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
            raise ConnectionAbortedError("a frame that is not of this protocol") from error
        if not isinstance(message, _Fields):
            raise ConnectionAbortedError("a frame that is not of this protocol")
        return message

    def close(self) -> None:
        """Close it; who waits for a frame on either end is told at once."""
        with suppress(OSError):  # the other end was faster
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _read(self, length: int, deadline: float) -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            self._end.settimeout(max(0.001, deadline - time.monotonic()))
            count = self._end.recv_into(view)
            if not count:
                raise ConnectionResetError("the other end closed the connection")
            view = view[count:]
        return data


def introduce(line: Line, key: bytes, *, seconds: float) -> Message:
    """
    Prove to the owner that we know its key, and have it prove the same; give what it says about itself.

    Raises `OSError`; `PermissionError` when it does not know the key.
    """
    greeting = line.receive(seconds=seconds, max_bytes=_GREETING_BYTES)
    theirs, ours = str(greeting.get("nonce")), secrets.token_hex(16)
    if greeting.get("protocol") != PROTOCOL:
        raise ConnectionAbortedError("it speaks another version's protocol")
    line.send({"nonce": ours, "proof": _proof(key, "asks", ours, theirs)}, seconds=seconds)
    answer = line.receive(seconds=seconds, max_bytes=_GREETING_BYTES)
    if not _is_proof(answer, _proof(key, "owns", ours, theirs)):
        raise PermissionError("it does not know the key in the owner's file")
    return answer


def receive_introduction(line: Line, key: bytes, about: Message, *, seconds: float) -> None:
    """Let only those in who know the key, and tell them `about` us. Raises `OSError`; `PermissionError` for the others."""
    ours = secrets.token_hex(16)
    line.send({"protocol": PROTOCOL, "nonce": ours}, seconds=seconds)
    theirs = line.receive(seconds=seconds, max_bytes=_GREETING_BYTES)
    nonce = str(theirs.get("nonce"))
    if not _is_proof(theirs, _proof(key, "asks", nonce, ours)):
        raise PermissionError("somebody who does not know the key in the owner's file")
    line.send({**about, "proof": _proof(key, "owns", nonce, ours)}, seconds=seconds)


def _proof(key: bytes, role: str, asker: str, owner: str) -> str:
    return hmac.digest(key, json.dumps([role, asker, owner]).encode(), "sha256").hex()


def _is_proof(message: Message, expected: str) -> bool:
    return hmac.compare_digest(str(message.get("proof")).encode(errors="replace"), expected.encode())


def pack(value: object) -> object:
    """
    Make a value ready for a frame: every JSON object in it is then a tag of ours, so none can be mistaken for one.

    Takes what the engine's rows and a query's parameters are made of; anything else is a `TypeError` when it is sent.
    """
    match value:
        case dict():
            return {"map": [[pack(key), pack(each)] for key, each in value.items()]}
        case tuple():
            return {"tuple": [pack(each) for each in value]}
        case list():
            return [pack(each) for each in value]
    return value


def _tagged(value: object) -> dict[str, str]:
    match value:
        case Decimal():
            return {"decimal": str(value)}
        case datetime():  # before date, of which it is one
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
    raise TypeError(f"a {type(value).__name__} cannot cross to the ledger's owner")


class _Fields(Message):
    """The outermost object of a frame, which has names; every other one is a tag."""


def _untagged(fields: Message) -> object:
    match fields:
        case {"decimal": str(text)} if len(fields) == 1:
            return Decimal(text)
        case {"datetime": str(text)} if len(fields) == 1:
            return datetime.fromisoformat(text)
        case {"date": str(text)} if len(fields) == 1:
            return date.fromisoformat(text)
        case {"tuple": list(each)} if len(fields) == 1:
            return tuple(each)
        case {"map": list(pairs)} if len(fields) == 1:
            return dict(pairs)
    return _Fields(fields)
