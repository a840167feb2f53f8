"""
The product with one of its protections taken out, to prove that the chaos would notice.

Nothing here is a switch of the product: a mutant patches the process that it runs in, or the tables of its server.
"""

from __future__ import annotations

import re
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from urllib3 import PoolManager

from otel_llmcost.journal import Journal, Segment
from otel_llmcost.ledger import Ledger, transport
from otel_llmcost.ledger.tables import Tables

WINDOWED = (
    "llm_requests", "llm_adjustments", "spend_by_hour", "spend_by_customer_day", "spend_by_action_day",
    "spend_quantiles_by_day",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """What is taken out."""

    breaks: str
    """What the audit then finds: the name of a number of it."""
    patch: Callable[[], None] | None = None
    """Changes the process that produces or ships."""
    window: int | None = None
    """How many inserts a table remembers."""


def _believe_any_answer() -> None:
    transport._is_from_clickhouse = lambda _answer, _url: True


def _trust_the_tables() -> None:
    Tables.check = lambda _tables: None


def _change_on_the_wire(what: str, instead: str) -> Callable[[], None]:
    def change() -> None:
        urlopen = PoolManager.urlopen

        def urlopen_changed(pool: PoolManager, method: str, url: str, redirect: bool = True, **options: Any) -> Any:
            return urlopen(pool, method, re.sub(what, instead, url), redirect, **options)

        PoolManager.urlopen = urlopen_changed

    return change


def _make_a_token_for_each_try() -> None:
    insert = Ledger.insert

    def insert_anew(ledger: Ledger, table: str, payload: bytes, *, token: str) -> None:
        insert(ledger, table, payload, token=f"{token[:8]}{uuid.uuid4().hex}")

    Ledger.insert = insert_anew


def _remove_before_the_insert() -> None:
    Segment.mark_tried = lambda segment, _now: segment.path.unlink(missing_ok=True)


def _keep_rows_in_memory() -> None:
    append, flush, maintain = Journal.append, Journal.flush, Journal.maintain
    queue: deque[tuple[str, str, tuple[bytes, ...]]] = deque()

    def write(journal: Journal) -> None:
        while queue:
            table, month, rows = queue.popleft()
            append(journal, table, month, *rows)

    def write_and_flush(journal: Journal) -> int:
        write(journal)
        return flush(journal)

    def write_and_maintain(journal: Journal, now: float | None = None) -> int:
        write(journal)
        return maintain(journal, now)

    Journal.append = lambda _journal, table, month, *rows: queue.append((table, month, rows))
    Journal.flush = write_and_flush
    Journal.maintain = write_and_maintain


MUTANTS: dict[str, Mutant] = {
    # A retry of the same bytes is recognised without a token too, by the hash of what would be stored. What kills this
    # one: an adjustment's `adjusted_at` is filled in by the server, so the second try of the same bytes differs.
    "no token": Mutant(breaks="doubled", patch=_change_on_the_wire("&insert_deduplication_token=[^&]*", "")),
    "a new token for each try": Mutant(breaks="doubled", patch=_make_a_token_for_each_try),
    "no window": Mutant(breaks="doubled", window=0, patch=_trust_the_tables),
    "a window of 3 inserts": Mutant(breaks="doubled", window=3, patch=_trust_the_tables),
    "views forget": Mutant(
        breaks="rollups_minus_want",
        patch=_change_on_the_wire("(deduplicate_blocks_in_dependent_materialized_views)=1", r"\1=0"),
    ),
    "any answer counts": Mutant(breaks="lost", patch=_believe_any_answer),
    "removed before the insert": Mutant(breaks="lost", patch=_remove_before_the_insert),
    "rows kept in memory": Mutant(breaks="lost", patch=_keep_rows_in_memory),
}


def apply(variant: str) -> None:
    """Turn this process into the variant, if it is a mutant that lives here."""
    if (mutant := MUTANTS.get(variant)) and mutant.patch:
        mutant.patch()
