"""
A segment that this process holds: its rows, and every way in which it may leave: shipped, split, merged or set aside.

Whoever holds a segment's lock may do these; nobody else can. Each is a step that a crash cannot halve: what it leaves
is sorted out by `adoption`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from otel_llmcost.errors import JournalError
from otel_llmcost.held import HeldFile
from otel_llmcost.journal.folder import Name, create, quarantine, sync_folder, write_all
from otel_llmcost.journal.frames import FORMAT_VERSION, Header, batch_of, frame, rebatch

__all__ = ["Segment"]


class Segment:
    """A segment that this process holds: complete, checked, and safe from every other process until let go."""

    def __init__(
        self,
        directory: Path,
        name: Name,
        file: HeldFile,
        header: Header,
        records: list[bytes],
        *,
        is_whole: bool = True,
    ) -> None:
        self._directory = directory
        self._name = name
        self._file = file
        self._header = header
        self._records = records
        self.is_whole = is_whole
        """False if some of its rows could not be read: what is left is not what was tried before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def path(self) -> Path:
        """The file, under its present name."""
        return self._directory / str(self._name)

    @property
    def table(self) -> str:
        """The table that the rows are for."""
        return self._name.table

    @property
    def month(self) -> str:
        """The month of every row, `YYYYMM`."""
        return self._name.month

    @property
    def state(self) -> str:
        """What happened to it so far, as in its name."""
        return self._name.state

    @property
    def created(self) -> float:
        """Epoch seconds of its first row."""
        return self._header.created

    @property
    def batch_id(self) -> str:
        """The id in its name."""
        return self._name.batch_id

    @property
    def batch_ids(self) -> list[str]:
        """The ids that the rows carry, by which a ledger knows them: the segment's own, or those of what was merged."""
        return list(dict.fromkeys(map(batch_of, self._records)))

    @property
    def records(self) -> Sequence[bytes]:
        """The rows, a line of JSON each."""
        return self._records

    @property
    def rows(self) -> int:
        """How many rows there are; at least one."""
        return len(self._records)

    @property
    def splits(self) -> int:
        """How often it was halved because the ledger refused it; 0 for what a journal wrote."""
        return self._header.splits

    @property
    def first_tried(self) -> int | None:
        """Epoch seconds of the first insert that was tried, or None."""
        return self._name.first_tried

    def payload(self) -> bytes:
        """Give all rows as JSON lines, byte for byte as they were appended."""
        return b"".join(self._records)

    def rename(self, state: str, *, durably: bool = True) -> None:
        """Put the segment into another state."""
        name = self._name.to(state)
        self.path.rename(self._directory / str(name))
        self._name = name
        if durably:
            sync_folder(self._directory)

    def mark_tried(self, now: float) -> None:
        """Record, durably and once, that an insert is about to be tried at `now` (epoch seconds)."""
        if self._name.first_tried is None:
            self.rename(f"tried-{max(0, int(now))}")

    def remove(self) -> None:
        """Delete the segment: its rows are in the ledger."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others have it. May be called twice."""
        self._file.let_go()

    def quarantine(self, reason: str) -> None:
        """Set the segment aside with a reason, for a person to look at."""
        quarantine(self.path, reason)
        self.release()

    def split(self) -> tuple[Segment, Segment]:
        """
        Replace a segment that the ledger refused by two halves, each a new batch; both are held by the caller.

        For a tried segment of two rows or more, none of them in the ledger. Removing the whole makes the halves valid,
        in one step: a crash before it leaves the whole, a crash after it the halves, never both.
        """
        middle = self.rows // 2
        with ExitStack() as held:  # should this fail half-way, the halves are let go, never deleted: adoption decides
            halves = self._part(self._records[:middle], held), self._part(self._records[middle:], held)
            sync_folder(self._directory)
            self.path.unlink()
            sync_folder(self._directory)
            held.pop_all()
        self.release()
        return halves

    def _part(self, records: list[bytes], held: ExitStack) -> Segment:
        return self.make(
            f"part-of-{self.batch_id}-{self.first_tried}",
            lambda batch_id: [rebatch(record, batch_id) for record in records],
            held,
            created=time.time(),
            splits=self.splits + 1,
        )

    def make(
        self, state: str, rows_of: Callable[[str], list[bytes]], held: ExitStack, *, created: float, splits: int
    ) -> Segment:
        """
        Write a new segment, durably but for its name, for the same table, month and ledger; `held` lets it go.

        `rows_of` gives its rows when it is told its batch id.
        """
        name, file = self._new_file(state)
        held.callback(file.let_go)
        header = Header(
            version=FORMAT_VERSION,
            table=self.table,
            month=self.month,
            ledger=self._header.ledger,
            batch_id=name.batch_id,
            created=created,
            splits=splits,
        )
        rows = rows_of(name.batch_id)
        write_all(file.descriptor, header.to_frame() + b"".join(map(frame, rows)))
        return Segment(self._directory, name, file, header, rows)

    def _new_file(self, state: str) -> tuple[Name, HeldFile]:
        for _ in range(100):  # whoever looks for orphans may lock a new file before we do
            name = Name(self.table, self.month, str(uuid.uuid4()), state)
            if file := create(self._directory / str(name)):
                return name, file
        raise JournalError(f"no segment can be made in {str(self._directory)!r}: something removes its new files")
