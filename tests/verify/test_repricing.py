"""Requests that ended before the prices were there: a repair prices them as if they had been, and once."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from otel_llmcost.charging import Charging
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.row import request_row
from otel_llmcost.meter import Meter
from otel_llmcost.model import Owner, Priced, Request, Unpriced, Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.loading import Loading
from otel_llmcost.reports.explain import explain
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.settings import Settings
from otel_llmcost.verify import EVER, Check, carry_out, plan, steps, verify
from otel_llmcost.verify.repricing import price_later, reprice
from tests.ledger.samples import START_NS, USAGE, a_request, ask, store

BILL = "SELECT toString(sum(sign)), toString(sum(sign * ifNull(cost_usd, 0))) FROM llm_charges WHERE team = 'late'"
CARD = """
contract: ours
currency: USD
provider: openai
discounts:
  - name: volume
    percent_off: 20
"""


@pytest.fixture
def no_prices(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process whose prices take longer to load than a request waits; `undo` it, and they are there."""
    slow = Loading.__new__(Loading)
    slow.__dict__.update(Loading.shared().__dict__, _loaded=None, _waited=True, failure="They are still loading.")
    slow._done = threading.Event()
    monkeypatch.setattr(Loading, "_shared", slow)
    return monkeypatch


def late(
    number: int, *, attributes: dict[str, str] | None = None, model: str = "gpt-5.4-mini", **of: object
) -> Request:
    """A request of team late, as a meter writes it; `attributes`: what its span says of its price."""
    owner = Owner(
        team="late", feature="f", customer_id=f"c-{number}", action="a", action_id="a-1", extra={"squad": "x"}
    )
    asked = a_request(number, owner=owner, model=model, **of)  # type: ignore[arg-type]
    call = replace(asked.call, price_attributes=attributes or {}, usage_gaps=("cache_write",), region="")
    return priced_now(replace(asked, call=call))


def priced_now(request: Request) -> Request:
    """The request with the price that this process has for it now."""
    price = Meter(Pricer(), Charging()).price(request.call, request.span.start_unix_ns)
    return replace(request, price=price)


def prices(ledger: Ledger) -> Check:
    """What verify says about prices that were not loaded; nothing else may be off."""
    found = verify(ledger, pause_seconds=0).checks
    assert {check.name for check in found if check.state == "problem"} <= {"prices", "copies"}
    return next(check for check in found if check.name == "prices")


def repaired(ledger: Ledger, settings: Settings | None = None) -> list[str]:
    """Plan a repair and carry it out; give what was said."""
    planned = plan(ledger, settings=settings, pause_seconds=0)
    return [*steps(planned), *carry_out(ledger, planned, settings=settings, pause_seconds=0)]


def test_priced_as_if_they_had_been_there(ledger: Ledger, no_prices: pytest.MonkeyPatch) -> None:
    """
    After a repair each charge is, column by column, what it would have been with prices at its end: exact, of the same
    owner, with its rate explained; half reported and at an uplift too. A second repair has nothing to do.
    """
    soon = [
        late(501),
        late(502, attributes={"server.address": "eu.api.openai.com"}),
        late(503, usage=Usage(input_tokens=100), duration_ns=-5),
        late(504, provider_cost_usd=Decimal("0.5"), status="error"),
        late(505, usage=replace(USAGE, web_search_calls=3), start_unix_ns=START_NS - 40 * 86_400 * 10**9),
    ]
    no_prices.undo()
    wanted = [priced_now(each) for each in soon]
    for each in soon:
        assert each.price.reason == "prices_not_loaded"
        store(ledger, [each], token=each.span.span_id)
    cost = sum((each.price.cost_usd for each in wanted if isinstance(each.price, Priced)), Decimal(0))
    found = prices(ledger)
    said = repaired(ledger)

    assert (found.state, f"with ${exact_usd(cost)} too little on the bill" in found.what) == ("problem", True), (
        found.what
    )
    assert said[-1] == "priced later: 5 requests that had no price because none was loaded"
    assert [Decimal(each) for each in ask(ledger, BILL)] == [5, cost]
    assert wanted[1].price.cost_usd == wanted[0].price.cost_usd * Decimal("1.1")  # type: ignore[union-attr]
    for each, before in zip(wanted, soon, strict=True):
        _has_become(ledger, each, before)
    assert (prices(ledger).state, repaired(ledger)) == ("ok", [])
    (explained,) = explain(ledger, wanted[1].span.trace_id)
    assert explained.final_cost_usd == wanted[1].price.cost_usd  # type: ignore[union-attr]


