"""
The audit itself: spans and bodies go in, in any order; out comes the final bill, each request once.

Everything is read before anything is decided: parents may come after their children or in another file, and spans are
decided in the order in which they ended, so that neither the order of lines nor of files changes the answer. Of a span
that makes no model request only its parent link is kept; of a call, what a row needs. Content is kept nowhere.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

from otel_llmcost import dialects
from otel_llmcost.attributes import ATTEMPT_KIND, COST_USD, DUPLICATE_OF
from otel_llmcost.audit.bodies import Body
from otel_llmcost.charging import Ancestry, Charging, SpanKey
from otel_llmcost.meter import Meter
from otel_llmcost.model import NO_OWNER, Adjustment, Attempt, Duplicate, ModelCall, Owner, Request, SpanView, Unpriced
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings

__all__ = ["MAX_SPANS", "Charged", "Decided", "Repeat", "TooMany", "Trail"]

MAX_SPANS: Final = 1_000_000
"""Of one audit, model calls or not: about 1 GB. More belongs into a ledger."""

_NO_PRICE: Final = Unpriced(reason="no_usage")


class TooMany(Exception):
    """The audit has as many spans as it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """A request as it is billed in the end."""

    request: Request
    stamped_cost_usd: str | None = None
    """What a processor of ours wrote on the span when it ended, if that is there: the rates of that day and contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A span that shows a request which `of` carries; `of` is None when that one is not here."""

    span: SpanKey
    of: SpanKey | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The final bill: `charged` by start, `repeats` by span, the same for any order of arrival."""

    charged: list[Charged]
    repeats: list[Repeat]
    agents_without_requests: int
    """Agents and workflows that show neither usage nor a request below them: what they cost is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    span: SpanView
    call: ModelCall
    owner: Owner
    declared: Literal["retry", "fallback"] | None = None
    duplicate_of: str = ""
    stamped_cost_usd: str | None = None

    @property
    def key(self) -> SpanKey:
        return self.span.trace_id, self.span.span_id

    @property
    def order(self) -> tuple[object, ...]:
        """By end; copies of one span that differ (a file was cut) have an order too: the one with usage first."""
        return self.span.end_unix_ns, self.key, self.call.usage is None, repr(self.call), repr(self.owner)


class Trail:
    """
    Collects what an audit is about, and decides it all at once.

    Args:
        pricer: where prices come from.
        settings: baggage keys, gateways; no ledger is touched.
    """

    def __init__(self, pricer: Pricer, settings: Settings) -> None:
        self._pricer = pricer
        self._gateways = settings.gateways
        self._owners = OwnerReader(replace(settings, max_owner_values=MAX_SPANS))
        self._parents: dict[SpanKey, str] = {}
        self._calls: list[_Call] = []
        self._nameless: Counter[str] = Counter()
        self.spans = 0

    def add_span(self, span: SpanView) -> None:
        """Take in a span. Raises `TooMany`."""
        self._count()
        key = (span.trace_id, span.span_id)
        self._parents[key] = max(self._parents.get(key, ""), span.parent_span_id or "")
        call = dialects.read(span) if dialects.is_genai(span.attributes) else None
        if call is None:
            return
        stamp = span.attributes.get
        kind, of, cost = stamp(ATTEMPT_KIND), stamp(DUPLICATE_OF), stamp(COST_USD)
        self._calls.append(
            _Call(
                span=replace(span, name="", attributes={}),
                call=call,
                owner=self._owners.read_copied(span.resource, span.attributes),
                declared="retry" if kind == "retry" else "fallback" if kind == "fallback" else None,
                duplicate_of=of if isinstance(of, str) else "",
                stamped_cost_usd=cost if isinstance(cost, str) else None,
            )
        )

    def add_body(self, body: Body) -> None:
        """Take in a response body; equal ones without an id are as many requests. Raises `TooMany`."""
        self._count()
        span = body.span
        if not span.span_id:
            what = repr((span.start_unix_ns, body.call))
            self._nameless[what] += 1
            digest = hashlib.sha256(f"{what}{self._nameless[what]}".encode()).hexdigest()
            span = replace(span, trace_id=digest[:32], span_id=digest[32:48])
        self._calls.append(_Call(span=replace(span, attributes={}), call=body.call, owner=NO_OWNER))

    def _count(self) -> None:
        if self.spans >= MAX_SPANS:
            raise TooMany
        self.spans += 1

    def decide(self) -> Decided:
        """Give what is billed in the end, and what is not."""
        calls = sorted(self._calls, key=lambda each: each.order)
        charging = Charging(max_spans=len(calls) + 1)
        meter = Meter(self._pricer, charging, gateways=self._gateways)
        decision = _Decision(calls, self._chains(calls), charging)
        decision.run(meter)
        return Decided(
            charged=sorted(decision.charged(), key=lambda each: (each.request.span.start_unix_ns, _key(each.request))),
            repeats=sorted(decision.repeats(), key=lambda each: (each.span, each.reason)),
            agents_without_requests=decision.agents_without_requests(),
        )

    def _chains(self, calls: list[_Call]) -> dict[SpanKey, tuple[SpanKey, ...]]:
        ancestry = Ancestry(max_spans=MAX_SPANS + 1)
        for (trace_id, span_id), parent in self._parents.items():
            ancestry.add((trace_id, span_id), (trace_id, parent) if parent else None)
        return {each.key: ancestry.chain(each.key) for each in calls}


