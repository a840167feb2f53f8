"""
Rows to bytes: one line of JSON each, and the two thirds of it that repeat remembered as bytes.

Who owns a request, where it was called and how it is priced is the same for many; only that is remembered, under the very
texts that it says. Tables are bounded, and have no lock.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

import orjson

from otel_llmcost.model import NONE, UNATTRIBUTED, Owner, Price, Priced, Request

__all__ = ["Row", "encode_row", "owner_columns", "site_columns"]

Row = dict[str, object]

_MAX_NAME: Final = 256
_OWNERS_KEPT: Final = 4096
_SITES_KEPT: Final = 1024


def encode_row(row: Row) -> bytes:
    """Give the row as one line of JSON. Text that no encoding has (lone surrogates) is replaced, never the row lost."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return orjson.dumps(_encodable(row))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(each) for each in value]
    return value


_owner_texts = attrgetter("team", "feature", "customer_id", "environment", "action", "source")
_owners_kept: dict[object, tuple[Row, bytes]] = {}


def owner_columns(owner: Owner) -> tuple[Row, bytes]:
    """Give the columns that repeat with every request of one owner, and their JSON for the middle of a row."""
    texts = _owner_texts(owner)
    known = _owners_kept.get(texts)
    if known is None:
        team, feature, customer_id, environment, action, source = texts
        row: Row = {
            "team": team or UNATTRIBUTED,
            "feature": feature or UNATTRIBUTED,
            "customer_id": customer_id or UNATTRIBUTED,
            "environment": environment or UNATTRIBUTED,
            "action": action or NONE,
        }
        if source:
            row["owner_source"] = source
        known = row, b"," + encode_row(row)[1:-1]
        _keep(_owners_kept, texts, known, _OWNERS_KEPT)
    return known


_ALWAYS: Final = frozenset({"provider", "model", "status"})
_CALL_TEXTS: Final = (
    *_ALWAYS,
    "dialect",
    "operation",
    "request_model",
    "usage_convention",
    "service_tier",
    "speed",
    "region",
    "error_type",
    "usage_gaps",
    "batch",
)
_call_texts = attrgetter(*_CALL_TEXTS)
_sites_kept: dict[object, tuple[Row, bytes]] = {}


def site_columns(request: Request, *, is_costed: bool) -> tuple[Row, bytes]:
    """Give the columns that repeat with every request of one call site, and their JSON for the end of a row."""
    price, span = request.price, request.span
    service = span.resource.get("service.name")
    key = (
        _call_texts(request.call),
        span.scope_name,
        service[:_MAX_NAME] if isinstance(service, str) else "",
        _price_texts(price, is_costed),
    )
    known = _sites_kept.get(key)
    if known is None:
        texts, scope, service, (status, reason, *provenance, missing) = key
        row: Row = {name: text for name, text in zip(_CALL_TEXTS, texts, strict=True) if text or name in _ALWAYS}
        optional = ("scope_name", scope), ("service_name", service), ("reason", reason), ("missing_rates", missing)
        row |= {name: value for name, value in optional if value}
        row["price_status"] = status
        row |= zip(_PROVENANCE, provenance, strict=False)
        known = row, b"," + encode_row(row)[1:]
        _keep(_sites_kept, key, known, _SITES_KEPT)
    return known


_PROVENANCE: Final = ("rate_id", "rate_source", "rate_version", "match_rule")


def _price_texts(price: Price, is_costed: bool) -> tuple[object, ...]:
    """Give status, reason, what `_PROVENANCE` names, if it has a cost, and the missing rates."""
    if not isinstance(price, Priced):
        return price.status, price.reason, ()
    if not is_costed:
        return "unpriced", "invalid_usage", ()
    rate = price.rate
    return (
        price.status,
        price.reason,
        rate.rate_id,
        rate.source,
        rate.version,
        price.match_rule,
        price.missing_rates,
    )


def _keep(table: dict[object, tuple[Row, bytes]], key: object, columns: tuple[Row, bytes], most: int) -> None:
    # Emptied when full: simpler than a queue of uses, without a lock, and filled again within the next requests.
    if len(table) >= most:
        table.clear()
    table[key] = columns
