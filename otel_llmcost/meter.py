"""
The meter: a span goes in, what it means to the bill comes out. The one place that knows the order of the steps.

Read (dialect) -> price -> decide (charging). The processor, the receiver and the auditor differ only in where a span
comes from and where a row goes; what lies between is here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from otel_llmcost import dialects
from otel_llmcost.attributes import Stamp
from otel_llmcost.charging import Charging, Outcome, SpanKey
from otel_llmcost.counters import COUNTERS
from otel_llmcost.model import (
    INITIAL,
    NO_OWNER,
    Duplicate,
    ModelCall,
    Owner,
    Price,
    Priced,
    Request,
    SpanView,
    Unpriced,
    Usage,
    changer,
    maker,
)
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.unloaded import PRICES_NOT_LOADED, keep_attributes

__all__ = ["Meter"]

_NO_ATTRIBUTES: dict[str, object] = {}
_NOT_OURS = Unpriced(reason="")
_ANSWERING = frozenset({"chat", "generate_content", "text_completion"})
_COUNTED_AS = {status: f"requests.{status}" for status in ("priced", "partial", "unpriced", "provider_reported")}
_with_attributes = changer(SpanView, "attributes")
_new_request = maker(Request)


class Meter:
    """
    Turns spans into requests, duplicates and adjustments. Thread-safe.

    Args:
        pricer: where prices come from.
        charging: what is remembered about earlier spans.
        gateways: hosts (`.suffix` for all below one) whose requests a meter of their own charges.
    """

    def __init__(self, pricer: Pricer, charging: Charging, *, gateways: Iterable[str] = ()) -> None:
        self._pricer = pricer
        self._charging = charging
        self._gateways = tuple(gateways)

    def extend(self, key: SpanKey, ancestors: Sequence[SpanKey]) -> tuple[Outcome, ...]:
        """Learn more ancestors of a span that was decided already, and say what that changes."""
        return self._charging.extend(key, ancestors)

    def undo(self, refused: Sequence[Outcome]) -> None:
        """Forget what could not be written down, so that nothing is built on it."""
        if refused:
            self._charging.undo(refused)

    def meter(
        self, span: SpanView, owner: Owner, *, ancestors: Sequence[SpanKey] = (), declared: str | None = None
    ) -> tuple[Outcome, ...]:
        """Read, price and decide one ended span; `()` when it is no model request."""
        call = dialects.read(span)
        if call is None:
            return ()
        return self.meter_call(span, call, owner, ancestors=ancestors, declared=declared)

    def meter_call(
        self,
        span: SpanView,
        call: ModelCall,
        owner: Owner,
        *,
        ancestors: Sequence[SpanKey] = (),
        declared: str | None = None,
    ) -> tuple[Outcome, ...]:
        """Price and decide a call that is already read."""
        # Without attributes: what is remembered or stored can hold no message content.
        bare = _with_attributes(span, attributes=_NO_ATTRIBUTES)
        if self._gateways and _is_one_of(self._gateways, call.price_attributes.get("server.address", "")):
            COUNTERS.add("duplicates.gateway")
            return (Duplicate(span=bare, call=call, of_trace_id="", of_span_id="", reason="gateway"),)
        if call.usage is not None and _says_nothing(call.usage):
            call = replace(call, usage=None)
        price = self.price(call, span.start_unix_ns)
        candidate = _new_request(span=bare, call=call, owner=owner, price=price, attempt=INITIAL)
        return self.decide(candidate, ancestors=ancestors, declared=declared)

    def decide(
        self, candidate: Request, *, ancestors: Sequence[SpanKey] = (), declared: str | None = None
    ) -> tuple[Outcome, ...]:
        """Decide a call that is priced already."""
        outcomes = self._charging.decide(candidate, ancestors=ancestors, declared=declared)
        for outcome in outcomes:
            if isinstance(outcome, Request):
                COUNTERS.add(_COUNTED_AS[outcome.price.status])
        return outcomes

    def as_stamped(self, span: SpanView, call: ModelCall, stamp: Stamp, owner: Owner) -> Request:
        """Give the request that was priced at its source: its cost is kept, and the rate's content added if it is ours."""
        price, ours = stamp.price, self.price(replace(call, usage=stamp.usage), span.start_unix_ns)
        if isinstance(price, Priced) and isinstance(ours, Priced) and ours.rate.rate_id == price.rate.rate_id:
            price = replace(price, rate=ours.rate, match_rule=ours.match_rule)  # a span has no room for that
        return _new_request(
            span=_with_attributes(span, attributes=_NO_ATTRIBUTES),
            call=replace(call, usage=stamp.usage),
            owner=owner,
            price=price,
            attempt=stamp.attempt,
        )

    def note(
        self,
        span: SpanView,
        call: ModelCall,
        *,
        ancestors: Sequence[SpanKey] = (),
        standing: Literal["elsewhere", "aside"],
    ) -> tuple[Outcome, ...]:
        """Know a span that is not ours to charge, so that others group by it: see `Charging.note`."""
        bare = _with_attributes(span, attributes=_NO_ATTRIBUTES)
        seen = _new_request(span=bare, call=call, owner=NO_OWNER, price=_NOT_OURS, attempt=INITIAL)
        return self._charging.note(seen, ancestors=ancestors, standing=standing)

    def forget(self, key: SpanKey) -> None:
        """Forget a span that could not be written down: it is decided anew when it is sent again."""
        self._charging.forget(key)

    def price(self, call: ModelCall, start_unix_ns: int) -> Price:
        """Price a call; one that only its provider can price is `provider_reported`, and ours stays unknown."""
        price = self._pricer.price_call(call, start_unix_ns)
        if isinstance(price, Unpriced) and price.reason == PRICES_NOT_LOADED:
            price = keep_attributes(price, call.price_attributes)
        if call.provider_cost_usd is not None and isinstance(price, Unpriced):
            return replace(price, status="provider_reported")
        if isinstance(price, Priced) and (half := _unknown_half(call)):
            return replace(price, status="partial", reason=half)
        return price


def _says_nothing(usage: Usage) -> bool:
    """Tell that what a span calls usage is only zeros beside an unknown input: nobody reported what is billed."""
    return usage.input_tokens is None and not any(usage.counts)


def _unknown_half(call: ModelCall) -> str:
    """
    Name the half of a call that nobody reported, so that its cost is a lower bound: the answer of a request that
    answers with tokens (an abandoned stream, say), or the input of a call that was answered.
    """
    usage = call.usage
    if usage is None:
        return ""
    answered = usage.output_tokens or usage.audio_output_tokens or usage.image_output_tokens
    if usage.output_tokens is None and not answered and (call.operation in _ANSWERING or "output" in call.usage_gaps):
        return "output_unknown"
    return "input_unknown" if usage.input_tokens is None and answered else ""


@functools.lru_cache(maxsize=1024)
def _is_one_of(gateways: tuple[str, ...], host: str) -> bool:
    host = host.lower().rstrip(".")
    return any(host.endswith(gateway) if gateway.startswith(".") else host == gateway for gateway in gateways)
