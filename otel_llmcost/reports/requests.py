"""The rows behind a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from otel_llmcost.ledger import Answers
from otel_llmcost.reports.dimensions import filter_parameters
from otel_llmcost.reports.period import Period

__all__ = ["RequestRow", "requests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One charge: a request (sign 1, no adjustment reason), or an adjustment."""

    timestamp: datetime
    request_id: str
    trace_id: str
    span_id: str
    response_id: str
    team: str
    feature: str
    customer_id: str
    environment: str
    action: str
    action_id: str
    service_name: str
    provider: str
    model: str
    status: str
    error_type: str
    attempt: int
    attempt_kind: str
    wasted: bool
    price_status: str
    reason: str
    duration_us: int
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    cache_write_12h_tokens: int | None
    output_tokens: int | None
    audio_input_tokens: int | None
    cached_audio_input_tokens: int | None
    audio_output_tokens: int | None
    image_input_tokens: int | None
    image_output_tokens: int | None
    web_search_calls: int | None
    file_search_calls: int | None
    code_execution_calls: int | None
    reasoning_tokens: int | None
    sign: Literal[-1, 1]
    adjustment_reason: str
    rate_id: str
    cost_usd: Decimal | None
    """With its sign: negative where an adjustment takes a charge back. None: not known."""


COLUMNS: Final = tuple(field.name for field in fields(RequestRow))


def requests(
    ledger: Answers, *, since: date, until: date, where: Mapping[str, str] | None = None, limit: int = 50
) -> tuple[RequestRow, ...]:
    """Give the newest `limit` charges in [since, until), UTC days. Raises `ReportError` and `LedgerError`."""
    period = Period(since, until)
    parameters = {"since": period.since, "until": period.until, "limit": limit, **filter_parameters(where or {})}
    rows = ledger.query("requests", parameters)
    return tuple(RequestRow(**{name: row[name] for name in COLUMNS}) for row in rows)  # type: ignore[arg-type]
