"""
Owner values that nobody should read in a ledger: replaced at the source by a keyed hash (HMAC-SHA256, 128 bits of it).

The same value under the same key is the same everywhere, so that reports still group by it; who has no key can neither
read nor guess it. Baggage between your own services carries the plain value, which each of them hashes for itself.
Limits: another key makes other customers of the same ones.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from otel_llmcost.attributes import OWNER_ATTRIBUTES
from otel_llmcost.errors import SettingsError
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.ownership.values import is_extra_name
from otel_llmcost.settings import PREFIX, Settings

__all__ = ["FORGOTTEN", "OwnerHash"]

FORGOTTEN: Final = "(forgotten)"
"""Stored in the place of a customer whom `otel-llmcost forget` removed."""

_SHORTEST_KEY: Final = 32
_LONGEST_KEY: Final = 4096
_HEX_DIGITS: Final = 32
_HASHED: Final = re.compile(rf"h_[0-9a-f]{{{_HEX_DIGITS}}}")
_BY_DEFAULT: Final = ("customer_id",)
_NEVER: Final = frozenset({"team", "feature", "environment", "action", "request_id"})
"""Names of your own organisation and of its requests: `explain` finds a request by its id."""
_MAX_CACHED: Final = 4096


class OwnerHash:
    """Hashes the values of some owner fields. Safe to share between threads; the key is never printed."""

    __slots__ = ("_key", "_known", "names")

    def __init__(self, key: bytes, names: Iterable[str]) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        self.names = frozenset(names)
        """The owner fields and extra keys whose values are hashed."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """
        Read the key's file; without one nothing is hashed.

        Raises `SettingsError`: the file cannot be read, can be read or changed by others, or is short; or a name cannot
        be hashed.
        """
        if settings.hash_key_file is None:
            return cls(b"", ())
        names = settings.hash_keys or _BY_DEFAULT
        for name in names:
            if name in _NEVER or not (name in OWNER_ATTRIBUTES or is_extra_name(name)):
                raise SettingsError(
                    f"{PREFIX}HASH_KEYS names {name!r}: customer_id, action_id and owner keys of your own can be hashed"
                )
        return cls(_read_key(settings.hash_key_file), names)

    def of(self, name: str, value: str) -> str:
        """Give what is stored for a value of the owner field `name`; a hash, or a word of ours, stays what it is."""
        if name not in self.names or value in (UNATTRIBUTED, FORGOTTEN) or _HASHED.fullmatch(value):
            return value
        known = self._known.get(value)
        if known is None:
            digest = hmac.new(self._key, value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
            known = f"h_{digest[:_HEX_DIGITS]}"
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            self._known[value] = known
        return known

    def __repr__(self) -> str:
        return f"OwnerHash(names={sorted(self.names)})"


def _read_key(file: Path) -> bytes:
    variable = f"{PREFIX}HASH_KEY_FILE"
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            text = os.read(descriptor, _LONGEST_KEY + 1) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(f"{variable} names {str(file)!r}, which cannot be read: {error.strerror}") from error
    # A group may read it, as where a platform mounts secrets for one.
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise SettingsError(f"{variable} names {str(file)!r}, which others can read or change: chmod 600 it")
    key = text.strip()
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise SettingsError(
            f"{variable} names {str(file)!r}, which does not hold {_SHORTEST_KEY} to {_LONGEST_KEY} bytes: "
            "make it with `openssl rand -hex 32`"
        )
    return key
