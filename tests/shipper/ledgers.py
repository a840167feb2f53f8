"""A ledger in memory that stores once per token, as ClickHouse does, and fails when and how a test says."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable

from otel_llmcost.errors import LedgerRefused, LedgerUnavailable, LLMCostError

Fault = Callable[[int], LLMCostError | None]


class MemoryLedger:
    """
    Rows by table; `before` and `after` give the error, if any, of the n-th insert (from 0), before or after it stored,
    and `refuse` that of the numbers in it.
    """

    def __init__(self) -> None:
        self.rows: Counter[int] = Counter()
        self.batches: set[tuple[str, str]] = set()
        self.months: set[tuple[str, str]] = set()
        self.marks: list[tuple[str, str, str, str]] = []
        self.tokens: dict[str, bytes] = {}
        self.forgetful = False
        self.before: Fault = lambda _number: None
        self.after: Fault = lambda _number: None
        self.bad: set[int] = set()
        self.refuse: Callable[[set[int]], LLMCostError | None] = lambda _numbers: None
        self.unmarkable: LLMCostError | None = None
        self.inserts = 0
        self.lookups = 0
        self.closed = False
        self._lock = threading.RLock()

    def insert(self, table: str, payload: bytes, *, token: str) -> None:
        """
        Store the rows unless the token is known; refuse all of them if one is bad.
        """
        with self._lock:
            self._insert(table, payload, token)

    def _insert(self, table: str, payload: bytes, token: str) -> None:
        number, self.inserts = self.inserts, self.inserts + 1
        assert token == hashlib.sha256(payload).hexdigest(), "a token is bound to its bytes"
        if error := self.before(number):
            raise error
        rows = [json.loads(line) for line in payload.splitlines()]
        if self.bad & {row["n"] for row in rows}:
            raise LedgerRefused("Code: 27. Cannot parse input")
        if error := self.refuse({row["n"] for row in rows}):
            raise error
        if self.forgetful or token not in self.tokens:
            self.tokens[token] = payload
            self.rows.update(row["n"] for row in rows)
            self.batches |= {(table, row["batch_id"]) for row in rows}
            self.months |= {
                (row["batch_id"], row["timestamp"][:4] + row["timestamp"][5:7]) for row in rows if "timestamp" in row
            }
        if error := self.after(number):
            raise error

    def has_batch(self, table: str, batch_id: str, month: str = "") -> bool:
        """
        Tell whether rows of the batch are stored.
        """
        self.lookups += 1
        return (table, batch_id) in self.batches and (not month or (batch_id, month) in self.months)

    def mark_for_repair(self, table: str, month: str, batch_id: str, reason: str) -> None:
        """
        Remember the mark.
        """
        if self.unmarkable:
            raise self.unmarkable
        self.marks.append((table, month, batch_id, reason))

    def close(self) -> None:
        """
        Remember that it was closed.
        """
        self.closed = True

    @property
    def stored(self) -> list[int]:
        """
        The numbers of all stored rows, doubles included, in order.
        """
        return sorted(self.rows.elements())


def away(_number: int) -> LLMCostError:
    """
    Be away at every insert.
    """
    return LedgerUnavailable("no answer")


def once(at: int, error: LLMCostError) -> Fault:
    """
    Fail at one insert.
    """
    return lambda number: error if number == at else None


class Crash:
    """Counts the steps that change the disk, and dies at one of them, before or after it is done."""

    def __init__(self, at: int, *, done: bool) -> None:
        self.at, self.done, self.steps = at, done, 0

    def around(self, step: Callable[..., None]) -> Callable[..., None]:
        """
        Give a step that may be the last one.
        """

        def run(*arguments: object, **options: object) -> None:
            self.steps += 1
            if self.steps != self.at or self.done:
                step(*arguments, **options)
            if self.steps == self.at:
                raise KeyboardInterrupt

        return run
