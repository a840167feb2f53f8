"""
What this process did and failed to do, as plain integers.

One object per process; metrics, `doctor` and tests read it. Adding is one dict operation under a lock, so that
threads never lose a count; the hot path counts at most twice per request.
"""

from __future__ import annotations

import os
import threading

__all__ = ["COUNTERS", "Counters"]


class Counters:
    """Named integers that only grow. Names are dotted: `requests.priced`, `fence.on_end`, `journal.refused`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        """Add `count` to the counter `name`."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + count  # half the time of a `Counter`

    def __getitem__(self, name: str) -> int:
        return self._counts.get(name, 0)

    def snapshot(self) -> dict[str, int]:
        """Give a copy of all counters, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        """Forget everything: after a fork, and in tests."""
        self._lock = threading.Lock()
        self._counts = {}


COUNTERS = Counters()
"""The counters of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=COUNTERS.reset)
