"""A journal emptied once, and what is left of it said: for maintenance windows, batch jobs and the end of a container."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_llmcost.journal import leftovers, segment_names
from otel_llmcost.shipper.rounds import RowLedger, Shipped, ship_once

__all__ = ["Drained", "drain"]

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a drain did: all its rounds together."""

    segments: int
    rows: int
    found: int
    refused: int
    unfinished: int
    """Segments that living processes still write: theirs to seal."""
    left: int
    """Segments that should have gone and did not."""
    reasons: tuple[str, ...]
    """Why they did not, a sentence each."""


def drain(
    ledger: RowLedger,
    directory: Path,
    *,
    fingerprint: str,
    wait_seconds: float,
    on_shipped: Callable[[str, bytes], None] | None = None,
) -> Drained:
    """
    Ship until nothing sealed is left, the ledger says no, or others have kept the rest for `wait_seconds`.

    Raises `OSError` if the folder cannot be listed.
    """
    rounds: list[Shipped] = []
    deadline = time.monotonic() + wait_seconds
    while True:
        shipped = ship_once(ledger, directory, fingerprint=fingerprint, on_shipped=on_shipped, merging=True)
        rounds.append(shipped)
        if shipped.stopped is not None or not shipped.left or time.monotonic() >= deadline:
            break
        if shipped.segments:
            deadline = time.monotonic() + wait_seconds
        else:
            time.sleep(_POLL_SECONDS)
    return Drained(
        segments=sum(each.segments for each in rounds),
        rows=sum(each.rows for each in rounds),
        found=sum(each.found for each in rounds),
        refused=sum(each.refused for each in rounds),
        unfinished=sum(name.state == "open" for name in segment_names(directory)),
        left=shipped.left,
        reasons=tuple(_reasons(shipped, directory, fingerprint)),
    )


def _reasons(last: Shipped, directory: Path, fingerprint: str) -> Iterator[str]:
    if not last.left and last.stopped is None:
        return
    there = leftovers(directory, fingerprint)
    yield from there.reasons(directory)
    if last.stopped is not None:
        yield str(last.stopped)
    elif there.unshipped:
        yield (
            f"segments that another process has in hand, or that cannot be read: {there.unshipped}. Try again in a minute, "
            "and look at what `otel-llmcost doctor` says"
        )
