"""What reports need of a ledger: answers to named questions, from an engine in this process or from its owner's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Protocol

__all__ = ["Answers", "questions"]

_READS: Final = re.compile(r"(--[^\n]*\n|\s)*(SELECT|WITH)\b")


class Answers(Protocol):
    """A ledger that can be asked; `Ledger` and `LoopbackLedger` are two."""

    def query(self, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """Run `sql/queries/<name>.sql`; give its rows as dicts. Raises `LedgerError`."""


@cache
def questions() -> frozenset[str]:
    """Name the queries that only read: the ones that an owner answers to other processes."""
    folder = files("otel_llmcost.ledger").joinpath("sql", "queries")
    return frozenset(
        file.name.removesuffix(".sql")
        for file in folder.iterdir()
        if file.name.endswith(".sql") and _READS.match(file.read_text("utf-8"))
    )
