"""DSNs: what is accepted, what is refused, and that no password ever leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.errors import SettingsError
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.settings import Settings

SECRET = "s3cr3t"


def test_embedded() -> None:
    """
    A folder is taken as it is written, with its dots resolved.
    """
    dsn = parse_dsn("chdb:///var/lib/../lib/llmcost")

    assert ("chdb", Path("/var/lib/llmcost")) == (dsn.kind, dsn.path)


@pytest.mark.parametrize(
    ("text", "host", "port", "secure", "database"),
    [
        ("https://ch.example.com", "ch.example.com", 8443, True, "llmcost"),
        ("https://ch.example.com:9999/costs", "ch.example.com", 9999, True, "costs"),
        ("http://localhost", "localhost", 8123, False, "llmcost"),
        ("http://[::1]:8123/costs", "::1", 8123, False, "costs"),
    ],
)
def test_server(text: str, host: str, port: int, secure: bool, database: str) -> None:
    """
    The scheme alone decides TLS, on any port.
    """
    dsn = parse_dsn(text)

    assert (host, port, secure, database) == (dsn.host, dsn.port, dsn.secure, dsn.database)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_password(password: str) -> None:
    """
    Whatever a password is made of, percent-encoding carries it through.
    """
    assert password == parse_dsn(f"https://u:{quote(password, safe='')}@host/db").password


@pytest.mark.parametrize("password", ["a/b", "a#b", "a?b", "a@b", "a:b", "100%"])
def test_unescaped_password(password: str) -> None:
    """
    People forget to escape: the last @ ends the credentials.
    """
    assert password == parse_dsn(f"https://u:{password}@host:8443/db").password


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"u:{SECRET}@host",
        f"clickhouse://u:{SECRET}@host",
        f"https://u:{SECRET}@",
        f"https://u:{SECRET}@host:port",
        f"https://u:{SECRET}@host:99999",
        f"https://u:{SECRET}@host/a/b",
        f"https://u:{SECRET}@host/db?nope=1",
        f"http://u:{SECRET}@ch.example.com",
        f"http://u:{SECRET}@localhost?proxy=http://proxy:3128",
        f"https://u:{SECRET}@host?proxy=proxy:3128",
        f"https://u@host?proxy=http%3A//u:{SECRET}%40proxy:3128",
        f"chdb://u:{SECRET}@host",
        "chdb://relative/folder",
        "chdb:///folder?x=1",
    ],
)
def test_refused(text: str) -> None:
    """
    A wrong DSN is refused with what to write, and its password is not repeated.
    """
    with pytest.raises(SettingsError) as refusal:
        parse_dsn(text)

    assert SECRET not in str(refusal.value)
    assert "://" in str(refusal.value) or "known are" in str(refusal.value)


def test_clear_text_on_demand() -> None:
    """
    A password goes over the network in clear text only when the DSN says so.
    """
    assert parse_dsn(f"http://u:{SECRET}@ch.internal?allow_insecure=1").password == SECRET


def test_no_password_in_repr() -> None:
    """
    Neither `repr` nor `str` shows a password.
    """
    dsn = parse_dsn(f"https://u:{SECRET}@host")

    assert SECRET not in f"{dsn!r} {dsn}"


def test_fingerprint() -> None:
    """
    A rotated password finds the same journal; another database does not.
    """
    first, rotated, other = (parse_dsn(f"https://u:{end}") for end in ("1@host/a", "2@host/a", "1@host/b"))

    assert first.fingerprint == rotated.fingerprint != other.fingerprint


def test_journal_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An embedded ledger keeps its journal inside, a server's is in the state directory, and a setting wins over both.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    server = parse_dsn("https://host/db")
    chosen = Settings(journal_dir=tmp_path / "mine")

    assert Path("/a/journal") == parse_dsn("chdb:///a").journal_dir(Settings())
    assert tmp_path / "otel-llmcost" / "journal" / server.fingerprint == server.journal_dir(Settings())
    assert tmp_path / "mine" / server.fingerprint == server.journal_dir(chosen)
    with pytest.raises(SettingsError, match="memory keeps no journal"):
        parse_dsn("chdb://memory").journal_dir(Settings())


def test_light_import() -> None:
    """
    The application side reads a DSN without loading a database client or an engine.
    """
    program = "import otel_llmcost.ledger, sys; sys.exit(any(m in sys.modules for m in ('clickhouse_connect', 'chdb')))"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
