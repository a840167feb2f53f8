"""An embedded ledger is known by what is in its folder, and is nobody's but its owner's."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_llmcost.errors import LedgerBusy, SettingsError
from otel_llmcost.ledger import connect, parse_dsn
from otel_llmcost.ledger.embedded import OwnerLock


def test_a_ledger_by_another_name(tmp_path: Path) -> None:
    """
    A link to an embedded ledger, and the same folder moved, name the same ledger; another folder does not.
    """
    (tmp_path / "link").symlink_to("real")
    real = parse_dsn(f"chdb://{tmp_path}/real").fingerprint
    linked = parse_dsn(f"chdb://{tmp_path}/link").fingerprint
    (tmp_path / "real").rename(tmp_path / "moved")
    moved = parse_dsn(f"chdb://{tmp_path}/moved").fingerprint

    assert real == linked == moved != parse_dsn(f"chdb://{tmp_path}/real").fingerprint


def test_parsing_makes_nothing(tmp_path: Path) -> None:
    """
    To read a DSN looks at no folder and makes none.
    """
    parse_dsn(f"chdb://{tmp_path}/ledger")

    assert not (tmp_path / "ledger").exists()


def test_all_who_come_first_agree(tmp_path: Path) -> None:
    """
    Whoever comes first names the ledger, also when many do at once, or one died before it had written the id.
    """
    (tmp_path / "id").touch()
    dsn = parse_dsn(f"chdb://{tmp_path}")
    with ThreadPoolExecutor(16) as pool:
        found = {*pool.map(lambda _: dsn.fingerprint, range(64))}

    assert found == {(tmp_path / "id").read_text().strip()}


def test_an_id_that_is_none(tmp_path: Path) -> None:
    """
    A folder whose id is damaged is refused by name, never given a new one.
    """
    (tmp_path / "id").write_text("nonsense")

    with pytest.raises(SettingsError, match="is not the id of a ledger"):
        _ = parse_dsn(f"chdb://{tmp_path}").fingerprint


def test_a_new_ledger_is_private(tmp_path: Path) -> None:
    """
    What a ledger makes is open to its own user alone, and what was there keeps its mode.
    """
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    assert parse_dsn(f"chdb://{tmp_path}/ledger").fingerprint
    assert parse_dsn(f"chdb://{there}").fingerprint
    connect(f"chdb://{tmp_path}/ledger").close()

    modes = {name: stat.S_IMODE((tmp_path / "ledger" / name).stat().st_mode) for name in (".", "id", "engine")}
    assert modes == {".": 0o700, "id": 0o600, "engine": 0o700}
    assert stat.S_IMODE(there.stat().st_mode) == 0o755


def test_a_forked_child_holds_no_lock(tmp_path: Path) -> None:
    """
    A ledger that was closed is free for the next owner, whatever children were forked while it was open.
    """
    lock = OwnerLock(tmp_path)
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        with pytest.raises(LedgerBusy):
            OwnerLock(tmp_path)
        lock.release()
        lock.release()
        OwnerLock(tmp_path).release()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """
    An owner that was killed leaves the ledger free, although a child that it forked lives on.
    """
    told, tell = os.pipe()
    owner = os.fork()
    if not owner:
        OwnerLock(tmp_path)
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        os.write(tell, b"%d" % child)
        time.sleep(60)
        os._exit(0)
    child = int(os.read(told, 20))
    try:
        time.sleep(0.2)  # the child closes its copy as its first act
        os.kill(owner, 9)
        os.waitpid(owner, 0)
        OwnerLock(tmp_path).release()
    finally:
        os.kill(child, 9)
        os.close(told)
        os.close(tell)
