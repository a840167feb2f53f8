"""Rate cards for what has no price: complete but for the prices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from otel_llmcost.doctor.snippets import PRICE, rate_card
from otel_llmcost.errors import RateCardError
from otel_llmcost.model import COUNTS, Priced, Unpriced, Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.reading import parse_card
from otel_llmcost.reports.gaps import UnpricedRow

AT = datetime(2026, 11, 18, tzinfo=UTC)
EVERY = {name: 1_000 for name in COUNTS if name != "reasoning_tokens"}


def a_row(**changes) -> UnpricedRow:
    """Charges of a model that nobody heard of."""
    fields = {
        "provider": "vllm", "model": "acme: 'x' #1", "service_tier": "", "batch": False, "speed": "",
        "price_status": "unpriced", "reason": "unknown_model", "missing_rates": (), "requests": 1,
        "counts": {"input_tokens": 10, "output_tokens": 5},
    }  # fmt: skip
    return UnpricedRow(**fields | changes)


@pytest.mark.parametrize(
    "row",
    [
        a_row(),
        a_row(counts=EVERY),
        a_row(provider="never-heard", reason="unknown_provider", model="ünknown"),
        a_row(provider="openai", model="gpt-5.4-mini", service_tier="turbo", reason="no_tier_rate"),
        a_row(provider="openai", model="gpt-5.4-mini", batch=True, service_tier="default", reason="no_tier_rate"),
        a_row(provider="openai", model="gpt-5.4-mini", counts=EVERY, price_status="partial", reason="no_tool_rate"),
        a_row(counts={"web_search_calls": 2}),
        a_row(counts={}),
    ],
    ids=lambda row: f"{row.reason}-{len(row.counts)}-{row.service_tier or row.batch}",
)
def test_with_prices_it_prices(row: UnpricedRow) -> None:
    """
    With a number for each PRICE, the card prices the requests that it was written for, in whole.
    """
    card = parse_card(rate_card(row).replace(PRICE, "2.5").encode(), "card.yaml")
    pricer = Pricer([card])
    pricer.wait()

    price = pricer.price(
        provider=row.provider,
        model=row.model,
        usage=Usage(**{"input_tokens": 0} | row.counts),
        at=AT,
        service_tier=row.service_tier,
        batch=row.batch,
    )

    assert isinstance(price, Priced), price
    assert (price.status, price.rate.source) == ("priced", "card:our-models")


def test_without_prices_it_is_refused() -> None:
    """
    A card that was copied as it is prices nothing by accident.
    """
    with pytest.raises(RateCardError, match=PRICE):
        parse_card(rate_card(a_row()).encode(), "card.yaml")


@pytest.mark.parametrize("changes", [{"reason": "invalid_usage"}, {"provider": ""}, {"model": ""}])
def test_where_no_card_helps(changes: dict[str, str]) -> None:
    """
    What no rate could price gets no card.
    """
    assert not rate_card(a_row(**changes))


def test_the_reason_is_still_one() -> None:
    """
    A model that nobody heard of is unpriced for a reason that the card answers.
    """
    pricer = Pricer.default()
    pricer.wait()
    price = pricer.price(provider="vllm", model="acme: 'x' #1", usage=Usage(input_tokens=1), at=AT)

    assert isinstance(price, Unpriced)
    assert rate_card(a_row(reason=price.reason))
