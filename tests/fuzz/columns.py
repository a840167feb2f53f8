"""The ledger's tables as their DDL says them: whether a journaled row would be taken as it is, value by value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from otel_llmcost.ledger.connection import read_sql
from otel_llmcost.model import COMPONENTS, COUNTS, MAX_COUNT

__all__ = ["COLUMNS", "faults"]

Check = Callable[[object], bool]

_COLUMN: Final = re.compile(r"^ {4}(?:ADD COLUMN IF NOT EXISTS )?([a-z_0-9]+) +([A-Z].*)$", re.MULTILINE)
_MOMENT: Final = re.compile(r"20\d\d-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d\.\d{6}")
_MONEY: Final = re.compile(r"-?\d{1,6}(\.\d{1,12})?")


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_whole(most: int) -> Check:
    return lambda value: type(value) is int and 0 <= value <= most


def _is_money(value: object) -> bool:
    return type(value) is str and _MONEY.fullmatch(value) is not None


def _is_text_map(value: object) -> bool:
    return type(value) is dict and all(map(_is_text, value.values()))


_CHECKS: Final[dict[str, Check]] = {
    "LowCardinality(String)": _is_text,
    "String": _is_text,
    "Bool": lambda value: type(value) is bool,
    "UInt16": _is_whole(2**16 - 1),
    "UInt64": _is_whole(2**64 - 1),
    "Int8": lambda value: value in (-1, 1) and type(value) is int,
    "Nullable(UInt64)": _is_whole(MAX_COUNT - 1),
    "Nullable(Decimal(18, 12))": _is_money,
    "DateTime64(6, 'UTC')": lambda value: type(value) is str and _MOMENT.fullmatch(value) is not None,
    "Array(LowCardinality(String))": lambda value: type(value) is list and all(map(_is_text, value)),
    "Map(LowCardinality(String), String)": _is_text_map,
}
"""Beginning of a column's definition -> whether ClickHouse's text format takes a value exactly, neither wrapped nor cut."""


def _columns(*files: str) -> dict[str, Check]:
    found: dict[str, Check] = {}
    for name, definition in _COLUMN.findall("\n".join(read_sql("schema", file) for file in files)):
        if " ALIAS " not in definition:
            found[name] = next(check for kind, check in _CHECKS.items() if definition.startswith(kind))
    return found


_REQUEST: Final = _columns("001_llm_requests")
COLUMNS: Final[Mapping[str, Mapping[str, Check]]] = {
    "llm_requests": _REQUEST,
    "llm_adjustments": _REQUEST | _columns("003_llm_adjustments_columns"),
    "llm_rates": _columns("004_llm_rates"),
}
_PARTS: Final = [f"{component}_cost_usd" for component in COMPONENTS]


def faults(table: str, row: Mapping[str, object]) -> list[str]:
    """Say what of a journaled row the ledger would refuse, change or misread; nothing when all is well."""
    columns = COLUMNS[table]
    found = [
        f"{name}={str(value)[:80]!r}"
        for name, value in row.items()
        if (check := columns.get(name)) is None or not check(value)
    ]
    if table == "llm_rates" or found:
        return found
    cost = row.get("cost_usd")
    if (cost is None) == (row["price_status"] in ("priced", "partial")):
        found.append(f"price_status={row['price_status']} with cost_usd={cost}")
    if cost is None and not row.get("reason"):
        found.append("no cost, and no reason")
    if cost is not None:
        if sum(Decimal(str(row[part])) for part in _PARTS if part in row) != Decimal(str(cost)):
            found.append(f"the parts are not cost_usd={cost}")
        if not any(name in row for name in COUNTS):
            found.append("a cost without a count")
    return found
