"""
Settings: one frozen dataclass, one place for the names of environment variables, validated when it is made.

An argument wins over the environment, the environment over the default. Every name begins with `OTEL_LLMCOST_`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from otel_llmcost.errors import SettingsError

__all__ = ["PREFIX", "Settings", "state_dir"]

PREFIX = "OTEL_LLMCOST_"


def state_dir() -> Path:
    """Give the folder for data that must survive a restart: `$XDG_STATE_HOME/otel-llmcost` or its default."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "otel-llmcost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What users may set. Raises `SettingsError`, naming the variable and the accepted form."""

    dsn: str = field(default="", repr=False)
    """`OTEL_LLMCOST_DSN`. Where the ledger lives: `chdb:///absolute/folder`, `https://user:password@host:8443/database`
    or `http://…`. Default: a folder in the state directory. Never printed: it may hold a password."""
    cluster: str = ""
    """`OTEL_LLMCOST_CLUSTER`. For `otel-llmcost schema`: the cluster whose nodes get the tables, as in `ON CLUSTER`; a
    macro such as `{cluster}` too. Applications and shippers see by themselves what the ledger is."""
    journal_dir: Path | None = None
    """`OTEL_LLMCOST_JOURNAL_DIR`. Where unshipped rows wait; default `<ledger>/journal` (embedded), else the state
    directory, one folder per ledger and user."""
    journal_max_bytes: int = 1 << 30
    """`OTEL_LLMCOST_JOURNAL_MAX_BYTES`. At this size the newest rows are refused and counted. Default 1 GiB."""
    ship: bool = True
    """`OTEL_LLMCOST_SHIP`. Ship to a server from this process. False: it only writes its journal, which `otel-llmcost
    ship` on the same machine sends; for more than about 20 processes per ledger. Default true."""
    rate_cards: tuple[Path, ...] = ()
    """`OTEL_LLMCOST_RATE_CARDS`. Your rate cards and contracts (YAML), separated by the path separator; later wins."""
    baggage_keys: Mapping[str, str] = field(default_factory=dict)
    """`OTEL_LLMCOST_BAGGAGE_KEYS`. Baggage keys you already have: `tenant.id=customer_id,squad=team`."""
    trust_inbound: bool = False
    """`OTEL_LLMCOST_TRUST_INBOUND`. Owners in baggage that arrives over the network count only when true."""
    internal_hosts: tuple[str, ...] = ()
    """`OTEL_LLMCOST_INTERNAL_HOSTS`. Hosts, besides internal-looking ones, that may receive owners:
    `api.example.com,.example.net`."""
    gateways: tuple[str, ...] = ()
    """`OTEL_LLMCOST_GATEWAYS`. Hosts of LLM gateways that are metered themselves, as in `internal_hosts`: a request to
    one of them is the gateway's to charge, and takes its owner along."""
    guard_propagation: bool = True
    """`OTEL_LLMCOST_GUARD_PROPAGATION`. Keep owners out of requests to hosts that are not internal. Default true."""
    max_owner_values: int = 10_000
    """`OTEL_LLMCOST_MAX_OWNER_VALUES`. Distinct teams, features, environments and actions kept; further ones are
    stored as `(overflow)`. customer_id and action_id are never capped."""
    hash_key_file: Path | None = None
    """`OTEL_LLMCOST_HASH_KEY_FILE`. A file (mode 0600) with a secret: the values of `hash_keys` are stored as its HMAC."""
    hash_keys: tuple[str, ...] = ()
    """`OTEL_LLMCOST_HASH_KEYS`. Owner fields and keys of your own that are hashed with it, default `customer_id`:
    `customer_id,action_id,user_id`."""
    metrics: bool = True
    """`OTEL_LLMCOST_METRICS`. Report our counters and the cost that was shipped to the application's MeterProvider."""
    record_all: bool = False
    """`OTEL_LLMCOST_RECORD_ALL`. Record the spans that the sampler drops, all of them, for emitters that no table
    knows at span start; what is exported is unchanged."""

    def __post_init__(self) -> None:
        if self.journal_max_bytes < 1 << 20:
            raise SettingsError(
                f"{PREFIX}JOURNAL_MAX_BYTES is {self.journal_max_bytes}: at least 1048576 (1 MiB) is needed"
            )
        if self.max_owner_values < 1:
            raise SettingsError(f"{PREFIX}MAX_OWNER_VALUES is {self.max_owner_values}: at least 1 is needed")
        if self.hash_keys and self.hash_key_file is None:
            raise SettingsError(f"{PREFIX}HASH_KEYS needs {PREFIX}HASH_KEY_FILE: nothing would be hashed without it")
        if not re.fullmatch(r"[A-Za-z0-9_.-]*|\{[A-Za-z0-9_]+\}", self.cluster):
            raise SettingsError(
                f"{PREFIX}CLUSTER is {self.cluster!r}: a cluster's name or a macro is needed, as in {{cluster}}"
            )
        for card in self.rate_cards:
            if not card.is_file():
                raise SettingsError(f"{PREFIX}RATE_CARDS names {str(card)!r}, which is not a file")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **arguments: object) -> Self:
        """Read the environment; keyword arguments that are not None win over it."""
        env = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for name, read in _READERS.items():
            if text := env.get(PREFIX + name.upper(), "").strip():
                values[name] = read(PREFIX + name.upper(), text)
        values.update({name: value for name, value in arguments.items() if value is not None})
        return cls(**values)  # type: ignore[arg-type]  # each reader gives its field's type

    def ledger_dsn(self) -> str:
        """Give the DSN, or the default embedded ledger in the state directory."""
        return self.dsn or f"chdb://{state_dir() / 'ledger'}"


def _read_text(_name: str, text: str) -> str:
    return text


def _read_path(_name: str, text: str) -> Path:
    return Path(text).expanduser()


def _read_paths(_name: str, text: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)


def _read_list(_name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read_int(name: str, text: str) -> int:
    if not text.isdecimal():
        raise SettingsError(f"{name}={text!r} is not a whole number")
    return int(text)


def _read_bool(name: str, text: str) -> bool:
    values = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in values:
        raise SettingsError(f"{name}={text!r} is neither true nor false")
    return values[text.lower()]


def _read_map(name: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in _read_list(name, text)]
    if wrong := [key for key, equals, value in pairs if not (key and equals and value)]:
        raise SettingsError(
            f"{name} has {wrong[0]!r}: write key=owner, separated by commas, as in tenant.id=customer_id"
        )
    return {key.strip(): value.strip() for key, _, value in pairs}


_READERS = {
    "dsn": _read_text,
    "cluster": _read_text,
    "journal_dir": _read_path,
    "journal_max_bytes": _read_int,
    "ship": _read_bool,
    "rate_cards": _read_paths,
    "baggage_keys": _read_map,
    "trust_inbound": _read_bool,
    "internal_hosts": _read_list,
    "gateways": _read_list,
    "guard_propagation": _read_bool,
    "max_owner_values": _read_int,
    "hash_key_file": _read_path,
    "hash_keys": _read_list,
    "metrics": _read_bool,
    "record_all": _read_bool,
}
