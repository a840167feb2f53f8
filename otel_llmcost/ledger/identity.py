"""
What an embedded ledger is called: an id inside its folder, so that its rows find it under whatever path it is reached.

A path is no name: a link, a mount in a container and `mv` all change it, and rows in the journal would wait for ever.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Final

from otel_llmcost.errors import SettingsError

__all__ = ["ledger_id"]

_ID: Final = re.compile(rb"[0-9a-f]{16}\n")
_MAX_BYTES: Final = 64


def ledger_id(folder: Path) -> str:
    """
    Give the sixteen hex digits in `<folder>/id`; whoever comes first makes the folder (0700) and the file (0600).

    Raises `SettingsError` when the folder cannot be used, or the file holds something else.
    """
    file = folder / "id"
    try:
        text = _read(file) or _make(file)
    except OSError as error:
        raise SettingsError(
            f"the ledger's folder {folder} cannot be used ({error.strerror}): "
            "run as the user who owns it, or name another folder in OTEL_LLMCOST_DSN"
        ) from error
    if not _ID.fullmatch(text):
        raise SettingsError(f"{file} is not the id of a ledger: put back what it was, sixteen hex digits and a newline")
    return text.decode().strip()


def _read(file: Path) -> bytes:
    try:
        with closing(_open(file, os.O_RDONLY)) as opened:
            return opened.read(_MAX_BYTES) or b""
    except FileNotFoundError:
        return b""


def _make(file: Path) -> bytes:
    """Write a new id, unless another process did meanwhile: the lock lets one write, and everyone read the same."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(_open(file, os.O_RDWR | os.O_CREAT)) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        try:
            if text := opened.read(_MAX_BYTES):
                return text
            made = f"{secrets.token_hex(8)}\n".encode()
            opened.write(made)
            os.fsync(opened.fileno())
            return made
        finally:
            fcntl.flock(opened, fcntl.LOCK_UN)


def _open(file: Path, flags: int) -> FileIO:
    descriptor = os.open(file, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    return FileIO(descriptor, "r+b" if flags & os.O_RDWR else "rb")