class _Decision:
    """One run of the meter over all calls, and what it comes to in the end."""

    def __init__(self, calls: list[_Call], chains: dict[SpanKey, tuple[SpanKey, ...]], charging: Charging) -> None:
        self._calls = calls
        self._chains = chains
        self._charging = charging
        self._held: dict[SpanKey, Request] = {}
        """Row -> the request that it stands for after its adjustments."""
        self._asides: list[tuple[_Call, str]] = []

    def run(self, meter: Meter) -> None:
        known = {each.key for each in self._calls}
        for each in self._calls:
            if each.duplicate_of and (each.span.trace_id, each.duplicate_of) not in known:
                self._asides.append((each, "recorded"))  # the meter at its source knew the other span; it is not here
                continue
            outcomes = meter.meter_call(
                each.span, each.call, each.owner, ancestors=self._chains[each.key], declared=each.declared
            )
            for outcome in outcomes:
                self._apply(outcome)
            if outcomes:
                first = outcomes[0]
                self._asides.append((each, first.reason if isinstance(first, Duplicate) else ""))

    def _apply(self, outcome: Request | Duplicate | Adjustment) -> None:
        if isinstance(outcome, Request):
            self._held[outcome.span.trace_id, outcome.span.span_id] = outcome
        elif isinstance(outcome, Adjustment):
            row = (outcome.of_trace_id, outcome.of_span_id)
            if outcome.sign == 1:
                self._held[row] = outcome.request
            else:
                self._held.pop(row, None)

    def charged(self) -> Iterator[Charged]:
        stamps = {each.key: each.stamped_cost_usd for each in reversed(self._calls)}
        for request in self._held.values():
            yield Charged(request=request, stamped_cost_usd=stamps[_key(request)])

    def repeats(self) -> Iterator[Repeat]:
        """Ask the charging again, now that it knows everything: whose request is it?"""
        carriers = {_key(request): request.call for request in self._held.values()}
        shown: set[SpanKey] = set()
        for each, reason in self._asides:
            if each.key in carriers and each.key not in shown:
                shown.add(each.key)
            elif reason in ("recorded", "gateway"):
                of = (each.span.trace_id, each.duplicate_of) if each.duplicate_of else None
                yield Repeat(span=each.key, of=of, reason=reason)
            else:
                inner = self._below.get(each.key, ()) if each.call.kind == "aggregate" else (each,)
                carrier = next((of for call in inner if (of := self._carrier(call)) is not None), None)
                yield Repeat(span=each.key, of=carrier, reason=self._reason(each, carrier, reason, carriers))

    def agents_without_requests(self) -> int:
        decided = {each.key for each, _ in self._asides}
        return sum(not requests and key not in decided for key, requests in self._below.items())

    @cached_property
    def _below(self) -> dict[SpanKey, list[_Call]]:
        """Give the requests below each aggregate, the first to start in front."""
        below: dict[SpanKey, list[_Call]] = {each.key: [] for each in self._calls if each.call.kind == "aggregate"}
        for each in sorted(self._calls, key=lambda each: (each.span.start_unix_ns, each.key)):
            if each.call.kind == "request":
                for key in self._chains[each.key]:
                    if key in below:
                        below[key].append(each)
        return below

    def _carrier(self, each: _Call) -> SpanKey | None:
        probe = Request(span=each.span, call=each.call, owner=NO_OWNER, price=_NO_PRICE, attempt=Attempt())
        answer = self._charging.decide(probe)[0]
        held = self._held.get((answer.of_trace_id, answer.of_span_id)) if isinstance(answer, Duplicate) else None
        return _key(held) if held else None

    def _reason(self, each: _Call, of: SpanKey | None, reason: str, carriers: Mapping[SpanKey, ModelCall]) -> str:
        if each.call.kind != "request":
            return each.call.kind
        if of is None or of == each.key:
            return reason
        if each.call.response_id and each.call.response_id == carriers[of].response_id:
            return "response_id"
        return "ancestry" if of in self._chains[each.key] or each.key in self._chains[of] else "totals"


def _key(request: Request) -> SpanKey:
    return request.span.trace_id, request.span.span_id
