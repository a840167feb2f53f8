"""
The bytes of a segment: a header record, then one record per row, each `length u32, crc32 u32, payload` (little endian).

A row's payload is its JSON line, so that shipping slices the eight bytes off and moves the rest untouched. Every row
begins with its `batch_id`: that is what reading looks for to find the next whole record behind damaged bytes. Owns no
file; limits: a row is at most 1 MiB, a segment at most 256 MiB.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Final
from zlib import crc32

__all__ = [
    "FORMAT_VERSION",
    "HEAD",
    "MAX_HEADER_BYTES",
    "MAX_ROW_BYTES",
    "MAX_SEGMENT_BYTES",
    "ROW_OVERHEAD_BYTES",
    "Header",
    "Rows",
    "frame",
    "read",
    "read_header",
    "row_prefix",
]

FORMAT_VERSION: Final = 1
MAX_ROW_BYTES: Final = 1 << 20
MAX_SEGMENT_BYTES: Final = 1 << 28
"""Larger files are never ours: a segment is sealed at a quarter of this."""

HEAD: Final = struct.Struct("<II")
"""Length of the payload and its crc32."""
_MAGIC: Final = "otel-llmcost journal"
MAX_HEADER_BYTES: Final = 4096
_ROW_START: Final = b'{"batch_id":"'
_PREFIX_BYTES: Final = len(_ROW_START) + 36 + len(b'",')
ROW_OVERHEAD_BYTES: Final = HEAD.size + _PREFIX_BYTES
"""What a record has beyond the row that was appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a segment says of itself; `None` from `read` means that nothing of it could be trusted."""

    version: int
    table: str
    month: str
    """`YYYYMM`, the partition of every row."""
    ledger: str
    """Fingerprint of the ledger that the rows are for."""
    batch_id: str
    created: float
    """Epoch seconds."""
    splits: int = 0
    """How often the segment was halved because the ledger refused it."""

    def to_frame(self) -> bytes:
        """Write the header as a record."""
        fields = {"magic": _MAGIC, **{name: getattr(self, name) for name in Header.__slots__}}
        return frame(json.dumps(fields, separators=(",", ":")).encode() + b"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is in the bytes of a segment."""

    header: Header | None
    records: list[bytes]
    """The JSON lines of all good records, in order."""
    damaged: list[tuple[int, int]]
    """Byte ranges that hold rows which can no longer be read."""
    torn_at: int | None
    """Where a last, half-written record begins: its `append` never returned."""


def frame(payload: bytes) -> bytes:
    """Put length and checksum before a payload."""
    return HEAD.pack(len(payload), crc32(payload)) + payload


def row_prefix(batch_id: str) -> bytes:
    """Give the bytes that replace the opening brace of a row."""
    return _ROW_START + batch_id.encode() + b'",'


def rebatch(record: bytes, batch_id: str) -> bytes:
    """Give the same row under another batch."""
    return row_prefix(batch_id) + record[_PREFIX_BYTES:]


def batch_of(record: bytes) -> str:
    """Give the batch that a row was first written to."""
    return record[len(_ROW_START) : len(_ROW_START) + 36].decode()


def read(data: bytes) -> Rows:
    """Read a whole segment; never raises on any bytes."""
    header = read_header(data)
    records: list[bytes] = []
    damaged: list[tuple[int, int]] = []
    position = _read_run(data, (_record_end(data, 0) if header else None) or 0, records)
    while position < len(data):
        found = _next_row(data, position + 1)
        damaged.append((position, found))
        position = _read_run(data, found, records)
    torn_at = None
    if damaged and damaged[-1][1] == len(data) and _is_torn(data[damaged[-1][0] :]):
        torn_at = damaged.pop()[0]
    return Rows(header=header, records=records, damaged=damaged, torn_at=torn_at)


def _read_run(data: bytes, position: int, records: list[bytes]) -> int:
    """Append the good records from `position` on, and give the end of the last: one pass, the cost of shipping."""
    unpack, head_bytes, last = HEAD.unpack_from, HEAD.size, len(data) - HEAD.size
    while position < last:
        length, checksum = unpack(data, position)
        start = position + head_bytes
        record = data[start : start + length]
        if crc32(record) != checksum or len(record) != length or not record.startswith(_ROW_START):
            break
        records.append(record)
        position = start + length
    return position


def read_header(data: bytes) -> Header | None:
    """Read what a segment says of itself, from its first `MAX_HEADER_BYTES` or more; None if it cannot be trusted."""
    end = _record_end(data, 0)
    if end is None or end > MAX_HEADER_BYTES:
        return None
    try:
        fields = json.loads(data[HEAD.size : end])
        if fields.pop("magic") != _MAGIC:
            return None
        return Header(**{name: fields[name] for name in Header.__slots__})
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _record_end(data: bytes, position: int) -> int | None:
    start = position + HEAD.size
    if start > len(data):
        return None
    length, checksum = HEAD.unpack_from(data, position)
    end: int = start + length
    # length 0 with checksum 0 is a valid record in form: it is what zero-filled blocks look like after a power loss
    if not length or end > len(data) or crc32(data[start:end]) != checksum:
        return None
    return end


def _next_row(data: bytes, position: int) -> int:
    """Find the next whole row at or after `position`. Inside a JSON string the mark cannot occur: its quotes differ."""
    found = data.find(_ROW_START, position + HEAD.size)
    while found >= 0:
        if _record_end(data, found - HEAD.size) is not None:
            return found - HEAD.size
        found = data.find(_ROW_START, found + 1)
    return len(data)


def _is_torn(tail: bytes) -> bool:
    """Tell a half-written record (or zeros) from one that was whole once and is damaged now."""
    if not tail.strip(b"\0"):
        return True
    whole = len(tail) >= HEAD.size and HEAD.size + HEAD.unpack_from(tail)[0] <= len(tail)
    return not whole and b"}\n" not in tail
