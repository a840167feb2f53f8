"""
Where a ledger lives, as one line of text: `chdb:///absolute/folder` or `https://user:password@host:8443/database`.

Parsed here and nowhere else, because the usual parsers leak: Python's names a part of the password in its error for a
bad port, and clickhouse-connect 1.12 does not switch TLS on for `https://` on a port that it does not know. Imports no
client and no engine: the application side needs only the address of its journal.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

from otel_llmcost.errors import SettingsError
from otel_llmcost.ledger.identity import ledger_id
from otel_llmcost.settings import Settings, state_dir

__all__ = ["DEFAULT_DATABASE", "MEMORY", "Dsn", "parse_dsn"]

DEFAULT_DATABASE: Final = "llmcost"
MEMORY: Final = "chdb://memory"
"""An engine in memory, for tests: gone when its process ends."""

FORMS: Final = (
    "write chdb:///absolute/folder, https://user:password@host:8443/database, or http://… for a server on this machine"
)
_LOCATION: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?(/(?P<database>[A-Za-z_][A-Za-z0-9_]*)?)?"
    r"(\?(?P<options>.*))?"
)
_OPTIONS: Final = frozenset({"allow_insecure", "ca_cert", "proxy"})
_PROXY: Final = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}/?")
_DEFAULT_PORTS: Final = {"http": 8123, "https": 8443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn:
    """The address of a ledger. `repr` shows no password."""

    kind: Literal["chdb", "http"]
    path: Path | None = None
    """The folder of an embedded ledger; None for a server, and for an engine in memory."""
    host: str = ""
    port: int = 0
    secure: bool = False
    """TLS, decided by the scheme alone."""
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = DEFAULT_DATABASE
    options: Mapping[str, str] = field(default_factory=dict)
    """`allow_insecure=1`: send a password in clear text over the network. `ca_cert=/file`: trust this authority.
    `proxy=http://host:port`: go through this proxy, in TLS from end to end; `http_proxy` and its kin are not read."""

    @property
    def fingerprint(self) -> str:
        """
        Sixteen hex digits that name this ledger in paths: the same for every user, password and option.

        A journal must follow its ledger when a password is rotated, and hold nothing of the secret. An embedded ledger
        has its name in its folder, which is read here and made if it is missing: raises `SettingsError` if it cannot be.
        """
        if self.path is not None:
            return ledger_id(self.path)
        place = "chdb\0None" if self.kind == "chdb" else f"http\0{self.host.lower()}\0{self.port}\0{self.database}"
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    def journal_dir(self, settings: Settings) -> Path:
        """
        Give the folder where rows wait for this ledger; looks at the embedded ledger's folder if the settings name one.

        Raises `SettingsError` for an engine in memory without `OTEL_LLMCOST_JOURNAL_DIR`: such rows have no home.
        """
        if settings.journal_dir is not None:
            return settings.journal_dir / self.fingerprint
        if self.kind == "http":
            return state_dir() / "journal" / self.fingerprint
        if self.path is None:
            raise SettingsError(
                f"{MEMORY} keeps no journal: set OTEL_LLMCOST_JOURNAL_DIR, or use chdb:///absolute/folder"
            )
        return self.path / "journal"

    def __str__(self) -> str:
        if self.kind == "chdb":
            return MEMORY if self.path is None else f"chdb://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}/{self.database}"


def parse_dsn(text: str) -> Dsn:
    """Read a DSN. Raises `SettingsError`, which names the accepted forms and never repeats a password."""
    scheme, separator, rest = text.strip().partition("://")
    if separator and scheme == "chdb":
        return _embedded(rest)
    if separator and scheme in _DEFAULT_PORTS:
        return _server(scheme, rest)
    raise SettingsError(f"the ledger's DSN has no scheme that is known here: {FORMS}")


def _embedded(rest: str) -> Dsn:
    if rest == "memory":
        return Dsn(kind="chdb")
    if not rest.startswith("/"):
        raise SettingsError("chdb:// needs an absolute folder, after three slashes: chdb:///var/lib/llmcost")
    if "?" in rest or "#" in rest:
        raise SettingsError("a chdb:// DSN has no options: write chdb:///absolute/folder alone")
    return Dsn(kind="chdb", path=Path(os.path.normpath("/" + unquote(rest).lstrip("/"))))


def _server(scheme: str, rest: str) -> Dsn:
    # The last @ ends the credentials: so a password may hold / ? # : and @ unescaped.
    credentials, _, location = rest.rpartition("@")
    match = _LOCATION.fullmatch(location)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise SettingsError(f"the ledger's DSN has no host, port and database after its credentials: {FORMS}")
    username, _, password = credentials.partition(":")
    dsn = Dsn(
        kind="http",
        host=match["host"].strip("[]"),
        port=int(match["port"] or _DEFAULT_PORTS[scheme]),
        secure=scheme == "https",
        username=unquote(username) or "default",
        password=unquote(password),
        database=match["database"] or DEFAULT_DATABASE,
        options=_options(match["options"] or ""),
    )
    if dsn.password and not dsn.secure and not _is_loopback(dsn.host) and dsn.options.get("allow_insecure") != "1":
        raise SettingsError(
            f"the DSN of {dsn.host} sends its password in clear text: write https://, or add ?allow_insecure=1 to accept that"
        )
    if "proxy" in dsn.options and not (dsn.secure and _PROXY.fullmatch(dsn.options["proxy"])):
        raise SettingsError(
            f"the DSN of {dsn.host} has a proxy that cannot be used: write https://…?proxy=http://host:port, without a password"
        )
    return dsn


def _options(text: str) -> dict[str, str]:
    options = dict(parse_qsl(text, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise SettingsError(f"the ledger's DSN has the option {unknown[0]!r}: known are {', '.join(sorted(_OPTIONS))}")
    return options


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
