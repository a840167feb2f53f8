"""Numbered rows: how tests write them, one or many, and what a test remembers of each."""

from __future__ import annotations

from collections.abc import Iterable

from otel_llmcost.errors import JournalError
from otel_llmcost.journal import Journal


def append(journal: Journal, number: int, *, table: str = "llm_requests", month: str = "202611") -> None:
    """
    Append one row that holds its number.
    """
    journal.append(table, month, b'{"n":%d}' % number)


def append_each(journal: Journal, numbers: Iterable[int]) -> tuple[list[int], list[JournalError]]:
    """
    Append rows; give the numbers that the journal took, and the error for each one that it did not.
    """
    kept, errors = [], []
    for number in numbers:
        try:
            append(journal, number)
            kept.append(number)
        except JournalError as error:
            errors.append(error)
    return kept, errors
