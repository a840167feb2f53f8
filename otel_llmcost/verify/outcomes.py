"""
Outcomes that a restored journal stored again: whole batches that are there more often than once, and what takes them back.

An outcome has no id, and two may be equal; so only a batch in which every one is there twice counts as stored again, as
for corrections. It is taken back by the same outcomes with the opposite value, in a batch that names it. Limits: of a
batch of which only a part came again, nothing can be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast

from otel_llmcost.ledger import Answers, Ledger
from otel_llmcost.ledger.row import encode_row
from otel_llmcost.model import EXACT
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.verify.checks import APPLY, Check

__all__ = ["RepeatedBatch", "find_repeated_outcomes", "outcome_check", "outcome_steps", "take_outcomes_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedBatch:
    """A batch of outcomes that is there more often than once."""

    batch_id: str
    day: str
    outcomes: int
    """How many it has, once."""
    value_once_usd: Decimal
    times: int
    """How often it is there."""
    taken: int
    """How many copies were taken back earlier."""

    @property
    def too_many(self) -> int:
        """How many copies are to be taken back."""
        return self.times - 1 - self.taken

    @property
    def value_usd(self) -> Decimal:
        """What those add to the value of their actions."""
        return EXACT.multiply(self.value_once_usd, Decimal(self.too_many))


def find_repeated_outcomes(ledger: Answers, period: Period) -> tuple[RepeatedBatch, ...]:
    """Find the batches of outcomes that are there too often, oldest first; at the most 10,000. Raises `LedgerError`."""
    rows = ledger.query("verify_outcomes", {"since": period.since, "until": period.until})
    return tuple(
        RepeatedBatch(
            batch_id=str(row["batch_id"]),
            day=str(row["day"]),
            outcomes=int(str(row["once"])),
            value_once_usd=Decimal(str(row["value_once_usd"])),
            times=int(str(row["times"])),
            taken=int(str(row["taken"])) // int(str(row["once"])),
        )
        for row in rows
    )


def outcome_check(found: Sequence[RepeatedBatch]) -> Check:
    """Say how many outcomes are there too often, and what they add to the value of their actions."""
    if not found:
        return Check(name="outcomes", state="ok", what="no outcomes whose whole batch is there again")
    figures = tuple(
        {
            "batch_id": each.batch_id,
            "day": each.day,
            "outcomes": each.outcomes * each.too_many,
            "value_usd": exact_usd(each.value_usd),
        }
        for each in found
    )
    return Check(
        name="outcomes",
        state="problem",
        what=f"outcomes whose whole batch is there again: {_sum(found)} too much in action_margin",
        fix=APPLY,
        figures=figures,
    )


def outcome_steps(found: Sequence[RepeatedBatch]) -> Iterator[str]:
    """Say in a line for each batch what is taken back."""
    for each in found:
        yield (
            f"take back {each.outcomes * each.too_many:,} outcomes of {each.day}, value ${exact_usd(each.value_usd)}: "
            f"batch {each.batch_id} was stored {each.times} times"
        )


def take_outcomes_back(ledger: Ledger, found: Sequence[RepeatedBatch]) -> Iterator[str]:
    """Store the same outcomes with the opposite value; one insert for each copy. Raises `LedgerError`; then run it again."""
    for each in found:
        rows = ledger.query("outcomes_of", {"batch_id": each.batch_id, "times": each.times})
        payload = b"\n".join(line for row in rows for line in _undone(each.batch_id, row))
        for number in range(each.taken, each.times - 1):
            # By what it undoes, and which time it is: the same repair at two places at once undoes it once.
            token = hashlib.sha256(f"taken-back-{each.batch_id}-{number}".encode()).hexdigest()
            ledger.insert("llm_outcomes", payload, token=token)
    if found:
        yield f"taken back: outcomes that were stored again: {_sum(found)}"


def _undone(batch_id: str, row: Mapping[str, object]) -> list[bytes]:
    """Give the lines that take back what a batch says `outcomes` times."""
    line = encode_row(
        {
            "batch_id": f"taken-back-{batch_id}",
            "timestamp": f"{cast('datetime', row['timestamp']):%Y-%m-%d %H:%M:%S.%f}",
            **{name: row[name] for name in ("action", "action_id", "customer_id")},
            "value_usd": f"{cast('Decimal', row['value_usd']).copy_negate():f}",
        }
    )
    return [line] * int(str(row["outcomes"]))


def _sum(found: Sequence[RepeatedBatch]) -> str:
    outcomes = sum(each.outcomes * each.too_many for each in found)
    return f"{outcomes:,}, value ${exact_usd(sum_usd(each.value_usd for each in found))}"
