"""
Segments in quarantine, and their way back: into the journal again, to be sent like any other.

What the ledger refuses again, or cannot be read, returns to quarantine by itself with a new reason. Copies of damaged
bytes stay: no row can be read from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_llmcost.journal.folder import Name, sync_folder

__all__ = ["Quarantined", "lost_text", "quarantined", "return_to_journal"]

_REASON: Final = ".reason"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file in quarantine."""

    path: Path
    reason: str
    """Why it is there, as it was written when it was set aside; "" where that was lost."""

    @property
    def home(self) -> Path | None:
        """Where it came from; None for what is no segment."""
        name = self.path.name
        if Name.parse(name) is None:  # kept beside another of its name: eight digits more
            name = name.rpartition(".")[0]
        return self.path.parent.parent / name if Name.parse(name) else None


def quarantined(journal: Path) -> list[Quarantined]:
    """List what is in the quarantine of a journal, by name."""
    folder = journal / "quarantine"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        Quarantined(file, _reason(file)) for file in files if file.suffix != _REASON and not file.name.startswith(".")
    ]


def lost_text(places: int) -> str:
    """Say how much of a journal no longer can be read; each place may have held more than one row."""
    return f"rows lost to damage on disk, and in no report: {places} or more"


def return_to_journal(journal: Path) -> list[str]:
    """
    Move the segments in quarantine back, durably; give their names in the journal. A segment whose name is taken there
    waits for the next time.

    Raises `OSError`.
    """
    returned: list[str] = []
    for each in quarantined(journal):
        if each.home is None or each.home.exists():
            continue
        each.path.rename(each.home)
        sync_folder(journal)
        _reason_file(each.path).unlink(missing_ok=True)
        returned.append(each.home.name)
    return returned


def _reason_file(path: Path) -> Path:
    return path.with_name(path.name + _REASON)


def _reason(path: Path) -> str:
    try:
        return _reason_file(path).read_text("utf-8").strip()
    except OSError:
        return ""
