"""
Nouns to rows: what the journal writes and the ledger stores, as plain JSON-ready values.

This runs inside `span.end()`, so it is written for speed: keys whose value is the column's default are left out. The
text format of ClickHouse wraps and truncates without a word, so that every number is checked here, before the journal:
counts below 2**53, money below 1,000,000 USD, instants from 2000 to 2099. What does not fit is left out and named in
`detail`. The journal adds `batch_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Final

import orjson

from otel_llmcost.model import (
    COMPONENTS,
    COUNTS,
    EXACT,
    MAX_COST_PICOUSD,
    MAX_COUNT,
    NONE,
    UNATTRIBUTED,
    Adjustment,
    Attempt,
    ModelCall,
    Owner,
    Priced,
    RateContent,
    Request,
    SpanView,
    Unpriced,
    picousd_text,
)

__all__ = ["Row", "adjustment_row", "encode_row", "month_of", "outcome_row", "rate_row", "request_row"]

_FIRST_NS: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 10**9
_LAST_NS: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9 - 1000
_MAX_NAME: Final = 256
_MAX_COST_USD: Final = Decimal(1_000_000)
_PICOUSD: Final = Decimal("1e-12")
_MICROUSD: Final = Decimal("1e-6")
_SHOWN: Final = 60
_TEXTS_KEPT: Final = 1024

Row = dict[str, object]


def request_row(request: Request) -> Row:
    """Give the row of `llm_requests`; costs are decimal text in USD, `timestamp` is UTC with microseconds."""
    notes: list[str] = []
    row = _span_columns(request.span, notes)
    _add_owner(row, request.owner)
    _add_call(row, request.call, notes)
    _add_attempt(row, request.attempt)
    if isinstance(request.price, Priced):
        _add_price(row, request.price, notes)
    else:
        _add_reason(row, request.price)
    if notes:
        row["detail"] = "; ".join([str(row["detail"]), *notes] if "detail" in row else notes)
    return row


def adjustment_row(adjustment: Adjustment) -> Row:
    """Give the row of `llm_adjustments`: the numbers as they were charged, and a sign; views multiply the two."""
    row = request_row(adjustment.request)
    row["sign"] = adjustment.sign
    row["of_trace_id"] = adjustment.of_trace_id
    row["of_span_id"] = adjustment.of_span_id
    row["adjustment_reason"] = adjustment.reason
    return row


def rate_row(rate: RateContent) -> Row:
    """Give the row of `llm_rates`; `content` is JSON text with sorted keys."""
    return {
        "rate_id": rate.rate_id,
        "provider": rate.provider,
        "model": rate.model,
        "source": rate.source,
        "version": rate.version,
        "effective_from": rate.effective_from,
        "effective_to": rate.effective_to,
        "content": orjson.dumps(rate.content, option=orjson.OPT_SORT_KEYS).decode(),
    }


def outcome_row(
    *, start_unix_ns: int, action: str, action_id: str, value_usd: Decimal, customer_id: str | None = None
) -> Row:
    """
    Give the row of `llm_outcomes`.

    Raises `ValueError` when the value is not a sum of money below 1e12 USD, or has more than 6 decimals.
    """
    if not value_usd.is_finite() or value_usd.copy_abs() >= 10**12:
        raise ValueError(f"value_usd is {_shown(value_usd)}: a number below 1,000,000,000,000 is needed")
    rounded = EXACT.quantize(value_usd, _MICROUSD)
    if rounded != value_usd:
        raise ValueError(f"value_usd is {_shown(value_usd)}: at most 6 decimals are stored, so round it to them first")
    return {
        "timestamp": _timestamp(min(max(start_unix_ns, _FIRST_NS), _LAST_NS)),
        "action": action,
        "action_id": action_id,
        "customer_id": customer_id or UNATTRIBUTED,
        "value_usd": f"{rounded:f}",
    }


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


def month_of(moment: Mapping[str, object] | int) -> str:
    """Give the partition of a row, or of an instant in nanoseconds since 1970: `202611`."""
    if isinstance(moment, int):
        return _month(moment // _DAY_NS)
    text = str(moment["timestamp"])
    return text[:4] + text[5:7]


_DAY_NS: Final = 86_400 * 10**9


@lru_cache(maxsize=1024)
def _month(day: int) -> str:
    return _second(min(max(day * _DAY_NS, _FIRST_NS), _LAST_NS) // 10**9).replace("-", "")[:6]


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shown(value: object) -> str:
    """Write a value that is not stored, in few words: Python refuses to write integers of thousands of digits."""
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _timestamp(unix_ns: int) -> str:
    seconds, rest = divmod(unix_ns, 10**9)
    return f"{_second(seconds)}.{rest // 1000:06d}"


def _span_columns(span: SpanView, notes: list[str]) -> Row:
    start, duration = span.start_unix_ns, span.end_unix_ns - span.start_unix_ns
    if not _FIRST_NS <= start <= _LAST_NS:
        notes.append(f"the span started at {_shown(start)} ns since 1970, which is outside 2000 to 2099")
        start = min(max(start, _FIRST_NS), _LAST_NS)
    if duration < 0:
        notes.append(f"the span ended {_shown(-duration)} ns before it started")
        duration = 0
    row: Row = {
        "timestamp": _timestamp(start),
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "duration_us": min(duration // 1000, MAX_COUNT),
    }
    if span.parent_span_id:
        row["parent_span_id"] = span.parent_span_id
    if span.scope_name:
        row["scope_name"] = span.scope_name
    if isinstance(service := span.resource.get("service.name"), str):
        row["service_name"] = service[:_MAX_NAME]
    return row


def _add_owner(row: Row, owner: Owner) -> None:
    row["team"] = owner.team or UNATTRIBUTED
    row["feature"] = owner.feature or UNATTRIBUTED
    row["customer_id"] = owner.customer_id or UNATTRIBUTED
    row["environment"] = owner.environment or UNATTRIBUTED
    row["action"] = owner.action or NONE
    if owner.action_id:
        row["action_id"] = owner.action_id
    if owner.request_id:
        row["own_request_id"] = owner.request_id
    if owner.source:
        row["owner_source"] = owner.source
    if owner.extra:
        row["owner_extra"] = dict(owner.extra)


def _add_call(row: Row, call: ModelCall, notes: list[str]) -> None:
    row.update(_text_columns(call))
    if call.response_id:
        row["response_id"] = call.response_id
    if call.batch:
        row["batch"] = True
    if call.resend_count:
        row["resend_count"] = min(max(call.resend_count, 0), 65535)
    if call.usage_gaps:
        row["usage_gaps"] = call.usage_gaps
    if call.usage is not None:
        _add_counts(row, call.usage.counts, notes)
    if call.provider_cost_usd is not None:
        _add_provider_cost(row, call.provider_cost_usd, notes)


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
)
_call_texts = attrgetter(*_CALL_TEXTS)
_texts_kept: dict[object, Row] = {}


def _text_columns(call: ModelCall) -> Row:
    """Give the columns that repeat with every request of one call site, remembered by these very texts."""
    texts = _call_texts(call)
    known = _texts_kept.get(texts)
    if known is None:
        known = {name: text for name, text in zip(_CALL_TEXTS, texts, strict=True) if text or name in _ALWAYS}
        if len(_texts_kept) >= _TEXTS_KEPT:
            _texts_kept.clear()
        _texts_kept[texts] = known
    return known


def _add_counts(row: Row, counts: tuple[int | None, ...], notes: list[str]) -> None:
    for name, count in zip(COUNTS, counts, strict=False):
        if count is None:
            continue
        if type(count) is int and 0 <= count < MAX_COUNT:
            row[name] = count
        else:
            notes.append(f"{name}={_shown(count)} is not a count below 2**53")


def _add_provider_cost(row: Row, cost_usd: Decimal, notes: list[str]) -> None:
    if cost_usd.is_finite() and cost_usd.copy_abs() < _MAX_COST_USD:
        row["provider_cost_usd"] = f"{EXACT.quantize(cost_usd, _PICOUSD):f}"
    else:
        notes.append(f"the provider's cost {_shown(cost_usd)} is not below 1,000,000 USD")


def _add_attempt(row: Row, attempt: Attempt) -> None:
    if attempt.number != 1:
        row["attempt"] = min(max(attempt.number, 0), 65535)
    if attempt.kind != "initial":
        row["attempt_kind"] = attempt.kind
    if attempt.source:
        row["attempt_source"] = attempt.source
    if attempt.wasted:
        row["wasted"] = True


def _add_price(row: Row, price: Priced, notes: list[str]) -> None:
    cost, list_cost, savings = price.cost_picousd, price.list_cost_picousd, price.cache_savings_picousd
    if max(abs(cost), abs(list_cost), abs(savings)) >= MAX_COST_PICOUSD:
        row["price_status"] = "unpriced"
        row["reason"] = "invalid_usage"
        notes.append(f"a cost of {_shown(Decimal(cost).scaleb(-12, EXACT))} USD is not below 1,000,000 USD")
        return
    row["price_status"] = price.status
    row["cost_usd"] = picousd_text(cost)
    if list_cost != cost:
        row["list_cost_usd"] = picousd_text(list_cost)
    for component, picousd in price.components:
        row[_COMPONENT_COLUMNS[component]] = picousd_text(picousd)
    if savings:
        row["cache_savings_usd"] = picousd_text(savings)
    _add_provenance(row, price)


_COMPONENT_COLUMNS: Final = {component: f"{component}_cost_usd" for component in COMPONENTS}


def _add_provenance(row: Row, price: Priced) -> None:
    row["rate_id"] = price.rate.rate_id
    row["rate_source"] = price.rate.source
    row["rate_version"] = price.rate.version
    row["match_rule"] = price.match_rule
    if price.missing_rates:
        row["missing_rates"] = price.missing_rates
    if price.reason:
        row["reason"] = price.reason


def _add_reason(row: Row, price: Unpriced) -> None:
    row["price_status"] = price.status
    row["reason"] = price.reason
    if price.detail:
        row["detail"] = price.detail
