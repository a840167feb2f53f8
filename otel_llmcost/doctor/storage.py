"""Whether rows are safe on their way: the journal's backlog, its quarantine, and the room that its disk has left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_llmcost.doctor.finding import Finding
from otel_llmcost.errors import JournalError
from otel_llmcost.journal import Backlog, backlog, leftovers
from otel_llmcost.journal.filesystems import network_filesystem
from otel_llmcost.journal.folder import folder_bytes, prepare
from otel_llmcost.ledger import Dsn
from otel_llmcost.settings import Settings

__all__ = ["journal_findings"]

_LATE_S: Final = 600
"""A shipper that gets through is never this far behind."""
_SCARCE: Final = 256 << 20
_MIB: Final = 1 << 20


def journal_findings(place: Dsn, settings: Settings) -> Iterator[Finding]:
    """Look at the journal of a ledger, without taking a lock and without making anything that it is in."""
    if place.path is not None and not os.path.exists(place.path):
        yield from _disk(settings.journal_dir or place.path, settings)
        yield Finding(severity="ok", subject="journal", what=f"{place} is not there yet: nothing waits")
        return
    if place.path is not None and not os.access(place.path, os.R_OK | os.W_OK | os.X_OK):
        what = f"{place.path} belongs to user {place.path.stat().st_uid}, and user {os.geteuid()} may not use it"
        yield Finding(severity="problem", subject="journal", what=what, fix="Run the doctor as the application.")
        return
    directory = place.journal_dir(settings)
    yield from _privacy(place)
    yield from _disk(directory, settings)
    if kind := network_filesystem(directory):
        yield Finding(
            severity="problem",
            subject="journal",
            what=f"{directory} is on a network file system ({kind}): neither its locks nor an fsync can be relied on",
            fix="Set OTEL_LLMCOST_JOURNAL_DIR to a folder on a local disk.",
        )
        return
    if not directory.exists():
        yield Finding(severity="ok", subject="journal", what=f"{directory} is not there yet: nothing waits")
        return
    try:
        prepare(directory)
    except JournalError as error:
        what, _, remedy = str(error).rpartition(": ")
        yield Finding(severity="problem", subject="journal", what=what, fix=remedy)
        return
    waits = backlog(directory)
    yield _backlog(waits, directory, place, settings)
    for reason in leftovers(directory, place.fingerprint).reasons(directory):
        fix = "Do as it says: the rows in them are in no report."
        yield Finding(severity="problem", subject="journal", what=reason, fix=fix)
    if waits.quarantined:
        yield Finding(
            severity="problem",
            subject="quarantine",
            what=f"files that could not be shipped, and are in no report: {waits.quarantined}, in {directory / 'quarantine'}",
            fix="Read the .reason beside each; when its cause is gone: otel-llmcost repair --quarantine --apply. A file named "
            "damaged-… has no row that can be read: remove it.",
        )


def _privacy(place: Dsn) -> Iterator[Finding]:
    if place.path is not None and place.path.stat().st_mode & 0o007:
        yield Finding(
            severity="warning",
            subject="ledger",
            what=f"{place.path} is open to every user of this machine: owners and costs are in it",
            fix=f"chmod 700 {place.path}",
        )


def _backlog(waits: Backlog, directory: Path, place: Dsn, settings: Settings) -> Finding:
    size, cap = folder_bytes(directory), settings.journal_max_bytes
    text = f"segments that wait: {waits.segments} ({waits.bytes / _MIB:.1f} MiB), the oldest {waits.oldest_seconds:.0f} s old"
    if size >= cap * 0.8:
        return Finding(
            severity="problem",
            subject="journal",
            what=f"{text}: {size / cap:.0%} of OTEL_LLMCOST_JOURNAL_MAX_BYTES; when it is full, the newest rows are refused",
            fix="Bring the ledger back, or raise OTEL_LLMCOST_JOURNAL_MAX_BYTES.",
        )
    if place.kind == "http" and waits.oldest_seconds > _LATE_S:
        return Finding(
            severity="warning",
            subject="journal",
            what=f"{text}: {_sender(settings)} does not get through to {place}, or has ended",
            fix="If the ledger answers here, they were shipped just now; else see the finding about it.",
        )
    if not waits.segments:
        return Finding(severity="ok", subject="journal", what="nothing waits")
    return Finding(severity="ok", subject="journal", what=f"{text}, before this look")


def _sender(settings: Settings) -> str:
    return "the application's shipper" if settings.ship else "`otel-llmcost ship`, which must run on this machine,"


def _disk(directory: Path, settings: Settings) -> Iterator[Finding]:
    existing = next(folder for folder in (directory, *directory.parents) if os.path.exists(folder))
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        what = f"{existing} cannot be looked at: {error.strerror}"
        yield Finding(severity="problem", subject="disk", what=what, fix="Run the doctor as the application.")
        return
    text = f"{free / _MIB:,.0f} MiB are free for the journal in {existing}"
    if free < _SCARCE:
        yield Finding(
            severity="problem",
            subject="disk",
            what=f"{text}: on a full disk rows are refused and counted",
            fix="Free some, or move the journal with OTEL_LLMCOST_JOURNAL_DIR.",
        )
    elif free < settings.journal_max_bytes:
        yield Finding(
            severity="warning",
            subject="disk",
            what=f"{text}, less than the {settings.journal_max_bytes / _MIB:,.0f} MiB that it may grow to",
            fix="Free some, lower OTEL_LLMCOST_JOURNAL_MAX_BYTES, or move the journal with OTEL_LLMCOST_JOURNAL_DIR.",
        )
    else:
        yield Finding(severity="ok", subject="disk", what=text)
