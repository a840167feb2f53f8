"""
Many small segments into few large ones, before they are shipped: an insert costs a server the same for 10 rows as for
10,000. Rows are kept byte for byte, each with the `batch_id` of the segment that it was first written to.

A row is in exactly one valid segment at every step, whoever dies where: the rename to `merged` makes the new segment
valid and the old ones void, and whoever adopts it deletes those before it can be shipped. Only segments that were never
tried are merged, because a token belongs to its bytes. Limits: one merge holds 200 files open and 64 MiB of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal.adoption import adopt
from otel_llmcost.journal.folder import Name, segment_names, sync_folder
from otel_llmcost.journal.frames import MAX_SEGMENT_BYTES
from otel_llmcost.journal.segment import Segment

__all__ = ["merge", "merge_small"]

MERGED_ROWS: Final = 65_536
MERGED_BYTES: Final = MAX_SEGMENT_BYTES // 4
MERGED_SEGMENTS: Final = 200
_MERGEABLE: Final = ("open", "sealed")


def merge_small(directory: Path, ledger: str) -> int:
    """
    Merge the sealed segments, and those of dead processes, that fill less than half of a large one; give how many went.

    Another process may do the same, or ship, at the same time. Raises `OSError`, on a full disk for one; what was to be
    merged is then as it was for whoever adopts it next.
    """
    merged = 0
    for names in _alike(directory):
        if len(names) > 1:
            merged += _merge_alike(directory, names, ledger)
    COUNTERS.add("journal.merged", merged)
    return merged


def merge(segments: Sequence[Segment]) -> Segment:
    """
    Put segments of one table and month, which the caller holds and nobody ever tried, into a new one, held by the caller.

    Raises `OSError`; the segments are let go either way.
    """
    first = segments[0]
    records = [record for segment in segments for record in segment.records]
    with ExitStack() as held:  # should this fail half-way, all are let go and none is deleted: adoption decides
        for segment in segments:
            held.callback(segment.release)
        created = min(segment.created for segment in segments)
        merged = first.make("merging", lambda _batch_id: records, held, created=created, splits=0)
        for segment in segments:
            segment.rename(f"into-{merged.batch_id}", durably=False)
        sync_folder(first.path.parent)  # each is void the moment that the new one is valid, also after a power loss
        merged.rename("merged")
        for segment in segments:
            segment.path.unlink()
        sync_folder(first.path.parent)  # before the new one can be shipped and removed, which would make them valid
        held.pop_all()
    for segment in segments:
        segment.release()
    return merged


def _alike(directory: Path) -> list[list[Name]]:
    """Give what may be merged, oldest first, by table and month."""
    alike: dict[tuple[str, str], list[Name]] = {}
    for name in segment_names(directory):
        if name.state in _MERGEABLE:
            alike.setdefault((name.table, name.month), []).append(name)
    return [*alike.values()]


def _merge_alike(directory: Path, names: list[Name], ledger: str) -> int:
    merged = 0
    with ExitStack() as held:
        batch: list[Segment] = []
        rows = size = 0
        for segment, segment_bytes in _small(directory, names, ledger):
            held.callback(segment.release)
            full = rows + segment.rows > MERGED_ROWS or size + segment_bytes > MERGED_BYTES
            if full or len(batch) == MERGED_SEGMENTS:
                merged += _merge_batch(batch)
                batch, rows, size = [], 0, 0
            batch.append(segment)
            rows += segment.rows
            size += segment_bytes
        merged += _merge_batch(batch)
    return merged


def _small(directory: Path, names: list[Name], ledger: str) -> Iterator[tuple[Segment, int]]:
    """Adopt what is small enough, one by one, with the size of its file; the caller lets each go."""
    for name in names:
        path = directory / str(name)
        try:
            size = path.lstat().st_size
        except FileNotFoundError:  # shipped meanwhile
            continue
        if size > MERGED_BYTES // 2:
            continue
        segment = adopt(path, ledger)
        if segment is None:
            continue
        if segment.rows > MERGED_ROWS // 2:
            segment.release()
        else:
            yield segment, size


def _merge_batch(batch: list[Segment]) -> int:
    if len(batch) < 2:
        for segment in batch:
            segment.release()
        return 0
    merge(batch).release()
    return len(batch)
