"""
Forgetting a customer: the id becomes `(forgotten)` in rows, adjustments and outcomes, and the rollup by customer is built
anew from them. No total changes, because no row goes.

Each step can be interrupted and the whole repeated: what is still there is found again. Ids are looked for by a salted
hash, because engines keep what they were asked. Limits: what other machines have not shipped yet arrives with the id
(repeat it then); backups, traces and logs elsewhere are not ours. A server removes the replaced files by itself, about
eight minutes later.
"""

from __future__ import annotations

import hashlib
import mmap
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Final

import orjson

from otel_llmcost.errors import LedgerError, ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.connection import read_sql
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.ownership import FORGOTTEN, OwnerHash, clean_value
from otel_llmcost.settings import Settings
from otel_llmcost.verify import rebuild_rollup

__all__ = ["Customer", "Trace", "find", "forget", "remains"]

_ROLLUP: Final = "spend_by_customer_day"
_CHANGES: Final = {
    "llm_requests": "forget_charges",
    "llm_adjustments": "forget_charges",
    "llm_outcomes": "forget_outcomes",
}
_POLL_SECONDS: Final = 0.2
_OLD_FILES_SECONDS: Final = 60.0
_AT_ONCE: Final = {
    "old_parts_lifetime": 0,
    "cleanup_delay_period": 1,
    "max_cleanup_delay_period": 1,
    "cleanup_delay_period_random_add": 0,
}
"""Settings of a table whose replaced files go a second after they are replaced."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows of one table and month that name the customer."""

    table: str
    month: str
    rows: int
    cost_usd: Decimal
    """Their cost, adjustments with their sign; 0 for outcomes."""


class Customer:
    """
    A customer to forget, by the id that the application uses: as it is stored plainly, and hashed where a key is set.

    Raises `ReportError` for a word of ours and for text that no owner can be.
    """

    def __init__(self, customer_id: str, settings: Settings) -> None:
        cleaned = clean_value(customer_id)
        if cleaned is None or cleaned in (UNATTRIBUTED, FORGOTTEN):
            raise ReportError(f"{customer_id!r} is no customer's id")
        stored = OwnerHash.from_settings(settings)
        names = ("customer_id", *stored.names)
        # As given too: a version that did not clean the customers of outcomes has hashed them like that.
        given = {cleaned, customer_id} if _is_storable(customer_id) else {cleaned}
        self.ids = frozenset(given | {stored.of(name, each) for name in names for each in given})
        salt = secrets.token_hex(16)
        digests = [hashlib.sha256((salt + each).encode()).hexdigest() for each in sorted(self.ids)]
        self.parameters: dict[str, object] = {"salt": salt, "digests": digests}


def _is_storable(text: str) -> bool:
    return text.encode("utf-8", "ignore").decode() == text


def find(ledger: Ledger, customer: Customer) -> tuple[Trace, ...]:
    """Look for the customer in every table and in the rollup; `()` when nothing is left."""
    rows = ledger.query("forget_find", customer.parameters)
    traces = (
        Trace(str(row["source"]), str(row["month"]), int(str(row["found_rows"])), Decimal(str(row["cost_usd"])))
        for row in rows
    )
    return tuple(sorted(traces, key=lambda trace: (trace.table, trace.month)))


def forget(ledger: Ledger, customer: Customer, settings: Settings) -> tuple[Trace, ...]:
    """
    Put `(forgotten)` in the place of the customer; give what names it still, because it arrived meanwhile.

    The journal must be shipped. Raises `LedgerError`, with what to do; then, and after any interruption, run it again.
    """
    ledger.refuse_on_cluster("forget a customer")
    found = find(ledger, customer)
    for table in sorted({trace.table for trace in found} & set(_CHANGES)):
        sql = Template(read_sql("queries", _CHANGES[table])).substitute(table=table)
        ledger.command(sql, customer.parameters, what=f"forget a customer in {table}")
    _wait_for_changes(ledger)
    # Months by what was found before the rows changed, the rollup's own included: an interrupted run left them there.
    for month in sorted({trace.month for trace in found if trace.table != "llm_outcomes"}):
        rebuild_rollup(ledger, _ROLLUP, month, settings=settings)
    if ledger.dsn.path is not None:
        _remove_old_files(ledger)
    return find(ledger, customer)


def remains(directory: Path, customer: Customer) -> Iterator[Path]:
    """Give the files of a journal, quarantine included, that name the customer: nobody has shipped them."""
    needles = [orjson.dumps(each) for each in customer.ids]
    for file in sorted(directory.rglob("*")):
        try:
            if file.is_file() and not file.is_symlink() and _holds(file, needles):
                yield file
        except FileNotFoundError:  # shipped while we looked
            continue


def _holds(file: Path, needles: list[bytes]) -> bool:
    with file.open("rb") as opened:
        if not opened.seek(0, 2):
            return False
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(needle) >= 0 for needle in needles)


def _wait_for_changes(ledger: Ledger) -> None:
    """Wait until every row is changed, however long that takes: a server may be asked for ten seconds at a time."""
    while unfinished := ledger.query("forget_unfinished", {"tables": list(_CHANGES)}):
        for row in unfinished:
            if row["reason"]:
                raise LedgerError(
                    f"{row['table']} cannot be changed: {str(row['reason'])[:300]}. Mend that, and run this again"
                )
        time.sleep(_POLL_SECONDS)


def _remove_old_files(ledger: Ledger) -> None:
    """
    Let an engine of ours remove the files that it replaced now, as it does when it loads a table: it may not run for the
    eight minutes that it keeps them. A table that stays detached, because the process died here, is back at the next start.
    """
    tables = [*_CHANGES, _ROLLUP]
    for row in ledger.query("forget_old_files", {"tables": tables}):
        table = str(row["table"])
        for statement in (
            f"ALTER TABLE {table} MODIFY SETTING {', '.join(f'{name} = {n}' for name, n in _AT_ONCE.items())}",
            f"DETACH TABLE {table}",
            f"ATTACH TABLE {table}",
        ):
            ledger.command(statement, what=f"remove replaced files of {table}")
    deadline = time.monotonic() + _OLD_FILES_SECONDS
    while ledger.query("forget_old_files", {"tables": tables}):
        if time.monotonic() > deadline:
            raise LedgerError("the engine still keeps replaced files that name the customer: run this again")
        time.sleep(_POLL_SECONDS)
    for table in tables:  # all of them: an interrupted run left the setting on one
        ledger.command(
            f"ALTER TABLE {table} RESET SETTING {', '.join(_AT_ONCE)}", what=f"keep files of {table} as before"
        )
