"""
JSON lines in, JSON lines out: prices one request per line, in order, never holding more than one.

In: `id, provider, model, timestamp` (ISO: a date is its midnight in UTC, a time needs its offset), `usage` (the counts of `Usage`, `service_tier`, `batch`, `speed`,
`region`), `attributes`. Numbers are read exactly: a float never exists. Out: the cost as decimal text, or null and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from otel_llmcost.model import COUNTS, NO_USAGE, Price, Unpriced, Usage, picousd_text
from otel_llmcost.pricing.arithmetic import Line, arithmetic
from otel_llmcost.pricing.instants import read_instant
from otel_llmcost.pricing.pricer import Pricer

__all__ = ["MAX_LINE_BYTES", "as_json", "as_text", "price_lines"]

MAX_LINE_BYTES: Final = 1 << 20
_MAX_DIGITS: Final = 400
_MAX_WORDS: Final = 80
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTEXT: Final = ("service_tier", "batch", "speed", "region")
_KEYS: Final = ("id", "provider", "model", "timestamp", "usage", "attributes")


def price_lines(pricer: Pricer, lines: Iterable[bytes]) -> Iterator[dict[str, object]]:
    """Give an answer per line that is not blank; a line that cannot be read gives `error`, the others go on."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry: Any = None
        try:
            entry = _parsed(line)
            _check(entry)
            yield {"id": entry.get("id"), **_price(pricer, entry)}
        except (ValueError, RecursionError) as error:
            known = entry.get("id") if entry and not isinstance(entry.get("id"), (dict, list)) else None
            message = "the line is nested too deeply" if isinstance(error, RecursionError) else str(error)
            yield {"id": known, "line": number, "cost_usd": None, "error": message}


def as_text(answer: Mapping[str, object]) -> str:
    """Give an answer as JSON text; half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", json.dumps(answer, ensure_ascii=False, default=str))


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        entry = json.loads(
            line, parse_float=Decimal, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        raise ValueError("the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(entry, dict):
        raise ValueError('the line is not a JSON object; write {"provider": …, "model": …}')  # noqa: TRY004  bad data, not a wrong call
    return entry


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"{digits[:20]}… is no number that is read: it has {len(digits)} digits")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"{_words(key)} is written twice; keep one")
        made[key] = value
    return made


def _check(entry: Mapping[str, Any]) -> None:
    if unknown := entry.keys() - set(_KEYS):
        raise ValueError(f"unknown key {_words(min(unknown))}; write {', '.join(_KEYS)}")
    if isinstance(entry.get("id"), (dict, list)):
        raise ValueError("id is not a text or a number")  # noqa: TRY004  bad data, not a wrong call
    for name in ("provider", "model", "timestamp"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise ValueError(f"{name} is missing, or not a text")
    for name in ("usage", "attributes"):
        if entry.get(name) is not None and not isinstance(entry[name], dict):
            raise ValueError(f"{name} is {_words(entry[name])}: not an object")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON has")


def _words(value: object) -> str:
    """Write a value as the line wrote it, in bounded length."""
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_WORDS else text[:_MAX_WORDS] + "…"


def _price(pricer: Pricer, entry: Mapping[str, Any]) -> dict[str, object]:
    given = entry.get("usage") or {}
    if unknown := given.keys() - {*COUNTS, *_CONTEXT}:
        raise ValueError(f"unknown usage {_words(min(unknown))}; write {', '.join((*COUNTS, *_CONTEXT))}")
    for name, kind in (("service_tier", str), ("speed", str), ("region", str), ("batch", bool)):
        if given.get(name) is not None and not isinstance(given[name], kind):
            raise ValueError(
                f"usage.{name} is {_words(given[name])}: not {'a text' if kind is str else 'true or false'}"
            )
    at = read_instant(entry["timestamp"])
    wrong = [name for name in COUNTS if given.get(name) is not None and type(given[name]) is not int]
    if wrong:
        detail = f"{wrong[0]} is {_words(given[wrong[0]])}: not a whole number from 0 to 2**53-1, as in 8000."
        return as_json(Unpriced(reason="invalid_usage", detail=detail), NO_USAGE)
    usage = Usage(**{name: given[name] for name in COUNTS if name in given})
    answer = pricer.price(
        provider=entry["provider"],
        model=entry["model"],
        usage=usage,
        at=at,
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
