"""
Requests that ended before the prices were there (`prices_not_loaded`): priced later, by a pair of adjustments.

Their rows have every count and their instant, so that today's prices of that instant are exact: -1 takes the unpriced
charge back, +1 puts it there again with its price, under the same owner, ids and dimensions. What has no price gets its
own reason. Limits: a row that does not keep the attributes which its price may depend on is left, and said.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final, TypeAlias, cast

from otel_llmcost.attributes import PRICE_ATTRIBUTES
from otel_llmcost.charging import Charging
from otel_llmcost.ledger import Answers, Ledger
from otel_llmcost.ledger.row import encode_row, rate_row, request_row
from otel_llmcost.meter import Meter
from otel_llmcost.model import COMPONENTS, COUNTS, INITIAL, NO_OWNER, ModelCall, Price, Priced, Request, SpanView, Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.unloaded import PRICES_NOT_LOADED, kept_attributes
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.settings import Settings
from otel_llmcost.verify.checks import APPLY, Check
from otel_llmcost.verify.duplicates import Row, TakeBack

__all__ = ["Repricing", "Sum", "price_check", "price_later", "reprice", "sums"]

SpanKey: TypeAlias = tuple[str, str]
_REASON: Final = "priced_later"
_ROWS_AT_ONCE: Final = 5_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCHES: Final = uuid.UUID("6f6c6d63-7072-5963-8564-6c6174657221")
"""The namespace of our batches' ids."""
_OF_A_CORRECTION: Final = frozenset(
    {"sign", "of_trace_id", "of_span_id", "adjustment_reason", "adjusted_at", "batch_id"}
)
_OF_THE_PRICE: Final = frozenset(
    {
        "price_status", "reason", "detail", "missing_rates", "cost_usd", "list_cost_usd", "cache_savings_usd",
        "rate_id", "rate_source", "rate_version", "match_rule", *(f"{component}_cost_usd" for component in COMPONENTS),
    }
)  # fmt: skip
_KEPT_NOT: Final = "its price may depend on attributes of its span, which the row does not keep"
_LOADED_NOT: Final = "the prices cannot be loaded here either: reinstall otel-llmcost and genai-prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """A charge without a price, and the price that it gets."""

    charge: Row
    of: SpanKey
    taken_before: int
    """How many of the same were taken back earlier."""
    price: Price | None
    """None: it is left as it is."""
    why_left: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Such charges of one service and model that end in the same way, added up."""

    charge: Row
    """One of them."""
    outcome: str
    """`priced`, `partial`, the reason why there is no price, or why they are left."""
    is_left: bool
    requests: int
    cost_usd: Decimal

    def __str__(self) -> str:
        whose = f"{self.requests:,} requests of service {self.charge['service_name']}, {self.charge['model']}"
        if self.is_left:
            return f"leave without a price: {whose}: {self.outcome}"
        if self.outcome in ("priced", "partial"):
            return f"price ${exact_usd(self.cost_usd)}{' at least' * (self.outcome == 'partial')} for {whose}"
        return f"say {self.outcome} instead of {PRICES_NOT_LOADED}: {whose}"


def price_later(
    ledger: Answers, period: Period, *, settings: Settings | None = None, others: Sequence[TakeBack] = ()
) -> Iterator[Repricing]:
    """
    Price the charges of `period` that have no price because none was loaded; `others` are about to be taken back.

    Raises `LedgerError`, and `RateCardError` for a rate card of the settings (default: the environment's).
    """
    pricer: Pricer | None = None
    meter: Meter | None = None
    for charge, of, taken_before in _unloaded(ledger, period, others):
        if pricer is None or meter is None:
            pricer = Pricer.from_settings(settings or Settings.from_env())  # only now: they take a third of a second
            pricer.wait()
            meter = Meter(pricer, Charging())
        price, why_left = _priced(pricer, meter, charge)
        yield Repricing(charge=charge, of=of, taken_before=taken_before, price=price, why_left=why_left)


