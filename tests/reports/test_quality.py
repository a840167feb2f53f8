"""Data quality: what the ledger knows about its own numbers, in sums that are spend's."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import otel_llmcost
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import PICO, Unpriced
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.quality import quality
from otel_llmcost.verify.duplicates import COPY, CORRECTION, RESPONSE
from tests.ledger.samples import START_NS, UNPRICED, USAGE, a_request, adjust, adjusted, priced, store

AUTUMN = Period(date(2026, 10, 1), date(2026, 12, 1))
PACKAGE = Path(otel_llmcost.__file__).parent


@pytest.mark.parametrize("where", [{}, {"team": "search"}, {"model": "model-0"}, {"customer": "acme"}])
def test_unknown_costs_sum_to_spend(ledger: Ledger, where: dict[str, str]) -> None:
    """
    Reasons of unknown costs sum to the partial and unpriced requests of `spend`; failures without usage are apart.
    """
    want = spend(ledger, ["month"], since=AUTUMN.since, until=AUTUMN.until, where=where).total

    found = quality(ledger, period=AUTUMN, where=where)

    partial = sum(each.requests for each in found.by_reason() if each.price_status == "partial")
    unpriced = sum(each.requests for each in found.by_reason() if each.price_status != "partial")
    assert (partial, unpriced) == (want.partial_requests, want.unpriced_requests)
    assert found.failed_without_usage == want.failed_without_usage
    assert found.usage_gaps.total_usd == want.cost_usd
    assert found.tokens_at_risk == sum(each.tokens for each in found.by_reason())


def test_reasons_with_tokens_at_risk(empty: Ledger) -> None:
    """
    A reason is told once over all models, with the tokens that a rate would have to price.
    """
    store(
        empty,
        [
            a_request(1, price=UNPRICED, model="house-7b"),
            a_request(2, price=UNPRICED, model="house-8b"),
            a_request(3, price=Unpriced(reason="no_usage"), usage=None),
            a_request(4, price=Unpriced(reason="no_usage"), usage=None, status="error"),
            a_request(5, price=priced(1, status="partial")),
            a_request(6),
        ],
    )

    found = quality(empty, period=AUTUMN)

    tokens = sum(getattr(USAGE, name) for name in ("input_tokens", "cached_input_tokens", "output_tokens"))
    assert [(each.price_status, each.reason, each.requests, each.tokens) for each in found.by_reason()] == [
        ("unpriced", "unknown_model", 2, 2 * tokens),
        ("partial", "", 1, tokens),
        ("unpriced", "no_usage", 1, 0),
    ]
    assert (found.failed_without_usage, found.tokens_at_risk) == (1, 3 * tokens)


def test_corrections_are_the_difference_to_the_rows(empty: Ledger) -> None:
    """
    What corrections did to the bill is the bill less its requests, by reason, with how many charges were double.
    """
    rows = [a_request(n, price=priced(n * PICO)) for n in range(1, 6)]
    better = a_request(9, price=priced(10 * PICO))
    store(empty, rows)
    corrections = [
        adjusted(rows[0], -1, of=rows[0]),
        adjusted(better, 1, of=rows[0]),
        replace(adjusted(rows[1], -1, of=rows[1]), reason="aggregate"),
        replace(adjusted(rows[2], -1, of=rows[2]), reason="attempt"),
        replace(adjusted(rows[2], 1, of=rows[2]), reason="attempt"),
    ]
    adjust(empty, [*(replace(each, reason="better_span") for each in corrections[:2]), *corrections[2:]])

    found = quality(empty, period=AUTUMN)

    assert [(each.reason, each.taken_back, each.added, each.net_usd) for each in found.corrections] == [
        ("attempt", 1, 1, Decimal(0)),
        ("better_span", 1, 1, Decimal(9)),
        ("aggregate", 1, 0, Decimal(-2)),
    ]
    bill = spend(empty, ["month"], since=AUTUMN.since, until=AUTUMN.until).total.cost_usd
    assert found.corrected_usd == bill - 15
    assert found.double_charges_taken_back == 2
    before = Period(date(2026, 11, 1), date(2026, 11, 10))
    assert quality(empty, period=before).corrections == ()


def test_every_reason_that_is_written_has_words(empty: Ledger) -> None:
    """
    Each reason that charging and repairs give for an adjustment is explained.
    """
    decisions = (PACKAGE / "charging" / "decisions.py").read_text()
    repricing = (PACKAGE / "verify" / "repricing.py").read_text()
    written = {COPY, CORRECTION, RESPONSE, *re.findall(r'_REASON: Final = "(\w+)"', repricing)}
    written |= set(re.findall(r'_adjust\([^"\n]*"(\w+)"\)', decisions))
    assert len(written) == 8
    row = a_request(1)
    store(empty, [row])
    adjust(empty, [replace(adjusted(row, 1, of=row), reason=reason) for reason in (*sorted(written), "of_later")])

    meanings = {each.reason: each.meaning for each in quality(empty, period=AUTUMN).corrections}

    assert [reason for reason, meaning in meanings.items() if not meaning] == ["of_later"]


def test_an_empty_ledger_has_nothing_to_tell(empty: Ledger) -> None:
    """
    Without a charge there is nothing to doubt; data goes to the newest request, whatever the period.
    """
    nothing = quality(empty, period=AUTUMN)
    store(empty, [a_request(1), a_request(2, start_unix_ns=START_NS - 10**15)])

    elsewhere = quality(empty, period=Period(date(2026, 1, 1), date(2026, 2, 1)))

    assert elsewhere.newest_at == datetime(2026, 11, 18, 11, 6, 40, 123456, UTC)
    assert (nothing.newest_at, nothing.by_reason(), nothing.corrections) == (None, (), ())
    assert (nothing.corrected_usd, nothing.tokens_at_risk, nothing.double_charges_taken_back) == (Decimal(0), 0, 0)
    assert nothing.unattributed.rows == nothing.usage_gaps.rows == ()
