"""What `verify` says: one thing that was checked, whether it is as it should be, its figures, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["APPLY", "Check"]

APPLY = "otel-llmcost repair shows what it would do; with --apply it does it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked."""

    name: str
    """
    rollups, copies, corrections, responses, outcomes, prices, marks, journal, quarantine, damaged, statuses, schema, rates,
    clocks or batches.
    """
    state: Literal["ok", "problem"]
    what: str
    """What was found, in a sentence."""
    fix: str = ""
    """What to do next; "" where all is well."""
    figures: tuple[Mapping[str, object], ...] = field(default=())
    """The same in numbers, for programs; money is exact decimal text."""
