"""What a power loss may take: rows since the last maintenance, and nothing else, whenever it comes."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from otel_llmcost.errors import JournalError
from otel_llmcost.journal import Journal
from otel_llmcost.shipper import ship_once
from tests.journal.journal_rows import append
from tests.journal.losing_disk import LosingDisk, PowerLoss
from tests.shipper.ledgers import MemoryLedger

SEEDS = 40


def write_and_ship(
    journal: Journal, folder: Path, ledger: MemoryLedger, appended: list[int], durable: set[int]
) -> None:
    """Append, maintain, seal and ship, and keep account of it."""
    begun = time.time() + 1
    for second in range(4):
        for _ in range(3):
            append(journal, len(appended))
            appended.append(len(appended))
        journal.maintain(begun + 6 * second)  # every other one seals
        durable.update(appended)
        if second in (1, 3):
            ship_once(ledger, folder, fingerprint="test")
    append(journal, len(appended))
    appended.append(len(appended))
    journal.flush()
    durable.update(appended)
    ship_once(ledger, folder, fingerprint="test")


def test_power_loss_before_every_operation(tmp_path: Path) -> None:
    """
    Faults 44 and 45: with the power gone before any one open, write, rename, removal or fsync, and all that was not
    synced gone with it, every row of before the last maintenance is stored once, and none twice; also when the power
    fails between an acknowledgement and the removal, or between a rename and the fsync of its folder.
    """
    stop_at = 0
    while True:
        stop_at += 1
        ledger, appended, durable = MemoryLedger(), list[int](), set[int]()
        folder = tmp_path / f"{stop_at}"
        journal = Journal(folder, ledger="test", seal_seconds=5)
        with pytest.MonkeyPatch.context() as patch:
            disk = LosingDisk(folder, patch, stop_at=stop_at)
            try:
                write_and_ship(journal, folder, ledger, appended, durable)
                assert sorted(ledger.stored) == appended
                break
            except PowerLoss:
                rebooted = disk.after_power_loss(tmp_path / f"{stop_at}-rebooted", random.Random(stop_at))
        shipped = ship_once(ledger, rebooted, fingerprint="test")
        assert (shipped.left, shipped.stopped, shipped.refused) == (0, None, 0), stop_at
        assert max(ledger.rows.values(), default=1) == 1, stop_at
        assert durable <= {*ledger.stored} <= {*range(len(appended) + 1)}, stop_at
    assert stop_at > 60


@pytest.mark.parametrize("seed", range(SEEDS))
def test_power_loss_at_random(tmp_path: Path, seed: int) -> None:
    """
    Faults 39 and 45: in any order of appending, maintaining and shipping, with an fsync now and then that fails and loses
    what it was to keep: what one maintenance called durable survives the power loss, once.
    """
    chance = random.Random(seed)
    folder, ledger = tmp_path / "journal", MemoryLedger()
    journal = Journal(folder, ledger="test", seal_seconds=5, seal_rows=20)
    bad = tuple(chance.sample(range(1, 40), chance.randrange(4)))
    appended, durable, now = 0, 0, time.time() + 1
    with pytest.MonkeyPatch.context() as patch:
        disk = LosingDisk(folder, patch, bad_fsyncs=bad)
        for _ in range(150):
            act = chance.random()
            if act < 0.8:
                append(journal, appended)
                appended += 1
            elif act < 0.95:
                now += 1
                try:
                    journal.maintain(now)
                    durable = appended
                except JournalError as error:
                    assert "could not be made durable" in str(error)  # noqa: PT017  # it may succeed as well
            else:
                ship_once(ledger, folder, fingerprint="test")
        rebooted = disk.after_power_loss(tmp_path / "rebooted", chance)
    shipped = ship_once(ledger, rebooted, fingerprint="test")
    assert (shipped.left, shipped.stopped, shipped.refused) == (0, None, 0)
    assert max(ledger.rows.values(), default=1) == 1
    assert {*range(durable)} <= {*ledger.stored} <= {*range(appended)}
