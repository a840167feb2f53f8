"""
JSON lines in, JSON lines out: prices one request per line, in order, never holding more than one.

In: `id, provider, model, timestamp` (ISO, with offset), `usage` (the counts of `Usage`, `service_tier`, `batch`, `speed`,
`region`), `attributes`. Numbers are read exactly: a float never exists. Out: the cost as decimal text, or null and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from otel_llmcost.model import COUNTS, Price, Unpriced, Usage, picousd_text
from otel_llmcost.pricing.arithmetic import Line, arithmetic
from otel_llmcost.pricing.pricer import Pricer

__all__ = ["MAX_LINE_BYTES", "as_json", "price_lines"]

MAX_LINE_BYTES: Final = 1 << 20
_CONTEXT: Final = ("service_tier", "batch", "speed", "region")
_KEYS: Final = ("id", "provider", "model", "timestamp", "usage", "attributes")


def price_lines(pricer: Pricer, lines: Iterable[bytes]) -> Iterator[dict[str, object]]:
    """Give an answer per line that is not blank; a line that cannot be read gives `error`, the others go on."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry: Any = None
        try:
            entry = _read(line)
            yield {"id": entry.get("id"), **_price(pricer, entry)}
        except (ValueError, TypeError, RecursionError) as error:
            known = entry.get("id") if isinstance(entry, dict) else None
            yield {"id": known, "line": number, "cost_usd": None, "error": str(error)}


def _read(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    entry = json.loads(line, parse_float=Decimal, parse_constant=_no_constant)
    if not isinstance(entry, dict):
        raise ValueError('the line is not a JSON object; write {"provider": …, "model": …}')  # noqa: TRY004  bad data, not a wrong call
    if unknown := entry.keys() - set(_KEYS):
        raise ValueError(f"unknown key {min(unknown)!r}; write {', '.join(_KEYS)}")
    for name in ("provider", "model", "timestamp"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise ValueError(f"{name!r} is missing, or not a text")
    for name in ("usage", "attributes"):
        if not isinstance(entry.get(name) or {}, dict):
            raise ValueError(f"{name!r} is not an object")  # noqa: TRY004  bad data, like the rest
    return entry


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON has")


def _price(pricer: Pricer, entry: Mapping[str, Any]) -> dict[str, object]:
    given = entry.get("usage") or {}
    if unknown := given.keys() - {*COUNTS, *_CONTEXT}:
        raise ValueError(f"unknown usage {min(unknown)!r}; write {', '.join((*COUNTS, *_CONTEXT))}")
    for name, kind in (("service_tier", str), ("speed", str), ("region", str), ("batch", bool)):
        if given.get(name) is not None and not isinstance(given[name], kind):
            raise ValueError(f"usage.{name} is {given[name]!r}: not {'a text' if kind is str else 'true or false'}")
    usage = Usage(**{name: given[name] for name in COUNTS if name in given})
    answer = pricer.price(
        provider=entry["provider"],
        model=entry["model"],
        usage=usage,
        at=datetime.fromisoformat(entry["timestamp"]),
        service_tier=given.get("service_tier"),
        batch=given.get("batch") or False,
        speed=given.get("speed"),
        region=given.get("region"),
        attributes=entry.get("attributes"),
    )
    return as_json(answer, usage)


def as_json(answer: Price, usage: Usage) -> dict[str, object]:
    """Give a price as JSON-ready values; amounts are decimal text."""
    if isinstance(answer, Unpriced):
        return {"cost_usd": None, "price_status": answer.status, "reason": answer.reason, "detail": answer.detail,
                "missing_rates": [], "rate_id": None, "rate_source": None, "breakdown": []}  # fmt: skip
    return {
        "cost_usd": picousd_text(answer.cost_picousd),
        "list_cost_usd": picousd_text(answer.list_cost_picousd),
        "price_status": answer.status,
        "reason": answer.reason,
        "missing_rates": list(answer.missing_rates),
        "rate_id": answer.rate.rate_id,
        "rate_source": answer.rate.source,
        "rate_version": answer.rate.version,
        "match_rule": answer.match_rule,
        "breakdown": [_line(line) for line in arithmetic(answer.rate.content, usage)],
    }


def _line(line: Line) -> dict[str, object]:
    return {
        "component": line.component,
        "count": line.count,
        "quantity": line.quantity,
        "unit_price_usd": line.unit_price,
        "unit": line.unit,
        "cost_usd": None if line.cost_usd is None else format(line.cost_usd, "f"),
    }
