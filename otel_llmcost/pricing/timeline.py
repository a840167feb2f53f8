"""
The compiled prices of one query over time: which `Charge` holds at an instant, and what it makes of counts.

Between two changes the price is one `Charge`, or, where hours of the week differ, a table of minutes of the week.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from typing import Final

from otel_llmcost.model import COUNTS, MAX_COST_PICOUSD, MAX_COUNT, Priced, Unpriced, maker, picousd_text
from otel_llmcost.pricing.compiled import (
    CompiledRate,
    CompiledTier,
    Counts,
    invalid_counts,
    round_half_even,
    share_out,
    without_lone_reasoning,
)
from otel_llmcost.pricing.content import CALL_COUNTS, rate_content
from otel_llmcost.pricing.layers import Quote, Resolution

__all__ = ["Charge", "Hours", "Timeline", "minute_of_week", "unusable"]

_WEEK: Final = 7 * 1440
_TOKENS: Final = tuple(i for i, name in enumerate(COUNTS) if name.endswith("_tokens") and name != "reasoning_tokens")
_OUTPUT: Final = COUNTS.index("output_tokens")
_CALLS: Final = tuple(i for i, name in enumerate(COUNTS) if name in CALL_COUNTS)
_COUNT_TYPES: Final = frozenset({int, type(None)})
_NO_USAGE: Final = Unpriced(
    reason="no_usage", detail="No token count was reported, so that the cost is unknown, not 0."
)
_new_priced: Final = maker(Priced)


def minute_of_week(seconds: int) -> int:
    """Give the minute of the week of Unix seconds; Monday 00:00 UTC is 0 (1 January 1970 was a Thursday)."""
    return (seconds // 60 + 3 * 1440) % _WEEK


def unusable(counts: tuple[object, ...]) -> Unpriced | None:
    """Give the reason why counts cannot be priced at all, whatever the rate."""
    if problem := invalid_counts(counts):
        return Unpriced(reason="invalid_usage", detail=problem)
    if all(counts[i] is None for i in _TOKENS) and not any(counts[i] for i in _CALLS):
        return _NO_USAGE
    return None


@dataclass(frozen=True, slots=True)
class Charge:
    """A compiled price: what is paid, the list price beside it, and how the name was met."""

    rate: CompiledRate
    listed: CompiledRate
    rule: str

    def price(self, counts: Counts) -> Priced | Unpriced:
        """Price the counts of one request, in the order of `COUNTS`."""
        rate = self.rate
        try:
            tier = rate.tiers[0] if len(rate.tiers) == 1 else rate.tier(counts)
        except (TypeError, ValueError):
            return unusable(counts) or _NO_USAGE
        billed, cost, savings, is_partial = 0, tier.request, 0, False
        parts: dict[str, int] = {}
        # One pass over the counts that are there (compress drops None and 0): this is most of what a price costs.
        for count, line in compress(zip(counts, tier.lines, strict=False), counts):
            if type(count) is not int or not 0 < count < MAX_COUNT:
                return unusable(counts) or _NO_USAGE
            billed += 1
            if line is None:
                is_partial = True
                continue
            coefficient, component, saved = line
            cost += (part := count * coefficient)
            parts[component] = parts.get(component, 0) + part
            if saved:
                savings += count * saved
        if counts.count(None) + billed != len(counts) and not _COUNT_TYPES.issuperset(map(type, counts)):
            return unusable(counts) or _NO_USAGE  # False, 0.0 and "" are zeros, but not counts
        if not billed and (unknown := unusable(counts)):
            return unknown
        if counts[-1] and counts[-1] > (counts[_OUTPUT] or 0):
            return self._odd_reasoning(counts)
        if tier.request:
            parts["request"] = tier.request
        if 0 in parts.values():
            parts = {component: part for component, part in parts.items() if part}
        missing = _without_rate(tier, counts) if is_partial else ()
        if missing and len(missing) + bool(counts[-1]) == billed:
            return _no_rate(rate, missing)
        return self._priced(counts, cost, savings, parts, missing)

    def _odd_reasoning(self, counts: Counts) -> Priced | Unpriced:
        """Answer for reasoning above its output: a lower bound where the output is unknown, else a wrong count."""
        if unknown := unusable(counts):
            return unknown
        answer = self.price(without_lone_reasoning(counts))
        if isinstance(answer, Unpriced):
            return answer
        return replace(answer, status="partial", reason=answer.reason or "output_unknown")

    def _priced(
        self, counts: Counts, cost: int, savings: int, parts: dict[str, int], missing: tuple[str, ...]
    ) -> Priced | Unpriced:
        rate = self.rate
        if rate.denominator != 1:
            cost = round_half_even(cost, rate.denominator)
            savings = round_half_even(savings, rate.denominator)
            parts = share_out(parts, rate.denominator, cost)
        if cost >= MAX_COST_PICOUSD:
            return _too_much(cost)
        return _new_priced(
            status="partial" if missing else "priced",
            cost_picousd=cost,
            list_cost_picousd=cost if self.listed is rate else self.listed.cost(counts),
            components=tuple(parts.items()),
            cache_savings_picousd=savings,
            rate=rate.content,
            match_rule=self.rule,
            missing_rates=missing,
            reason=_reason(missing) if missing else None,
        )


def _without_rate(tier: CompiledTier, counts: Counts) -> tuple[str, ...]:
    return tuple([name for name, count, line in zip(COUNTS, counts, tier.lines, strict=True) if count and line is None])


def _reason(missing: tuple[str, ...]) -> str:
    return "no_tool_rate" if any(name in CALL_COUNTS for name in missing) else "no_component_rate"


def _no_rate(rate: CompiledRate, missing: tuple[str, ...]) -> Unpriced:
    names = ", ".join(missing)
    detail = f"{rate.content.rate_id} has no price for {names}, the only usage here. State one in a rate card."
    return Unpriced(reason=_reason(missing), detail=detail)


def _too_much(cost: int) -> Unpriced:
    detail = (
        f"The cost would be {picousd_text(cost)} USD: above the limit of one request, so that a count must be wrong."
    )
    return Unpriced(reason="invalid_usage", detail=detail)


@dataclass(frozen=True, slots=True)
class Hours:
    """Prices that differ by hour: one byte per minute of the week, and what each byte means."""

    table: bytes
    charges: tuple[Charge | Unpriced, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What holds from each instant on. `starts[0]` is before any instant."""

    starts: tuple[int, ...]
    entries: tuple[Charge | Unpriced | Hours, ...]

    def at(self, seconds: int) -> Charge | Unpriced:
        """Give what holds at Unix seconds."""
        starts = self.starts
        entry = self.entries[-1] if seconds >= starts[-1] else self.entries[bisect_right(starts, seconds) - 1]
        if type(entry) is Hours:
            return entry.charges[entry.table[minute_of_week(seconds)]]
        return entry  # type: ignore[return-value]  # the other two kinds; mypy does not narrow by `type() is`

    @classmethod
    def build(cls, resolution: Resolution) -> Timeline:
        """Ask for the price between any two changes, join equal neighbours, and compile."""
        instants = [_FIRST, *resolution.instants()]
        minutes = resolution.minutes() or [0]
        answers = [tuple(resolution.at(instant, minute) for minute in minutes) for instant in instants]
        kept = [i for i in range(len(instants)) if i == 0 or answers[i] != answers[i - 1]]
        spans = pairwise([*(instants[i] for i in kept), None])
        entries = [
            _compile(answers[i], minutes, None if start == _FIRST else start, end)
            for i, (start, end) in zip(kept, spans, strict=True)
        ]
        return cls(tuple(instants[i] for i in kept), tuple(entries))


_FIRST: Final = -(2**62)


def _compile(
    answers: tuple[Quote | Unpriced, ...], minutes: list[int], start: int | None, end: int | None
) -> Charge | Unpriced | Hours:
    distinct = list({id(answer): answer for answer in answers}.values())
    distinct = [answer for i, answer in enumerate(distinct) if answer not in distinct[:i]]
    charges = tuple(answer if isinstance(answer, Unpriced) else _charge(answer, start, end) for answer in distinct)
    if len(charges) == 1:
        return charges[0]
    table = bytearray(_WEEK)
    for (first, last), answer in zip(pairwise([*minutes, _WEEK]), answers, strict=True):
        table[first:last] = bytes([distinct.index(answer)]) * (last - first)
    return Hours(bytes(table), charges)


def _charge(quote: Quote, start: int | None, end: int | None) -> Charge:
    rate = CompiledRate(rate_content(quote.offer, start, end))
    listed = rate if quote.listed == quote.offer else CompiledRate(rate_content(quote.listed, start, end))
    return Charge(rate, listed, quote.rule)
