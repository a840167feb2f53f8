"""
Requests that have no span: batch output files, realtime sessions, raw HTTP. They pass the same meter and journal.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from opentelemetry import context as otel_context

from otel_llmcost.dialects.provider_usage import read_response
from otel_llmcost.errors import JournalError
from otel_llmcost.exporter import ClickHouseSpanExporter, only_exporter
from otel_llmcost.ledger.row import outcome_row
from otel_llmcost.model import ModelCall, Price, Request, SpanView, Usage
from otel_llmcost.ownership.values import clean_value, plain_text
from otel_llmcost.providers import normalise_provider

__all__ = ["record_outcome", "record_request"]

_Status: TypeAlias = Literal["success", "error", "timeout", "cancelled"]


def record_request(
    *,
    provider: str,
    model: str = "",
    usage: Usage | None = None,
    response: Mapping[str, object] | None = None,
    at: datetime | None = None,
    duration_s: float = 0.0,
    operation: str = "chat",
    response_id: str = "",
    service_tier: str = "",
    batch: bool = False,
    speed: str = "",
    region: str = "",
    status: _Status = "success",
    error_type: str = "",
    attributes: Mapping[str, str] | None = None,
    provider_cost_usd: Decimal | None = None,
    exporter: ClickHouseSpanExporter | None = None,
) -> Price:
    """
    Record one request and give its price.

    The owner is the current `attributed(...)`. Model, usage, response id, tier and instant are read from `response` (a
    provider's body as parsed JSON) where they are not given. A request with a response id is stored under ids
    made from it, so that a file that was recorded twice shows as rows with one key.

    Args:
        at: when the request started, with a time zone; it selects the rate.
        attributes: what can change a price: `server.address`, `azure.deployment_type`, …
        exporter: where it goes; default: the only one of this process.

    Raises:
        TypeError: a name is not text.
        ValueError: `at` has no time zone.
        SettingsError: no exporter, or more than one, and none was named.
        JournalError: the row could not be journaled.
    """
    exporter = exporter or only_exporter()
    body = read_response(response or {})
    _check_texts(
        provider=provider, model=model, operation=operation, response_id=response_id, service_tier=service_tier
    )
    _check_texts(speed=speed, region=region, error_type=error_type)
    call = ModelCall(
        dialect="record_request",
        kind="request",
        operation=operation,
        provider=normalise_provider(provider),
        model=model or body.model,
        request_model=model or body.model,
        response_id=response_id or body.response_id,
        usage=body.usage if usage is None else usage,
        invalid_usage=body.invalid_usage if usage is None else (),
        usage_convention="raw",
        usage_gaps=body.gaps if usage is None else (),
        service_tier=service_tier or body.service_tier,
        batch=batch,
        speed=speed or body.speed,
        region=region or body.region,
        status=status,
        error_type=error_type,
        provider_cost_usd=body.provider_cost_usd if provider_cost_usd is None else provider_cost_usd,
        price_attributes=attributes or {},
    )
    start_ns = _unix_ns(at) if at or body.created_unix_s is None else body.created_unix_s * 10**9
    return _record(exporter, call, start_ns, start_ns + int(duration_s * 10**9))


def record_outcome(
    *,
    action: str | int,
    action_id: str | int,
    value_usd: Decimal,
    at: datetime | None = None,
    customer_id: str | int | None = None,
    exporter: ClickHouseSpanExporter | None = None,
) -> None:
    """
    Record what a business action was worth, in US dollars: the other half of a margin.

    Action, action id and customer are stored as a request's are, cleaned and hashed alike, so that both sides meet.

    Raises as `record_request` does, and `ValueError` for a value that is no exact amount, and for an action or an id of
    one in which nothing can be read.
    """
    at_ns, exporter = _unix_ns(at), exporter or only_exporter()
    customer = None if customer_id is None else _cleaned("customer_id", customer_id)
    row = outcome_row(
        action=_named("action", action),
        action_id=exporter.owners.hash.of("action_id", _named("action_id", action_id)),
        value_usd=value_usd,
        start_unix_ns=at_ns,
        customer_id=customer and exporter.owners.hash.of("customer_id", customer),
    )
    exporter.append("llm_outcomes", at_ns, row)


def _named(name: str, value: object) -> str:
    cleaned = _cleaned(name, value)
    if cleaned is None:
        raise ValueError(f"record_outcome({name}={value!r}) names nothing: give the {name} of its requests")
    return cleaned


def _cleaned(name: str, value: object) -> str | None:
    if (text := plain_text(value)) is None:
        raise TypeError(f"record_outcome({name}=…) takes text or a whole number, not {type(value).__name__}")
    return clean_value(text)


def _check_texts(**named: object) -> None:
    for name, value in named.items():
        if not isinstance(value, str):
            raise TypeError(f"record_request({name}=…) takes text, not {type(value).__name__}")


def _record(exporter: ClickHouseSpanExporter, call: ModelCall, start_ns: int, end_ns: int) -> Price:
    trace_id, span_id = _ids(call)
    span = SpanView(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=None,
        name=f"{call.operation} {call.model}".strip(),
        kind="client",
        start_unix_ns=start_ns,
        end_unix_ns=end_ns,
        attributes={},
        resource=exporter.resource,
        scope_name="otel_llmcost.recording",
        scope_version="",
        status_code="unset" if call.status == "success" else "error",
    )
    context = otel_context.get_current()
    owner = exporter.owners.read(context, exporter.resource)
    outcomes = exporter.meter.meter_call(span, call, owner, declared=exporter.owners.declared_attempt(context))
    if refused := exporter.write(outcomes):
        exporter.meter.undo(refused)
        raise JournalError("the request was not recorded: the log says why; mend it and record the request again")
    first = outcomes[0]
    return first.price if isinstance(first, Request) else exporter.meter.price(call, start_ns)


def _ids(call: ModelCall) -> tuple[str, str]:
    if not call.response_id:
        return secrets.token_hex(16), secrets.token_hex(8)
    digest = hashlib.sha256(f"{call.provider}\0{call.response_id}".encode()).hexdigest()
    return digest[:32], digest[32:48]


def _unix_ns(at: datetime | None) -> int:
    if at is None:
        return time.time_ns()
    if at.tzinfo is None:
        raise ValueError(f"at={at.isoformat()} has no time zone: rates change at an instant, so give one, as in UTC")
    return int(at.timestamp() * 10**6) * 1000
