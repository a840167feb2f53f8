"""Requests for the view: those of all captures, and random ones with every field at its extremes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from otel_llmcost.charging import Charging
from otel_llmcost.meter import Meter
from otel_llmcost.model import COMPONENTS, COUNTS, NO_OWNER, Attempt, Owner, Price, Priced, Request, Unpriced, Usage
from otel_llmcost.pricing import Pricer
from tests import captures
from tests.ledger.samples import RATE, START_NS, a_request

TEXTS = ("search", "Ünïcode 東京 🙂", 'it\'s "quoted" \\ {x:y} %s $1', "2026-11-22", "42", "true", "a b=c", "(none)")


def captured() -> Iterator[Request]:
    """Charge every capture as a processor without a journal does; each in a trace of its own."""
    meter = Meter(Pricer.default(), Charging(can_adjust=False))
    for number, name in enumerate(captures.names("")):
        for span in captures.views(captures.load(name)):
            own = replace(span, trace_id=f"{number:04x}{span.trace_id[4:]}")
            yield from (each for each in meter.meter(own, NO_OWNER) if isinstance(each, Request))


def random_requests(seed: int, count: int) -> Iterator[Request]:
    """Draw requests: every count, price, owner, attempt and instant that a row can have."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        request = a_request(
            number,
            price=_price(chance),
            owner=_owner(chance),
            usage=_usage(chance),
            status=chance.choice(("success", "error", "timeout", "cancelled")),
            attempt=_attempt(chance),
            start_unix_ns=chance.choice((START_NS, 0, 4_200_000_000 * 10**9, START_NS + chance.randrange(10**15))),
            duration_ns=chance.choice((0, -5_000, 999, 123_456_789, 10**18)),
            model=chance.choice(("gpt-5.4-mini", "", *TEXTS)),
            service=chance.choice(("api", "", "s" * 300, *TEXTS)),
            provider_cost_usd=chance.choice((None, Decimal("0.000000000001"), Decimal("999999.999999999999"))),
        )
        yield replace(request, call=replace(request.call, **_call(chance)))


def _call(chance: random.Random) -> dict[str, Any]:
    return {
        "response_id": chance.choice(("", "chatcmpl-1", *TEXTS)),
        "error_type": chance.choice(("", "RateLimitError")),
        "service_tier": chance.choice(("", "flex")),
        "batch": chance.random() < 0.2,
        "usage_gaps": chance.choice(((), ("reasoning", "cached_input"))),
        "resend_count": chance.choice((0, 3, 70_000)),
    }


def _usage(chance: random.Random) -> Usage | None:
    if chance.random() < 0.1:
        return None
    names = chance.sample(COUNTS, chance.randrange(len(COUNTS) + 1))
    return Usage(**{name: chance.choice((0, 1, 8000, 2**53 - 1)) for name in names})


def _price(chance: random.Random) -> Price:
    if chance.random() < 0.2:
        status: Any = chance.choice(("unpriced", "provider_reported"))
        return Unpriced(reason="unknown_model", detail='no rate for gpt-x, "it\'s" new', status=status)
    names = chance.sample(COMPONENTS, chance.randrange(len(COMPONENTS) + 1))
    components = tuple((name, chance.choice((1, 10**12, 124_999 * 10**12 + 999_999_999_999))) for name in names)
    cost = sum(amount for _, amount in components)
    return Priced(
        status=chance.choice(("priced", "partial")),
        cost_picousd=cost,
        list_cost_picousd=chance.choice((cost, cost + 7, 0)),
        components=components,
        cache_savings_picousd=chance.choice((0, 5, -(10**12))),
        rate=RATE,
        match_rule=chance.choice(("exact", "alias")),
        missing_rates=chance.choice(((), ("web_search_calls", "audio_input_tokens"))),
        reason=chance.choice((None, "no_tool_rate")),
    )


def _owner(chance: random.Random) -> Owner:
    def text() -> str | None:
        return chance.choice((None, *TEXTS))

    return Owner(
        team=text(),
        feature=text(),
        customer_id=text(),
        environment=text(),
        action=text(),
        action_id=text(),
        request_id=text(),
        extra={"cost_center": chance.choice(TEXTS)} if chance.random() < 0.3 else {},
        source=chance.choice(("", "baggage+resource")),
    )


def _attempt(chance: random.Random) -> Attempt:
    if chance.random() < 0.5:
        return Attempt(source=chance.choice(("", "declared")))
    kind: Any = chance.choice(("retry", "fallback"))
    number = chance.choice((1, 2, 99_999))
    return Attempt(kind=kind, number=number, source="inferred", wasted=chance.random() < 0.5)
