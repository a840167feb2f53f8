"""
Charges taken back: rows of `llm_adjustments` with the opposite sign, each under the dimensions and instant of what it takes back.

What is sent is made of the charges, and of how often the same were taken back before; so are its batch and token. The
same take-backs sent again, by whoever, are stored once, and once stored they are not found again.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Final

import orjson

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import encode_row
from otel_llmcost.verify.duplicates import Row, TakeBack

__all__ = ["take_back"]

_ROWS_AT_ONCE: Final = 10_000
_BATCHES: Final = uuid.UUID("6f6c6d63-7265-5061-8972-74616b656261")
"""The namespace of our batches' ids."""
_NOT_OF_THE_CHARGE: Final = frozenset({"batch_id", "adjusted_at", "taken_before", "all_copies", "all_cost_usd"})


def take_back(ledger: Ledger, charges: Sequence[TakeBack]) -> None:
    """Store the take-backs, one insert per month and ten thousand. Raises `LedgerError`; then run it again."""
    for _, group in groupby(sorted(charges, key=_order), key=_month):
        of_month = list(group)
        for start in range(0, len(of_month), _ROWS_AT_ONCE):
            _insert(ledger, of_month[start : start + _ROWS_AT_ONCE])


def _insert(ledger: Ledger, charges: Sequence[TakeBack]) -> None:
    rows = [_row(each) for each in charges]
    content = orjson.dumps([(row, each.taken_before) for row, each in zip(rows, charges, strict=True)])
    batch_id = str(uuid.uuid5(_BATCHES, hashlib.sha256(content).hexdigest()))
    payload = b"\n".join(encode_row({"batch_id": batch_id, **row}) for row in rows)
    ledger.insert("llm_adjustments", payload, token=hashlib.sha256(payload).hexdigest())


def _row(taken: TakeBack) -> dict[str, object]:
    return {
        **dict(_columns(taken.charge)),
        "sign": taken.sign,
        "of_trace_id": taken.of[0],
        "of_span_id": taken.of[1],
        "adjustment_reason": taken.reason,
    }


def _columns(charge: Row) -> Iterator[tuple[str, object]]:
    for name, value in charge.items():
        if name in _NOT_OF_THE_CHARGE:
            continue
        if isinstance(value, Decimal):
            yield name, f"{value:f}"
        elif isinstance(value, datetime):
            yield name, f"{value:%Y-%m-%d %H:%M:%S.%f}"
        else:
            yield name, value


def _order(taken: TakeBack) -> tuple[str, object, object]:
    return str(taken.charge["timestamp"]), taken.of, repr(taken.charge["batch_id"])


def _month(taken: TakeBack) -> str:
    return str(taken.charge["timestamp"])[:7]
