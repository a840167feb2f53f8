"""The token that senders show: read once, from a file that nobody else can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from otel_llmcost.errors import SettingsError

__all__ = ["read_token"]

_SHORTEST_TOKEN: Final = 16
_LONGEST_TOKEN: Final = 4096


def read_token(file: Path) -> str:
    """Read a bearer token. Raises `SettingsError`: others can read the file, or it holds no token."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            held = os.read(descriptor, _LONGEST_TOKEN + 1) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(f"--otlp-token-file {str(file)!r} cannot be read: {error.strerror}") from error
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise SettingsError(f"--otlp-token-file {str(file)!r} can be read or changed by others: chmod 600 it")
    token = held.strip()
    if not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise SettingsError(
            f"--otlp-token-file {str(file)!r} does not hold a token of {_SHORTEST_TOKEN} to {_LONGEST_TOKEN} characters: "
            "make one with `openssl rand -hex 32`"
        )
    return token.decode()
