"""What the doctor says: one thing that is well, doubtful or wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity: TypeAlias = Literal["problem", "warning", "ok"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "warning", "ok")
"""`problem`: money is missing or will be. `warning`: a cost may be off, or has no owner. The worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    subject: str
    """What it is about, in few words: a setting, an instrumentation, a model."""
    what: str
    """What was found, in a sentence."""
    fix: str = ""
    """What to do next; where all is well, what could be better still, or ""."""
    snippet: str = ""
    """Lines to copy that carry out the fix."""
    link: str = ""
