"""
Asking an embedded ledger through the process that owns it, over an authenticated loopback socket.

The owner says in `<ledger>/serving.json` (0600) where it listens and with which key. Whoever may read that file may ask,
by name, the queries that only read; no SQL crosses. Every wait has an end, and an answer comes from this ledger or from
none. Limits: the two must share a network namespace (a container's own loopback cannot be reached from outside).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from otel_llmcost import errors
from otel_llmcost.errors import LedgerBusy, LedgerError, LedgerUnavailable
from otel_llmcost.ledger.dsn import Dsn
from otel_llmcost.ledger.embedded import owner_process
from otel_llmcost.ledger.wire import FRAME_BYTES, Line, Message, introduce, pack

__all__ = ["ERRORS", "Address", "LoopbackLedger", "ask_owner", "is_served"]

GREETING_SECONDS: Final = 5.0
"""To connect and to be known: the owner's threads need no engine for that."""
ANSWER_SECONDS: Final = 60.0
"""For a question, behind what the engine does at that moment."""
ERRORS: Final[Mapping[str, type[LedgerError]]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LedgerError)
}
"""What crosses as itself, with its sentence."""

_FILE: Final = "serving.json"
_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the owner of a ledger listens, and the key that it and those who ask it know. `repr` shows no key."""

    process: int
    port: int
    key: str = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Read what the owner of the ledger in `folder` wrote; None if there is no such file, or another one."""
        try:
            descriptor = os.open(folder / _FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            fields = json.loads(os.read(descriptor, _FILE_BYTES))
            return cls(process=int(fields["process"]), port=int(fields["port"]), key=str(fields["key"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        finally:
            os.close(descriptor)

    def write(self, folder: Path) -> None:
        """Leave this for those who ask, in one step and for this user alone. Raises `OSError`."""
        unfinished = folder / f".{_FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, json.dumps(asdict(self)).encode())
            unfinished.rename(folder / _FILE)
        except OSError:
            unfinished.unlink()
            raise
        finally:
            os.close(descriptor)

    @staticmethod
    def remove(folder: Path) -> None:
        """Say no more that someone listens; where that fails, what stays leads nobody astray."""
        with suppress(OSError):
            (folder / _FILE).unlink()


def is_served(place: Dsn) -> bool:
    """Tell whether the process that owns an embedded ledger says that it answers others."""
    return _address(place) is not None


def ask_owner(place: Dsn) -> LoopbackLedger | None:
    """
    Connect to the process that owns an embedded ledger; None when it does not serve.

    Raises `LedgerBusy` when nobody listens where it said, which is so while it ends, and `LedgerUnavailable` when it does
    not answer as it should, within 15 seconds.
    """
    address = _address(place)
    if address is None:
        return None
    try:
        line = Line(socket.create_connection(("127.0.0.1", address.port), timeout=GREETING_SECONDS))
    except ConnectionRefusedError as error:
        raise LedgerBusy(
            f"process {address.process} serves {place} on 127.0.0.1:{address.port}, and nobody listens there: ask from the "
            "machine or container that it runs in"
        ) from error
    except OSError as error:
        raise _silent(place, address, error) from error
    try:
        about = introduce(line, bytes.fromhex(address.key), seconds=GREETING_SECONDS)
    except (OSError, ValueError) as error:
        line.close()
        raise _silent(place, address, error) from error
    if about.get("ledger") != place.fingerprint:
        line.close()
        raise _silent(place, address, "it owns another ledger")
    return LoopbackLedger(place, line, address.process)


def _address(place: Dsn) -> Address | None:
    """Give where the owner listens; what an earlier owner left behind is not that."""
    if place.path is None or (address := Address.of(place.path)) is None:
        return None
    return address if str(address.process) == owner_process(place.path) else None


def _silent(place: Dsn, address: Address, why: object) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"process {address.process} serves {place}, and could not be asked on 127.0.0.1:{address.port} ({why}): "
        "ask again, from the machine or container that it runs in; if it hangs, end it and start `otel-llmcost serve` again"
    )


class LoopbackLedger:
    """An embedded ledger that another process owns. It is asked as a `Ledger` is; threads may share it."""

    def __init__(self, dsn: Dsn, line: Line, process: int) -> None:
        self.dsn = dsn
        self._line = line
        self._process = process
        self._lock = threading.Lock()

    def query(self, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """
        Have the owner run `sql/queries/<name>.sql`; give its rows as `Ledger.query` does.

        Raises what the owner's ledger raised, and `LedgerUnavailable` when the owner ends or does not answer in time.
        """
        rows: list[dict[str, object]] = []
        with self._lock:
            frame = self._ask({"ask": name, "parameters": pack(dict(parameters or {}))}, name)
            while True:
                rows += [dict(zip(frame["columns"], row, strict=True)) for row in frame["rows"]]
                if not frame["more"]:
                    return rows
                frame = self._receive(name)

    def catch_up(self) -> tuple[str, ...]:
        """Have the owner ship what waits in the journal now; give a sentence for whatever the answers will lack."""
        with self._lock:
            return tuple(self._ask({"ask": None}, "what is missing")["lacking"])

    def close(self) -> None:
        """End the connection; the owner stays."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LoopbackLedger({str(self.dsn)!r}, process {self._process})"

    def _ask(self, question: Message, what: str) -> Message:
        try:
            self._line.send(question, seconds=ANSWER_SECONDS)
        except OSError as error:
            raise self._lost(what, error) from error
        return self._receive(what)

    def _receive(self, what: str) -> Message:
        try:
            frame = self._line.receive(seconds=ANSWER_SECONDS, max_bytes=FRAME_BYTES)
        except OSError as error:
            raise self._lost(what, error) from error
        if (kind := frame.get("error")) is not None:
            raise ERRORS.get(kind, LedgerError)(str(frame.get("says")))
        return frame

    def _lost(self, what: str, error: OSError) -> LedgerUnavailable:
        self._line.close()  # half an answer may still be on it
        why = (
            f"did not answer within {ANSWER_SECONDS:.0f} s"
            if isinstance(error, TimeoutError)
            else f"went away ({error})"
        )
        return LedgerUnavailable(
            f"process {self._process}, which serves {self.dsn}, was asked for {what} and {why}: ask again"
        )
