"""
The names of the attributes that we write on spans and read back, and the round trip between a request and them.

Few on purpose: fifteen more attributes cost an OTLP exporter more than our whole processor does. Names under
`gen_ai.usage.cost.*` are those proposed in open-telemetry/semantic-conventions-genai#443, for other tools; the double
there is never read by us. The exact cost is the decimal text in `llmcost.cost_usd`. Usage and breakdown are one compact
text each (`input_tokens=8000 output_tokens=1200`), because a span attribute has no map that every exporter keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Final

from otel_llmcost.figures import amount_texts, reported_counts
from otel_llmcost.model import (
    COMPONENTS,
    COUNTS,
    EXACT,
    MAX_COST_PICOUSD,
    MAX_COUNT,
    NO_OWNER,
    PICO,
    Attempt,
    Attributes,
    Duplicate,
    Owner,
    Price,
    Priced,
    RateContent,
    Request,
    Unpriced,
    Usage,
)

__all__ = [
    "CALL",
    "COST_AMOUNT",
    "COST_USD",
    "DUPLICATE_OF",
    "OWNER_ATTRIBUTES",
    "PREFIX",
    "PRICE_ATTRIBUTES",
    "RATE",
    "RECORDED",
    "Stamp",
    "duplicate_attributes",
    "from_attributes",
    "to_attributes",
]

PREFIX: Final = "llmcost."
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
COST_USD: Final = "llmcost.cost_usd"
PRICE_STATUS: Final = "llmcost.price_status"
REASON: Final = "llmcost.reason"
MISSING_RATES: Final = "llmcost.missing_rates"
RATE_ID: Final = "llmcost.rate_id"
USAGE: Final = "llmcost.usage"
BREAKDOWN: Final = "llmcost.cost.breakdown"
STATUS: Final = "llmcost.status"
ATTEMPT: Final = "llmcost.attempt"
ATTEMPT_KIND: Final = "llmcost.attempt_kind"
DUPLICATE_OF: Final = "llmcost.duplicate_of"
"""Span id of the span that carries this request; on spans that are not billed."""
CALL: Final = "llmcost.call"
"""What a row has and no other attribute says, as JSON by column: only on spans that no journal accounts for, for a view
over the table that a Collector writes. Never read by us in Python."""
RATE: Final = "llmcost.rate"
"""The content of the rate, as JSON, on the first such span of each hour that a process prices with it."""
RECORDED: Final = "llmcost.recorded"
"""True when a journal accounts for this span: no other path may charge it."""

OWNER_ATTRIBUTES: Final = {
    name: PREFIX + name
    for name in ("team", "feature", "customer_id", "environment", "action", "action_id", "request_id")
}

PRICE_ATTRIBUTES: Final = (
    "server.address",
    "cloud.region",
    "anthropic.inference_geo",
    "anthropic.speed",
    "azure.deployment_type",
)
"""Span and resource attributes that can change a price."""

_SAVINGS: Final = "cache_savings"
_LIST: Final = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a processor wrote on a span: read back by exporters in this process and behind a Collector."""

    price: Price
    usage: Usage
    owner: Owner
    attempt: Attempt
    recorded: bool


def to_attributes(request: Request, *, recorded: bool) -> dict[str, str | int | float | bool]:
    """Give the attributes of a charged span; none of them is `None`, and none is written where there is no value."""
    call, price = request.call, request.price
    attributes: dict[str, str | int | float | bool] = {PRICE_STATUS: price.status}
    if isinstance(price, Priced):
        cost_text, listed, savings, components = amount_texts(price)
        attributes[COST_USD] = cost_text
        attributes[RATE_ID] = price.rate.rate_id
        breakdown = [f"{component}={amount}" for component, amount in components]
        if listed:
            breakdown.append(f"{_LIST}={listed}")
        if savings:
            breakdown.append(f"{_SAVINGS}={savings}")
        attributes[BREAKDOWN] = " ".join(breakdown)
        if price.status == "priced":
            # A lower bound is no amount: other tools cannot see that something is missing.
            attributes[COST_AMOUNT] = float(cost_text)
            attributes[COST_CURRENCY] = "USD"
            attributes[COST_SOURCE] = "local"
        if price.missing_rates:
            attributes[MISSING_RATES] = " ".join(price.missing_rates)
    if price.reason:
        attributes[REASON] = price.reason
    if call.usage is not None and (text := _usage_text(call.usage)):
        attributes[USAGE] = text
    attributes[STATUS] = call.status
    if request.attempt.kind != "initial":
        attributes[ATTEMPT_KIND] = request.attempt.kind
        attributes[ATTEMPT] = request.attempt.number
    if request.owner is not NO_OWNER:
        attributes.update(_attributes_of(request.owner))
    if recorded:
        attributes[RECORDED] = True
    return attributes


