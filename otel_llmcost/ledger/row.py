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
from typing import Final

import orjson

from otel_llmcost.figures import amount_texts, reported_counts
from otel_llmcost.ledger.encoding import Row, encode_row, owner_columns, site_columns
from otel_llmcost.model import (
    COMPONENTS,
    EXACT,
    INITIAL,
    MAX_COST_PICOUSD,
    MAX_COUNT,
    UNATTRIBUTED,
    Adjustment,
    Attempt,
    Priced,
    RateContent,
    Request,
    SpanView,
    Usage,
)

__all__ = [
    "Row",
    "adjustment_row",
    "call_text",
    "encode_request",
    "encode_row",
    "month_of",
    "outcome_row",
    "rate_row",
    "request_row",
]

_FIRST_NS: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 10**9
_LAST_NS: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9 - 1000
_MAX_COST_USD: Final = Decimal(1_000_000)
_PICOUSD: Final = Decimal("1e-12")
_MICROUSD: Final = Decimal("1e-6")
_SHOWN: Final = 60


def request_row(request: Request) -> Row:
    """Give the row of `llm_requests`; costs are decimal text in USD, `timestamp` is UTC with microseconds."""
    own = _own_columns(request)
    return own | owner_columns(request.owner)[0] | site_columns(request, is_costed="cost_usd" in own)[0]


def encode_request(request: Request) -> bytes:
    """
    Give `encode_row(request_row(request))`, but for the order of its keys, in half the time.

    Two thirds of a row repeat with every request of one owner and one call site: their JSON is remembered.
    """
    own = _own_columns(request)
    site = site_columns(request, is_costed="cost_usd" in own)
    return b"".join((encode_row(own)[:-1], owner_columns(request.owner)[1], site[1]))


_CALL_COLUMNS: Final = (
    "dialect",
    "operation",
    "provider",
    "model",
    "request_model",
    "response_id",
    "service_tier",
    "speed",
    "batch",
    "region",
    "error_type",
    "attempt_source",
    "wasted",
    "resend_count",
    "usage_convention",
    "usage_gaps",
    "provider_cost_usd",
    "detail",
    "rate_source",
    "rate_version",
    "match_rule",
    "owner_source",
    "owner_extra",
)
"""What `attributes.to_attributes` has no attribute for. The view in `sql/otel_traces/requests.sql` reads the same."""


def call_text(request: Request) -> str:
    """Give the columns of a row that no other attribute of its span says, as JSON: the attribute `llmcost.call`."""
    row = request_row(request)
    return encode_row({name: row[name] for name in _CALL_COLUMNS if name in row}).decode()


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


def _own_columns(request: Request) -> Row:
    """Give the columns that differ from request to request."""
    notes: list[str] = []
    row = _span_columns(request.span, notes)
    call, owner, price = request.call, request.owner, request.price
    if owner.action_id:
        row["action_id"] = owner.action_id
    if owner.request_id:
        row["own_request_id"] = owner.request_id
    if owner.extra:
        row["owner_extra"] = dict(owner.extra)
    if call.response_id:
        row["response_id"] = call.response_id
    if call.resend_count:
        row["resend_count"] = min(max(call.resend_count, 0), 65535)
    if call.usage is not None:
        _add_counts(row, call.usage, notes)
    if call.provider_cost_usd is not None:
        _add_provider_cost(row, call.provider_cost_usd, notes)
    if request.attempt is not INITIAL:
        _add_attempt(row, request.attempt)
    if isinstance(price, Priced):
        _add_costs(row, price, notes)
    elif price.detail:
        row["detail"] = price.detail
    if notes:
        row["detail"] = "; ".join([str(row["detail"]), *notes] if "detail" in row else notes)
    return row


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
    return row


def _add_counts(row: Row, usage: Usage, notes: list[str]) -> None:
    for name, count in reported_counts(usage):
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


_COMPONENT_COLUMNS: Final = {component: f"{component}_cost_usd" for component in COMPONENTS}


def _add_costs(row: Row, price: Priced, notes: list[str]) -> None:
    cost, list_cost, savings = price.cost_picousd, price.list_cost_picousd, price.cache_savings_picousd
    if not (
        -MAX_COST_PICOUSD < cost < MAX_COST_PICOUSD
        and -MAX_COST_PICOUSD < list_cost < MAX_COST_PICOUSD
        and -MAX_COST_PICOUSD < savings < MAX_COST_PICOUSD
    ):
        notes.append(f"a cost of {_shown(Decimal(cost).scaleb(-12, EXACT))} USD is not below 1,000,000 USD")
        return
    row["cost_usd"], listed, saved, components = amount_texts(price)
    if listed:
        row["list_cost_usd"] = listed
    for component, amount in components:
        row[_COMPONENT_COLUMNS[component]] = amount
    if saved:
        row["cache_savings_usd"] = saved