def sums(repricings: Iterable[Repricing]) -> tuple[Sum, ...]:
    """Add them up by service, model and outcome; what is left comes last."""
    found: dict[tuple[bool, str, str, str], Sum] = {}
    for each in repricings:
        outcome, cost = _outcome(each), each.price.cost_usd if isinstance(each.price, Priced) else Decimal(0)
        key = each.price is None, str(each.charge["service_name"]), str(each.charge["model"]), outcome
        before = found.get(key)
        found[key] = Sum(
            charge=each.charge,
            outcome=outcome,
            is_left=each.price is None,
            requests=1 + (before.requests if before else 0),
            cost_usd=sum_usd((cost, before.cost_usd if before else Decimal(0))),
        )
    return tuple(found[key] for key in sorted(found))


def reprice(ledger: Ledger, repricings: Iterable[Repricing]) -> int:
    """
    Store their pairs; give how many. Raises `LedgerError`; then run it again.

    Each pair is one insert, whose token says what is taken back and not what is put there: two repairs at once, also
    with other rate cards, price a charge once.
    """
    rates: set[str] = set()
    stored = 0
    for each in repricings:
        if each.price is None:
            continue
        if isinstance(each.price, Priced) and each.price.rate.rate_id not in rates:
            _insert_rate(ledger, each.price)
            rates.add(each.price.rate.rate_id)
        batch = _batch(each.of, repr((_content(each.charge, each.charge), each.taken_before)))
        rows = (_row(each, each.charge, -1), _row(each, _with_price(each.charge, each.price), 1))
        payload = b"\n".join(encode_row({"batch_id": batch, **row}) for row in rows)
        ledger.insert("llm_adjustments", payload, token=batch)
        stored += 1
    return stored


def price_check(found: Sequence[Sum]) -> Check:
    """Say how many requests ended before the prices were there, and which of them a repair prices."""
    mended = [each for each in found if not each.is_left]
    figures = tuple(
        {
            "service_name": each.charge["service_name"],
            "model": each.charge["model"],
            "outcome": each.outcome,
            "requests": each.requests,
            "cost_usd": exact_usd(each.cost_usd),
        }
        for each in found
    )
    left = sum(each.requests for each in found if each.is_left)
    text = f"requests that ended before the prices were loaded: {sum(each.requests for each in found):,}"
    why = f"; without a price stay {left:,}: {', '.join(sorted({each.outcome for each in found if each.is_left}))}"
    if not mended:
        return Check(
            name="prices", state="ok", what=text + why if left else "no request waits for prices", figures=figures
        )
    cost = exact_usd(sum_usd(each.cost_usd for each in mended))
    return Check(
        name="prices",
        state="problem",
        what=f"{text}, with ${cost} too little on the bill{why if left else ''}",
        fix=APPLY,
        figures=figures,
    )


def _unloaded(ledger: Answers, period: Period, others: Sequence[TakeBack]) -> Iterator[tuple[Row, SpanKey, int]]:
    """Give the charges that still count, with their rows, and how often the same were taken back."""
    after = ("", "")
    while rows := ledger.query(
        "prices_not_loaded",
        {
            "since": period.since,
            "until": period.until,
            "after_trace_id": after[0],
            "after_span_id": after[1],
            "limit": _ROWS_AT_ONCE,
        },
    ):
        going: Counter[tuple[SpanKey, str]] = Counter()
        for other in others:
            if other.charge["reason"] == PRICES_NOT_LOADED:
                going[other.of, _content(other.charge, rows[0])] -= other.sign
        for of, group in groupby(rows, key=_of):
            after, same = of, list[Row](group)
            for content, charge in {_content(row, row): row for row in same}.items():
                signs = [int(str(row["sign"])) for row in same if _content(row, row) == content]
                gone = going[of, content]
                for number in range(sum(signs) - gone):
                    yield charge, of, signs.count(-1) + max(0, gone) + number