def duplicate_attributes(duplicate: Duplicate, *, recorded: bool) -> dict[str, str | bool]:
    """Give the attributes of a span that another one carries: no cost, so that no tool counts it twice."""
    attributes: dict[str, str | bool] = {}
    if duplicate.of_span_id:
        attributes[DUPLICATE_OF] = duplicate.of_span_id
    if recorded:
        attributes[RECORDED] = True
    return attributes


def from_attributes(attributes: Attributes, *, provider: str, model: str) -> Stamp | None:
    """
    Read back what `to_attributes` wrote; None when the span carries no price of ours.

    The cost is the one that was computed at the source: it is never recomputed. What is not on a span (the rate's
    content and source) is left empty, and `rate.source` says `span`. A damaged stamp reads as None: the span is then
    metered as if it had none.
    """
    if not isinstance(status := attributes.get(PRICE_STATUS), str):
        return None
    usage = _read_usage(attributes.get(USAGE))
    price = _read_price(attributes, status, provider, model)
    if usage is None or price is None:
        return None
    kind, number = attributes.get(ATTEMPT_KIND), attributes.get(ATTEMPT)
    return Stamp(
        price=price,
        usage=usage,
        owner=_owner_of(attributes),
        attempt=Attempt(kind=kind, number=number)
        if kind in ("retry", "fallback") and type(number) is int
        else Attempt(),
        recorded=attributes.get(RECORDED) is True,
    )


def _owner_of(attributes: Attributes) -> Owner:
    given = {
        name: value if isinstance(value := attributes.get(key), str) else None for name, key in OWNER_ATTRIBUTES.items()
    }
    if not any(given.values()):
        return NO_OWNER
    return Owner(
        team=given["team"],
        feature=given["feature"],
        customer_id=given["customer_id"],
        environment=given["environment"],
        action=given["action"],
        action_id=given["action_id"],
        request_id=given["request_id"],
        source="attributes",
    )


_OWNERS_KEPT: Final = 1024
_owners: dict[int, tuple[Owner, dict[str, str]]] = {}


def _attributes_of(owner: Owner) -> dict[str, str]:
    """Give the attributes of an owner, remembered by the very object: the same one comes with each request."""
    known = _owners.get(id(owner))
    if known is None or known[0] is not owner:
        attributes = {
            key: value for key, value in zip(_OWNER_KEYS, _owner_values(owner), strict=True) if value is not None
        }
        attributes.update({PREFIX + name: value for name, value in owner.extra.items()})
        if len(_owners) >= _OWNERS_KEPT:
            _owners.clear()
        known = _owners[id(owner)] = (owner, attributes)
    return known[1]


_OWNER_KEYS: Final = tuple(OWNER_ATTRIBUTES.values())
_owner_values = attrgetter(*OWNER_ATTRIBUTES)


def _usage_text(usage: Usage) -> str:
    return " ".join([f"{name}={count}" for name, count in reported_counts(usage)])


def _read_usage(text: object) -> Usage | None:
    if text is None:
        return Usage()
    counts: dict[str, int] = {}
    for part in str(text).split():
        name, _, count = part.partition("=")
        if name not in COUNTS or not count.isdecimal() or int(count) >= MAX_COUNT:
            return None
        counts[name] = int(count)
    return Usage(**counts)


def _read_price(attributes: Attributes, status: str, provider: str, model: str) -> Price | None:
    reason = attributes.get(REASON)
    if status in ("unpriced", "provider_reported"):
        return Unpriced(reason=str(reason or ""), status="unpriced" if status == "unpriced" else "provider_reported")
    cost = _picousd(attributes.get(COST_USD))
    amounts = {
        name: _picousd(amount)
        for name, _, amount in (part.partition("=") for part in str(attributes.get(BREAKDOWN) or "").split())
    }
    if status not in ("priced", "partial") or cost is None or cost < 0 or None in amounts.values():
        return None
    components = tuple((name, amount) for name, amount in amounts.items() if name in COMPONENTS and amount is not None)
    if sum(amount for _, amount in components) != cost:
        return None
    listed = amounts.get(_LIST)
    return Priced(
        status="priced" if status == "priced" else "partial",
        cost_picousd=cost,
        list_cost_picousd=cost if listed is None else listed,
        components=components,
        cache_savings_picousd=amounts.get(_SAVINGS) or 0,
        rate=_rate_on_span(str(attributes.get(RATE_ID) or ""), provider, model),
        match_rule="",
        missing_rates=tuple(str(attributes.get(MISSING_RATES) or "").split()),
        reason=None if reason is None else str(reason),
    )


def _rate_on_span(rate_id: str, provider: str, model: str) -> RateContent:
    return RateContent(
        rate_id=rate_id,
        provider=provider,
        model=model,
        source="span",
        version="",
        effective_from="",
        effective_to="",
        content={},
    )


def _picousd(text: object) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    if not amount.is_finite() or not -40 < amount.adjusted() < 7:
        return None
    picousd = EXACT.multiply(amount, PICO)
    if picousd != picousd.to_integral_value(context=EXACT) or abs(int(picousd)) >= MAX_COST_PICOUSD:
        return None
    return int(picousd)
