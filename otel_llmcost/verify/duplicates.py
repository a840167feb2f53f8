"""
What was charged twice: copies of one row, batches of corrections, and one response that several rows charge; what stays.

A copy is a second row of the same span: a journal that was restored from a backup, or a span that reached the ledger on
two ways. What counts is which charges are in force, not how many rows there are; what was taken back once too often is
found as well. A shared response is one request that a client and its gateway both journaled. As in charging, an id alone
proves nothing, since local servers draw theirs from a few hundred: the two must also meet in time, and in their model or
tokens. What stays is the best: with usage before without, priced before not, fewer gaps, earlier, then the ids.
Limits: a run looks at 100,000 charges that may share a response; the next one finds the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Final, Literal, TypeAlias, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.explain import COPY
from otel_llmcost.reports.money import sum_usd
from otel_llmcost.reports.period import Period

__all__ = [
    "COPY",
    "CORRECTION",
    "RESPONSE",
    "Duplicates",
    "Row",
    "TakeBack",
    "find_copies",
    "find_corrections",
    "find_shared_responses",
]

CORRECTION: Final = "duplicate_correction"
RESPONSE: Final = "duplicate_response"
"""The reasons under which a repair takes charges back, in `llm_adjustments`."""
Row: TypeAlias = Mapping[str, object]
SpanKey: TypeAlias = tuple[str, str]
_MOST: Final = 100_000
"""So many charges that may share a response are looked at."""
_KEYS_AT_ONCE: Final = 200
_SKEW: Final = timedelta(seconds=5)
"""How far the clocks of two services that saw one response may be apart."""
_OF_A_CORRECTION: Final = frozenset(
    {
        "sign",
        "of_trace_id",
        "of_span_id",
        "adjustment_reason",
        "adjusted_at",
        "batch_id",
        "taken_before",
        "all_copies",
        "all_cost_usd",
        "all_missing",
        "missing_cost_usd",
    }
)
"""What is said of a charge, and is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """A charge too many: what it says, the row that it stands under, and why it should go."""

    charge: Row
    """By column, as it was charged."""
    of: SpanKey
    reason: Literal["duplicate_copy", "duplicate_correction", "duplicate_response"]
    kept: SpanKey
    """The row whose charge stays."""
    sign: Literal[-1, 1]
    """-1 for a charge; +1 for what should not have taken something back: a correction's copy, or a take-back too many."""
    taken_before: int
    """How many of the same were taken back earlier: two repairs must not look like one that is repeated."""

    @property
    def cost_usd(self) -> Decimal | None:
        """How much lower the bill will be; None where no cost is known."""
        cost = self.charge["cost_usd"]
        return EXACT.multiply(Decimal(-self.sign), cost) if isinstance(cost, Decimal) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Charges too many of one kind."""

    charges: int
    cost_usd: Decimal
    """What they add to the bill; those without a known cost add nothing."""
    take_backs: tuple[TakeBack, ...]
    """The charges themselves, oldest first; fewer than `charges` where only some were asked for."""
    missing: int = 0
    """How many of them are the other way round: taken back more often than charged, and to be given back."""
    missing_usd: Decimal = Decimal(0)
    """What the bill lacks by those."""


def content(charge: Row) -> tuple[object, ...]:
    """Give everything that a charge says, comparable; what is said of it is left out."""
    return tuple((name, repr(charge[name])) for name in sorted(charge.keys() - _OF_A_CORRECTION))


def find_copies(ledger: Answers, period: Period, *, limit: int) -> Duplicates:
    """Find charges whose span has a better one, and take-backs too many; at most `limit`, with number and cost of all."""
    return _found(ledger, "duplicate_copies", period, limit, COPY)


def find_corrections(ledger: Answers, period: Period, *, limit: int) -> Duplicates:
    """Find adjustments of whole batches that were stored again, in the same way."""
    return _found(ledger, "duplicate_corrections", period, limit, CORRECTION)


def _found(
    ledger: Answers, query: str, period: Period, limit: int, reason: Literal["duplicate_copy", "duplicate_correction"]
) -> Duplicates:
    rows = ledger.query(query, {"since": period.since, "until": period.until, "limit": limit})
    return Duplicates(
        charges=int(str(rows[0]["all_copies"])) if rows else 0,
        cost_usd=cast("Decimal", rows[0]["all_cost_usd"]) if rows else Decimal(0),
        take_backs=tuple(_again(row, reason) for row in rows),
        missing=int(str(rows[0].get("all_missing", 0))) if rows else 0,
        missing_usd=cast("Decimal", rows[0].get("missing_cost_usd", Decimal(0))) if rows else Decimal(0),
    )


def _again(row: Row, reason: Literal["duplicate_copy", "duplicate_correction"]) -> TakeBack:
    of = _of(row)
    before = int(str(row["taken_before"]))
    return TakeBack(
        charge=row, of=of, reason=reason, kept=of, sign=1 if row.get("sign") == -1 else -1, taken_before=before
    )


def find_shared_responses(ledger: Answers, period: Period, others: Sequence[TakeBack] = ()) -> Duplicates:
    """Find charges whose response another row charges too. `others` are about to be taken back, and not counted again."""
    found = ledger.query("duplicate_responses", {"since": period.since, "until": period.until, "limit": _MOST})
    kept = dict(_losers(found))
    charges = _in_force(ledger, sorted(kept), others)
    take_backs = sorted(
        (
            TakeBack(charge=row, of=key, reason=RESPONSE, kept=kept[key], sign=-1, taken_before=before)
            for key, row, before in charges
        ),
        key=lambda each: (str(each.charge["timestamp"]), each.of),
    )
    return Duplicates(
        charges=len(take_backs),
        cost_usd=sum_usd(each.cost_usd for each in take_backs if each.cost_usd is not None),
        take_backs=tuple(take_backs),
    )


def _losers(holders: Iterable[Row]) -> Iterator[tuple[SpanKey, SpanKey]]:
    """Give every holder of a shared response but the best, with the best of its group."""
    for _, sharing in groupby(holders, key=itemgetter("response_id")):
        for group in _groups(sharing):
            best, *others = sorted(group, key=_rank)
            yield from ((_of(each), _of(best)) for each in others)


def _groups(sharing: Iterable[Row]) -> Iterator[list[Row]]:
    """Split what has one response's id, by start, into what shows one response."""
    groups: list[list[Row]] = []
    for holder in sharing:
        over = [
            group
            for group in groups
            if all(_instant(each, "ended") + _SKEW < _instant(holder, "timestamp") for each in group)
        ]
        yield from over
        same = [group for group in groups if any(_is_same_response(each, holder) for each in group)]
        groups = [group for group in groups if group not in over and group not in same]
        groups.append([*(each for group in same for each in group), holder])
    yield from groups


