"""Requests as the meter makes them, with every field under the test's control."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import orjson

from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import adjustment_row, request_row
from otel_llmcost.model import (
    Adjustment,
    Attempt,
    ModelCall,
    Owner,
    Price,
    Priced,
    RateContent,
    Request,
    SpanView,
    Unpriced,
    Usage,
)

START_NS = 1_795_000_000_123_456_789
"""2026-11-18 11:06:40.123456789 UTC"""
RATE = RateContent(
    rate_id="openai/gpt-5.4-mini#0a1b2c3d",
    provider="openai",
    model="gpt-5.4-mini",
    source="genai-prices",
    version="0.2.3",
    effective_from="",
    effective_to="",
    content={"prices": {"input_tokens": "0.75", "cached_input_tokens": "0.075", "output_tokens": "4.5"}},
)
USAGE = Usage(input_tokens=8000, cached_input_tokens=2000, output_tokens=1200)
OWNER = Owner(
    team="search",
    feature="rerank",
    customer_id="acme",
    environment="production",
    action="reply",
    action_id="r-1",
    source="baggage",
)
UNPRICED = Unpriced(reason="unknown_model", detail="no rate for gpt-x")


def priced(picousd: int, *, status: str = "priced", list_picousd: int | None = None) -> Priced:
    """A price whose whole cost is input."""
    return Priced(
        status=status,  # type: ignore[arg-type]
        cost_picousd=picousd,
        list_cost_picousd=picousd if list_picousd is None else list_picousd,
        components=(("input", picousd),) if picousd else (),
        cache_savings_picousd=0,
        rate=RATE,
        match_rule="exact",
    )


MINI = Priced(
    status="priced",
    cost_picousd=11_550_000_000,
    list_cost_picousd=11_550_000_000,
    components=(("input", 6_000_000_000), ("cached_input", 150_000_000), ("output", 5_400_000_000)),
    cache_savings_picousd=1_350_000_000,
    rate=RATE,
    match_rule="exact",
)


def a_request(
    number: int = 1,
    *,
    price: Price = MINI,
    owner: Owner = OWNER,
    usage: Usage | None = USAGE,
    status: str = "success",
    attempt: Attempt = Attempt(),  # noqa: B008  # frozen
    start_unix_ns: int = START_NS,
    duration_ns: int = 1_000_000_000,
    model: str = "gpt-5.4-mini",
    service: str = "api",
    provider_cost_usd: Decimal | None = None,
) -> Request:
    """A request; its trace is `number` in hex, its span too."""
    span = SpanView(
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        parent_span_id=None,
        name="chat",
        kind="client",
        start_unix_ns=start_unix_ns,
        end_unix_ns=start_unix_ns + duration_ns,
        attributes={},
        resource={"service.name": service},
        scope_name="opentelemetry.instrumentation.openai_v2",
        scope_version="2.0",
        status_code="unset",
    )
    call = ModelCall(
        dialect="semconv",
        kind="request",
        operation="chat",
        provider="openai",
        model=model,
        request_model=model,
        response_id=f"chatcmpl-{number}",
        usage=usage,
        usage_convention="inclusive",
        status=status,  # type: ignore[arg-type]
        provider_cost_usd=provider_cost_usd,
    )
    return Request(span=span, call=call, owner=owner, price=price, attempt=attempt)


def adjusted(request: Request, sign: int, of: Request) -> Adjustment:
    """Take a request back (-1) or add it (+1), in the place of another."""
    return Adjustment(
        request=request,
        sign=sign,  # type: ignore[arg-type]
        of_trace_id=of.span.trace_id,
        of_span_id=of.span.span_id,
        reason="response_id",
    )


def segment(rows: Iterable[dict[str, object]], batch_id: str = "segment-1") -> bytes:
    """Lines of JSON as the journal writes them."""
    return b"\n".join(orjson.dumps({"batch_id": batch_id, **row}) for row in rows)


def store(ledger: Ledger, requests: Iterable[Request], token: str = "t") -> None:  # noqa: S107  # no password
    """Insert requests as one segment."""
    ledger.insert("llm_requests", segment(map(request_row, requests), token), token=token)


def adjust(ledger: Ledger, adjustments: Iterable[Adjustment], token: str = "a") -> None:  # noqa: S107
    """Insert adjustments as one segment."""
    ledger.insert("llm_adjustments", segment(map(adjustment_row, adjustments), token), token=token)


def ask(ledger: Ledger, sql: str) -> list[str]:
    """One row of the database, as text."""
    answer = ledger.command(sql, what="ask in a test")
    return [str(value) for value in answer] if isinstance(answer, list | tuple) else [str(answer)]
