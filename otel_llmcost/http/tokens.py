"""
The tokens that senders of spans, and people at a dashboard, show: from a file that nobody else can read, read again when
it changes.

A file holds one token, or two while senders change from one to the other: a sender that is turned away drops what it sent.
"""

from __future__ import annotations

import hmac
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_llmcost.errors import SettingsError

__all__ = ["Tokens"]

_logger = logging.getLogger("otel_llmcost")

_SHORTEST_TOKEN: Final = 16
_LONGEST_TOKEN: Final = 4096
_TOKENS: Final = 2


class Tokens:
    """
    The bearer tokens that a file holds, one a line. One thread asks. `option` is the word that named the file.

    Raises `SettingsError` at construction: others can read the file, or it holds no token. A file that is so later
    changes nothing until it is mended.
    """

    def __init__(self, file: Path, option: str = "--otlp-token-file") -> None:
        self._file = file
        self._option = option
        self._changed = _changed(file)  # before it is read: what changes meanwhile is read again
        self._expected = _read(file, option)

    def admit(self, authorization: bytes) -> bool:
        """Say whether the value of an `Authorization` header shows one of the tokens."""
        self._read_again()
        shown = [
            hmac.compare_digest(authorization, b"Bearer " + each) for each in self._expected
        ]  # all: time tells nothing
        return any(shown)

    def admit_derived(self, shown: bytes, derive: Callable[[bytes], bytes]) -> bool:
        """Say whether something shown was derived from one of the tokens: a cookie that does not hold the token."""
        self._read_again()
        known = [hmac.compare_digest(shown, derive(each)) for each in self._expected]
        return any(known)

    def _read_again(self) -> None:
        changed = _changed(self._file)
        if changed == self._changed:
            return
        self._changed = changed
        try:
            self._expected = _read(self._file, self._option)
        except SettingsError as error:
            _logger.warning("otel-llmcost: %s. Until then the tokens that were read before are taken", error)
        else:
            _logger.info("otel-llmcost: read the tokens again that senders show: %d", len(self._expected))


def _changed(file: Path) -> tuple[int, ...]:
    """Tell one state of a file from another; () for one that is not there."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read(file: Path, option: str) -> tuple[bytes, ...]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            room = _TOKENS * (_LONGEST_TOKEN + 2)
            held = os.read(descriptor, room + 1) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(f"{option} {str(file)!r} cannot be read: {error.strerror}") from error
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise SettingsError(f"{option} {str(file)!r} can be read or changed by others: chmod 600 it")
    tokens = [line.strip() for line in held.splitlines() if line.strip()]
    if not 1 <= len(tokens) <= _TOKENS or not all(map(_is_token, tokens)):
        raise SettingsError(
            f"{option} {str(file)!r} does not hold a token of {_SHORTEST_TOKEN} to {_LONGEST_TOKEN} characters, "
            "or two, one a line: make one with `openssl rand -hex 32`"
        )
    return tuple(tokens)


def _is_token(held: bytes) -> bool:
    return _SHORTEST_TOKEN <= len(held) <= _LONGEST_TOKEN and held.isascii() and len(held.split()) == 1