def _is_same_response(a: Row, b: Row) -> bool:
    skew = _SKEW if (a["scope_name"], a["service_name"]) != (b["scope_name"], b["service_name"]) else timedelta(0)
    meet = (
        _instant(a, "timestamp") <= _instant(b, "ended") + skew
        and _instant(b, "timestamp") <= _instant(a, "ended") + skew
    )
    tokens = itemgetter("given_tokens", "output_tokens")
    return meet and (
        tokens(a) == tokens(b) or bool(a["lacks_usage"] or b["lacks_usage"]) or not _models(a).isdisjoint(_models(b))
    )


def _rank(holder: Row) -> tuple[bool, bool, int, datetime, SpanKey]:
    lacks_usage, lacks_cost = bool(holder["lacks_usage"]), bool(holder["lacks_cost"])
    return lacks_usage, lacks_cost, int(str(holder["gaps"])), _instant(holder, "timestamp"), _of(holder)


def _in_force(
    ledger: Answers, keys: Sequence[SpanKey], others: Sequence[TakeBack]
) -> Iterator[tuple[SpanKey, Row, int]]:
    """Give the charges that still count under some rows, each with how often the same was taken back."""
    gone: Counter[tuple[SpanKey, tuple[object, ...]]] = Counter()
    for each in others:
        gone[each.of, content(each.charge)] -= each.sign
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        parameters = {"trace_ids": [key[0] for key in some], "span_ids": [key[1] for key in some]}
        counts: Counter[tuple[SpanKey, tuple[object, ...]]] = Counter()
        taken: Counter[tuple[SpanKey, tuple[object, ...]]] = Counter()
        charges: dict[tuple[SpanKey, tuple[object, ...]], Row] = {}
        for row in ledger.query("charges_of", parameters):
            known = _of(row), content(row)
            charges[known] = row
            counts[known] += int(str(row["sign"]))
            taken[known] += row["sign"] == -1
        for known, charge in charges.items():
            for number in range(counts[known] - gone[known]):
                yield known[0], charge, taken[known] + max(0, gone[known]) + number


def _of(row: Row) -> SpanKey:
    return str(row["of_trace_id"]), str(row["of_span_id"])


def _instant(row: Row, name: str) -> datetime:
    return cast("datetime", row[name])


def _models(row: Row) -> set[str]:
    """Give the names that a charge has for its model, without the prefix that a router puts before them."""
    return {str(name).rpartition("/")[2] for name in cast("list[object]", row["models"]) if name}