def _has_become(ledger: Ledger, wanted: Request, before: Request) -> None:
    of = {"trace_ids": [before.span.trace_id], "span_ids": [before.span.span_id]}
    row, taken, added = sorted(
        ledger.query("charges_of", of), key=lambda each: str(each["adjusted_at"]) + str(each["sign"])
    )
    said_of = {"sign", "adjustment_reason", "adjusted_at", "batch_id"}
    assert {name: row[name] for name in row.keys() - said_of} == {name: taken[name] for name in row.keys() - said_of}
    assert (row["sign"], taken["sign"], added["sign"]) == (1, -1, 1)
    changed = {name for name in row.keys() - said_of if row[name] != added[name]}
    assert "cost_usd" in changed
    assert not {
        name for name in changed if name.endswith("_tokens") or name in ("team", "provider_cost_usd", "timestamp")
    }
    for name, value in request_row(wanted).items():
        if name.endswith("_usd"):
            assert added[name] == Decimal(str(value)), name
        elif name not in ("timestamp", "detail"):
            assert added[name] == value or list(added[name]) == list(value), name  # type: ignore[call-overload]
    assert ask(ledger, f"SELECT count() FROM llm_rates FINAL WHERE rate_id = '{added['rate_id']}'") == ["1"]  # noqa: S608


def test_two_repairs_at_once(ledger: Ledger, no_prices: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    Two repairs that found the same charges, one of them more and with another contract, price each of them once.
    """
    store(ledger, [late(511), late(512)])
    no_prices.undo()
    (tmp_path / "ours.yaml").write_text(CARD)
    one = list(price_later(ledger, EVER))
    other = list(price_later(ledger, EVER, settings=Settings(rate_cards=(tmp_path / "ours.yaml",))))
    stored = reprice(ledger, one[:1]), reprice(ledger, other)
    first, second = (each.price.cost_usd for each in (one[0], other[1]))  # type: ignore[union-attr]

    assert stored == (1, 2)
    assert second == first * Decimal("0.8")
    assert [Decimal(each) for each in ask(ledger, BILL)] == [2, first + second]
    assert repaired(ledger) == []


def test_a_model_without_a_price(ledger: Ledger, no_prices: pytest.MonkeyPatch) -> None:
    """
    What has no price now either says why instead, is no problem of verify any more, and stays without a cost.
    """
    store(ledger, [late(521, model="nobody-knows-it")])
    no_prices.undo()
    said = repaired(ledger)

    assert said[0] == "say unknown_model instead of prices_not_loaded: 1 requests of service api, nobody-knows-it"
    assert [Decimal(each) for each in ask(ledger, BILL)] == [1, 0]
    assert ask(ledger, "SELECT reason FROM llm_adjustments WHERE sign = 1 AND team = 'late'") == ["unknown_model"]
    assert (prices(ledger).state, repaired(ledger)) == ("ok", [])


def test_attributes_that_were_not_kept(ledger: Ledger) -> None:
    """
    A row of an older version, without the attributes that its price may depend on, is left and said; one whose price
    depends on none is priced.
    """
    old = Unpriced(reason="prices_not_loaded", detail="Prices are not there. They are still loading.")
    models = {531: "gpt-5.4-mini", 532: "gpt-4o", 533: "gpt-4o"}
    depends, free, recorded = (replace(late(number, model=model), price=old) for number, model in models.items())
    recorded = replace(recorded, call=replace(recorded.call, dialect="record_request"))
    store(ledger, [depends, free, recorded])
    said = repaired(ledger)

    assert [line.partition(" for ")[2] for line in said[:1]] == ["1 requests of service api, gpt-4o"]
    assert [line.partition(":")[0] for line in said[1:]] == [*["leave without a price"] * 2, "priced later"]
    check = prices(ledger)
    assert (check.state, "without a price stay 2: its price may depend on attributes" in check.what) == ("ok", True)
    assert not plan(ledger, pause_seconds=0)


def test_copies_of_such_a_row(ledger: Ledger, no_prices: pytest.MonkeyPatch) -> None:
    """
    A row that a restored journal stored again is taken back and the other one priced, as the dry run says; stored once
    more later, the copy without a price goes.
    """
    request = late(541)
    store(ledger, [request])
    store(ledger, [request], "restored")
    no_prices.undo()
    cost = priced_now(request).price.cost_usd  # type: ignore[union-attr]
    said = repaired(ledger)

    assert f"price ${exact_usd(cost)} for 1 requests of service api, gpt-5.4-mini" in said
    assert [Decimal(each) for each in ask(ledger, BILL)] == [1, cost]
    store(ledger, [request], "restored again")
    repaired(ledger)
    assert [Decimal(each) for each in ask(ledger, BILL)] == [1, cost]
    assert repaired(ledger) == []