def _priced(pricer: Pricer, meter: Meter, charge: Row) -> tuple[Price | None, str]:
    kept = kept_attributes(str(charge["detail"]))
    provider, model = str(charge["provider"]), str(charge["model"])
    if kept is None:
        reads = pricer.attributes_read(provider, model)
        # A span gives no other attributes; a record may have given any, a map of deployments too.
        if charge["dialect"] == "record_request" or not reads.isdisjoint(PRICE_ATTRIBUTES):
            return None, _KEPT_NOT
    price = meter.price(_call(charge, kept or {}), _start_unix_ns(charge))
    return (None, _LOADED_NOT) if price.reason == PRICES_NOT_LOADED else (price, "")


def _call(charge: Row, attributes: Mapping[str, object]) -> ModelCall:
    return ModelCall(
        dialect=str(charge["dialect"]),
        kind="request",
        operation=str(charge["operation"]),
        provider=str(charge["provider"]),
        model=str(charge["model"]),
        usage=Usage(**{name: cast("int | None", charge[name]) for name in COUNTS}),
        usage_gaps=tuple(map(str, cast("Sequence[object]", charge["usage_gaps"]))),
        service_tier=str(charge["service_tier"]),
        batch=bool(charge["batch"]),
        speed=str(charge["speed"]),
        region=str(charge["region"]),
        provider_cost_usd=cast("Decimal | None", charge["provider_cost_usd"]),
        price_attributes=cast("Mapping[str, str]", attributes),
    )


def _with_price(charge: Row, price: Price) -> Row:
    """Give a charge with another price; what a row leaves out takes the default of its column, as at ingestion."""
    start = _start_unix_ns(charge)
    span = SpanView(
        trace_id="",
        span_id="",
        parent_span_id=None,
        name="",
        kind="client",
        start_unix_ns=start,
        end_unix_ns=start,
        attributes={},
        resource={},
        scope_name="",
        scope_version="",
        status_code="unset",
    )
    row = request_row(Request(span=span, call=_call(charge, {}), owner=NO_OWNER, price=price, attempt=INITIAL))
    return {
        **{name: value for name, value in charge.items() if name not in _OF_THE_PRICE},
        **{name: value for name, value in row.items() if name in _OF_THE_PRICE},
    }


def _row(each: Repricing, charge: Row, sign: int) -> dict[str, object]:
    return {
        **{name: _plain(value) for name, value in charge.items() if name not in _OF_A_CORRECTION},
        "sign": sign,
        "of_trace_id": each.of[0],
        "of_span_id": each.of[1],
        "adjustment_reason": _REASON,
    }


def _insert_rate(ledger: Ledger, price: Priced) -> None:
    row = rate_row(price.rate)
    batch = _batch((price.rate.rate_id, ""), repr(row))
    ledger.insert("llm_rates", encode_row({"batch_id": batch, **row}), token=batch)


def _batch(of: tuple[str, str], content: str) -> str:
    return str(uuid.uuid5(_BATCHES, hashlib.sha256(f"{of!r}{content}".encode("utf-8", "replace")).hexdigest()))


def _content(charge: Row, like: Row) -> str:
    """Give everything that a charge says of its request, by the columns of another, comparable."""
    return repr([charge.get(name) for name in sorted(like.keys() - _OF_A_CORRECTION)])


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value


def _outcome(each: Repricing) -> str:
    if each.price is None:
        return each.why_left
    return each.price.status if isinstance(each.price, Priced) else each.price.reason


def _start_unix_ns(charge: Row) -> int:
    return (cast("datetime", charge["timestamp"]) - _EPOCH) // timedelta(microseconds=1) * 1000


def _of(row: Row) -> SpanKey:
    return str(row["of_trace_id"]), str(row["of_span_id"])
