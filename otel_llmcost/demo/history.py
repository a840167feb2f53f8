"""
Weeks of a company's requests in the demo's ledger, through the real pipeline: span, processor, journal, shipper.

Two processes make the spans, each with its own journal segments and every second day; this one owns the ledger, ships
while they work, and has no Python fork to fear: they are spawned. The same seed and instant give the same rows.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from otel_llmcost.demo.days import Calendar, generator, plan, works_of
from otel_llmcost.demo.sending import Sender
from otel_llmcost.demo.world import CONTRACT, DAYS
from otel_llmcost.errors import JournalError
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.ledger import Ledger, migrations, parse_dsn
from otel_llmcost.pricing import Pricer
from otel_llmcost.reports.session import connect_when_free
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ship_once

__all__ = ["history", "open_exporter", "settings_of"]

_PROCESSES: Final = 2
_CARD: Final = "contract.yaml"
_ROW_BYTES: Final = 2_000
"""More than any of the history's rows: so much room has the journal, if shipping should not keep up."""
_WAIT_SECONDS: Final = 30.0
_ROUND_SECONDS: Final = 0.5
_COLLECT_EVERY: Final = 100_000
"""Of objects that make Python look for garbage: there is next to none, and looking costs a fifth of the time."""


def settings_of(folder: Path) -> Settings:
    """Give the settings of the ledger in `folder`: whatever the environment says, with the world's contract alone."""
    card = folder / _CARD
    return Settings(dsn=f"chdb://{folder}", rate_cards=(card,) if card.is_file() else ())


def open_exporter(settings: Settings) -> ClickHouseSpanExporter:
    """Open the way into the ledger once the prices are there: nothing here is in a hurry to be unpriced."""
    pricer = Pricer.from_settings(settings)
    pricer.wait()
    return ClickHouseSpanExporter(settings=settings, pricer=pricer)


def history(
    folder: Path, requests: int, seed: int, done: Callable[[int], None], *, now: datetime | None = None
) -> Calendar:
    """
    Send the history's requests and store them in the embedded ledger in `folder`; give its days.

    `done` hears how many more are stored. Raises `JournalError` when a process that makes them fails, `LedgerBusy` and
    `LedgerError`.
    """
    calendar = Calendar(now or datetime.now(UTC))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _CARD).write_text(_contract(calendar))
    with (
        _producers(folder, requests, seed, calendar) as producers,
        connect_when_free(parse_dsn(f"chdb://{folder}"), _WAIT_SECONDS) as ledger,
    ):
        migrations.apply(ledger)
        is_over = False
        while not is_over:
            is_over = not any(each.is_alive() for each in producers)  # asked first: what they left is shipped below
            if failed := [each.exitcode for each in producers if each.exitcode]:
                raise JournalError(
                    f"a process that makes the demo's history ended with {failed[0]}: its error, if it had one, is above. "
                    "Run the demo again"
                )
            _ship(ledger, folder, done)
            if not is_over:
                time.sleep(_ROUND_SECONDS)
    return calendar


def _contract(calendar: Calendar) -> str:
    since = calendar.midnight + timedelta(days=CONTRACT.day)
    return (
        f"contract: {CONTRACT.name}\nprovider: {CONTRACT.model.provider}\n\ndiscounts:\n  - name: Volume agreement\n"
        f"    match: {CONTRACT.model.name}\n    percent_off: {CONTRACT.percent_off}\n    from: {since:%Y-%m-%dT%H:%M:%SZ}\n"
    )


def _ship(ledger: Ledger, folder: Path, done: Callable[[int], None]) -> None:
    def count(table: str, lines: bytes) -> None:
        if table == "llm_requests":
            done(lines.count(b"\n"))

    directory = ledger.dsn.journal_dir(settings_of(folder))
    shipped = ship_once(ledger, directory, fingerprint=ledger.dsn.fingerprint, on_shipped=count, merging=True)
    if shipped.stopped is not None:
        raise shipped.stopped


@contextmanager
def _producers(folder: Path, requests: int, seed: int, calendar: Calendar) -> Iterator[Sequence[BaseProcess]]:
    """Run the processes that make the spans, and end them with whatever ends this."""
    context = multiprocessing.get_context("spawn")
    producers = [
        context.Process(target=_produce, args=(folder, requests, seed, calendar.now, part), daemon=True)
        for part in range(_PROCESSES)
    ]
    try:
        for each in producers:
            each.start()
        yield producers
    finally:
        for each in producers:
            if each.pid is not None:
                each.terminate()
                each.join()


def _produce(folder: Path, requests: int, seed: int, now: datetime, part: int) -> None:
    """Make the spans of every so many days, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends us
    gc.set_threshold(_COLLECT_EVERY)
    calendar = Calendar(now)
    settings = settings_of(folder)
    room = max(settings.journal_max_bytes, requests * _ROW_BYTES)
    sender = Sender(open_exporter(replace(settings, journal_max_bytes=room)))
    cells = plan(requests, calendar)
    parent = multiprocessing.parent_process()
    for day in range(-DAYS + part, 1, _PROCESSES):
        if parent is not None and not parent.is_alive():
            return  # killed: nobody waits for the rest
        sender.draw_ids_from(generator(seed, f"{day}/ids"))
        for work in works_of(day, cells, seed, calendar):
            sender.send(work)
    sender.close()
