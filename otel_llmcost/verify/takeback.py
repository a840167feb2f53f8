"""
Charges taken back: rows of `llm_adjustments` with the opposite sign, each under the dimensions and instant of what it takes back.

Each is an insert of its own, whose batch and token are made of the charge, and of how often the same was taken back before:
the same take-back sent again, by whoever and beside whichever others, is stored once. Limits: that costs a tenth of a second
each, so ten thousand copies take a quarter of an hour or more.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import orjson

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import encode_row
from otel_llmcost.verify.duplicates import Row, TakeBack

__all__ = ["take_back"]

_BATCHES: Final = uuid.UUID("6f6c6d63-7265-5061-8972-74616b656261")
"""The namespace of our batches' ids."""
_NOT_OF_THE_CHARGE: Final = frozenset(
    {"batch_id", "adjusted_at", "taken_before", "all_copies", "all_cost_usd", "all_missing", "missing_cost_usd"}
)


def take_back(ledger: Ledger, charges: Sequence[TakeBack]) -> None:
    """Store the take-backs, one insert each: two repairs may have found different ones. Raises `LedgerError`."""
    for each in charges:
        row = _row(each)
        content = orjson.dumps((row, each.taken_before))
        batch_id = str(uuid.uuid5(_BATCHES, hashlib.sha256(content).hexdigest()))
        payload = encode_row({"batch_id": batch_id, **row})
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
