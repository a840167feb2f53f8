"""Rate cards and contracts: what the documentation shows is read, wins in the documented order, and errors name a line."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from otel_llmcost.errors import RateCardError
from otel_llmcost.model import PICO, Price, Priced, Unpriced, Usage
from otel_llmcost.pricing import Pricer, arithmetic
from otel_llmcost.pricing.content import Offer, rate_content
from otel_llmcost.pricing.loading import Loading
from otel_llmcost.pricing.reading import parse_card, read_card

DOCS = Path(__file__).parents[2] / "docs" / "rate-cards.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
AT = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    """A pricer over the documentation's own card and contract."""
    return Pricer([parse_card(text.encode(), "docs") for text in EXAMPLES])


def cost(answer: Price) -> Decimal:
    """The cost of an answer that must be priced."""
    assert isinstance(answer, Priced), answer
    return answer.cost_usd


def card(text: str) -> Pricer:
    """A pricer over one small card."""
    return Pricer([parse_card(text.encode(), "card.yaml")])


@pytest.mark.parametrize(
    ("request_", "usd"),
    [
        ({"provider": "openai", "model": "gpt-5.4-mini"}, "7.70"),  # a million tokens are above the tier's bound
        ({"provider": "openai", "model": "gpt-5.4-mini-2026-03-17", "service_tier": "priority"}, "9.80"),
        ({"provider": "openai", "model": "gpt-5.4-mini", "batch": True}, "2.45"),
        ({"provider": "vllm", "model": "Acme-Night"}, "1.00"),
        ({"provider": "vllm", "model": "acme-night", "at": datetime(2026, 11, 18, 23, tzinfo=UTC)}, "0.50"),
        ({"provider": "vllm", "model": "acme-night", "at": datetime(2026, 11, 21, 12, tzinfo=UTC)}, "0.50"),
        ({"provider": "vllm", "model": "acme-sandbox-7"}, "0"),
        ({"provider": "anthropic", "model": "claude-sonnet-4"}, "15.75"),
        ({"provider": "anthropic", "model": "claude-opus-5"}, "24"),
        ({"provider": "anthropic", "model": "claude-haiku-4-5-20251001"}, "4.80"),
        ({"provider": "azure", "model": "chat-eu", "region": "eu"}, "11.00"),
    ],
)
def test_documented_examples(pricer, request_, usd):
    """
    The documentation's examples price as their comments say.
    """
    assert Decimal(usd) == cost(pricer.price(**{"at": AT, "usage": MILLION, **request_}))


def test_gpu_hour_is_an_exact_fraction(pricer):
    """
    A share of a GPU hour that no decimal can hold is still exact: nine million tokens cost the whole hour.
    """
    answer = pricer.price(provider="vllm", model="acme-chat-1", usage=Usage(input_tokens=9_000_000), at=AT)

    assert Decimal("4.1") == cost(answer)
    assert answer.rate.content["prices"]["input_tokens"] == "41/90"
    third = pricer.price(provider="vllm", model="acme-chat-1", usage=Usage(input_tokens=7), at=AT)
    assert third.cost_picousd == round(Fraction(41, 90) * 7 * 10**6)


def test_contract_keeps_the_list_price(pricer):
    """
    A discount changes the cost, never the list cost beside it.
    """
    answer = pricer.price(provider="anthropic", model="claude-sonnet-4", usage=MILLION, at=AT)

    assert Decimal("15.75") == cost(answer)
    assert answer.list_cost_picousd == 18 * PICO
    assert "12.5" not in str(answer.rate.content["prices"])
    assert answer.rate.content["adjustments"][0]["factor"] == "0.875"
    assert answer.cost_usd == sum(line.cost_usd for line in arithmetic(answer.rate.content, MILLION))


def test_discount_ends_at_its_instant(pricer):
    """
    A contract that ended discounts nothing.
    """
    after = pricer.price(
        provider="anthropic", model="claude-sonnet-4", usage=MILLION, at=datetime(2027, 1, 1, tzinfo=UTC)
    )

    assert cost(after) == 18


def test_deployment_and_commitment(pricer):
    """
    A mapped deployment is priced as its model; covered by a commitment it costs 0 beside its list price, else overage.
    """
    covered = {"azure.deployment_type": "ProvisionedManaged"}
    usage = Usage(input_tokens=1_000_000)
    mapped = pricer.price(provider="azure.ai.openai", model="chat-prod", usage=usage, at=AT)
    included = pricer.price(provider="azure", model="chat-eu", usage=usage, at=AT, attributes=covered)
    overage = pricer.price(provider="azure", model="gpt-4.1", usage=usage, at=AT)

    assert (cost(mapped), mapped.match_rule) == (Decimal("0.75"), "deployment")
    assert (cost(included), included.list_cost_picousd) == (0, 2 * PICO)
    assert cost(overage) == 2


def test_fixed_costs_sum_to_the_commitment(pricer):
    """
    The fixed part of a commitment is a row per day; a year of days is exactly twelve months.
    """
    rows = list(pricer.fixed_costs(datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)))

    assert len(rows) == 365
    assert sum(row.cost_picousd for row in rows) == 12 * 7300 * PICO
    assert {row.source for row in rows} == {"contract:acme-2026"}


@pytest.mark.parametrize(("percent", "usd"), [("15", "15.3"), ("12.5", "15.75"), ("100", "0"), ("0", "18")])
def test_discount_attribute(percent, usd):
    """
    A discount given with one request is exact, and replaces a contract's.
    """
    answer = Pricer.default().price(
        provider="anthropic", model="claude-sonnet-4", usage=MILLION, at=AT, attributes={"discount_percent": percent}
    )

    assert Decimal(usd) == cost(answer)


@pytest.mark.parametrize("percent", ["101", "-1", "NaN", "1e1", "ten", "1.2.3"])
def test_wrong_discount_attribute_is_not_priced(percent):
    """
    A discount that is not a percentage is refused, not ignored.
    """
    answer = Pricer.default().price(
        provider="anthropic", model="claude-sonnet-4", usage=MILLION, at=AT, attributes={"discount_percent": percent}
    )

    assert isinstance(answer, Unpriced)


def test_deployment_map_attribute():
    """
    A deployment map given with one request names the model, as a mapping or as its JSON text.
    """
    for given in ({"mine": "gpt-4.1"}, '{"mine": "gpt-4.1"}'):
        answer = Pricer.default().price(
            provider="azure", model="mine", usage=MILLION, at=AT, attributes={"deployment_map": given}
        )
        assert (cost(answer), answer.match_rule) == (10, "deployment")


def test_card_wins_for_its_span_only():
    """
    A rate holds from its first second until just before its last, and published prices hold around it.
    """
    mine = card(
        "rate_card: x\nprovider: openai\nmodels:\n- match: gpt-4.1\n  rates:\n"
        "  - {from: 2026-11-01T06:00:00+02:00, to: 2026-11-02, usd_per_million: {input_tokens: 7}}\n"
    )
    usage = Usage(input_tokens=1_000_000)
    edges = (datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
    moments = [moment for edge in edges for moment in (edge - timedelta(microseconds=1), edge)]

    costs = [cost(mine.price(provider="openai", model="gpt-4.1", usage=usage, at=moment)) for moment in moments]

    assert costs == [2, 7, 7, 2]


def test_a_card_that_almost_applies_is_named(pricer):
    """
    A model that a card knows, at another tier or an earlier time, is unpriced for that reason.
    """
    late = card("rate_card: x\nprovider: vllm\nmodels: [{match: m, rates: [{from: 2027-01-01, free: true}]}]")
    tier = pricer.price(provider="vllm", model="acme-night", usage=MILLION, at=AT, service_tier="priority")
    early = late.price(provider="vllm", model="m", usage=MILLION, at=AT)

    assert (tier.reason, early.reason) == ("no_tier_rate", "before_launch")
    assert "2027-01-01" in early.detail
    assert [row.provider for row in late.rates(model="m", provider="vllm", at=AT)] == ["vllm"]
    assert any(row.provider == "vllm" for row in pricer.rates("vllm", at=AT))


UPLIFTS = "provider: openai\nuplifts:\n- {name: mine, percent_on: 10, when: WHEN}\n"
EU_HOST = {"server.address": "eu.api.openai.com"}


@pytest.mark.parametrize(
    ("head", "when", "request_", "usd"),
    [
        ("contract: x", "{region: eu}", {"region": "eu"}, "0.825"),  # +10 %, not +21 %
        ("rate_card: x", "{region: eu}", {"region": "eu"}, "0.825"),
        ("contract: x", "{region: eu}", {"region": "us"}, "0.825"),  # the published one: the agreement is not about us
        ("contract: x", "{region: eu}", {"attributes": EU_HOST}, "0.825"),
        ("contract: x", "[{region: eu}, {attributes: {server.address: eu.api.openai.com}}]", {"attributes": EU_HOST}, "0.825"),
        ("contract: x", "{service_tier: flex}", {"region": "eu", "service_tier": "flex"}, "0.45375"),
        ("contract: x", "{attributes: {tenant: gold}}", {"region": "eu", "attributes": {"tenant": "gold"}}, "0.9075"),
    ],
)  # fmt: skip
def test_an_agreed_uplift_replaces_the_published_one(head, when, request_, usd):
    """
    An agreement states the whole uplift of a region; one that is not about the region comes on top of it.
    """
    mine = card(f"{head}\n{UPLIFTS.replace('WHEN', when)}")
    usage = Usage(input_tokens=1_000_000)

    answer = mine.price(**{"provider": "openai", "model": "gpt-5.4-mini", "usage": usage, "at": AT, **request_})

    assert Decimal(usd) == cost(answer)


def test_an_agreement_can_waive_the_published_uplift():
    """
    An uplift of 0 for a region takes the published one away, and the list cost still has it.
    """
    waived = "contract: x\nprovider: openai\nuplifts: [{name: none, percent_on: 0, when: {region: eu}}]\n"
    usage = Usage(input_tokens=1_000_000)

    answer = card(waived).price(provider="openai", model="gpt-5.4-mini", usage=usage, at=AT, region="eu")

    assert Decimal("0.75") == cost(answer)
    assert answer.list_cost_picousd == 825 * PICO // 1000


HEAD = "rate_card: x\nprovider: openai\nmodels:\n- match: m\n  rates:\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("models: []", 1, "rate_card: NAME"),
        ("rate_card: x\ncurrency: EUR", 2, "USD"),
        ("rate_card: x\nrate_card: y", 2, "twice"),
        ("a: &a [1]\nb: *a", 1, "anchors"),
        ("rate_card: !!python/object:os.system x", 1, "tags"),
        ("rate_card: [", 1, "not YAML"),
        ("rate_card: x\nmodels:\n- match: m\n  rates: [{free: true}]", 3, "provider"),
        (HEAD + "  - {usd_per_million: {output: 1}}", 6, "output_tokens"),
        (HEAD + "  - {usd_per_million: {input_tokens: -1}}", 6, "plain number"),
        (HEAD + "  - {usd_per_million: {input_tokens: 1e-3}}", 6, "plain number"),
        (HEAD + "  - {usd_per_million: {input_tokens: .nan}}", 6, "plain number"),
        (HEAD + "  - {usd_per_million: {input_tokens: 0x10}}", 6, "plain number"),
        (HEAD + "  - {}", 6, "no price"),
        (HEAD + "  - {free: true, usd_per_request: 1}", 6, "alone"),
        (HEAD + "  - {free: false}", 6, "says nothing"),
        (HEAD + "  - {from: 2026-01-01T00:00:00, free: true}", 6, "time zone"),
        (HEAD + "  - {from: 2026-02-01, to: 2026-01-01, free: true}", 6, "not after"),
        (HEAD + "  - {hours: [Mon-Fry 01:00-02:00], free: true}", 6, "hours of the week|names no day"),
        (HEAD + "  - {free: true}\n  - {from: 2026-01-01, free: true}", 7, "same time"),
        (HEAD + "  - {free: true}\n- match: [n, m]\n  rates:\n  - {free: true}", 9, "same time"),
        (
            HEAD + "  - {usd_per_call: {web_search_calls: 1}, usd_per_thousand_calls: {web_search_calls: 1}}",
            6,
            "two prices",
        ),
        ("rate_card: x\ndiscounts: []", 2, "contract"),
        ("contract: x\nprovider: openai\ndiscounts:\n- {name: n, percent_off: 101}", 4, "100"),
        ("rate_card: x\nprovider: openai\nmodels:\n- match: {regex: '('}\n  rates: [{free: true}]", 4, "regular"),
        ("[" * 40 + "]" * 40, 1, "nested"),
        ("rate_card: x\n---\nrate_card: y", 1, "documents"),
    ],
)
def test_errors_name_the_line(text, line, words):
    """
    A wrong card is refused with file, line and what to write instead.
    """
    with pytest.raises(RateCardError, match=words) as caught:
        parse_card(text.encode(), "card.yaml")

    assert str(caught.value).startswith(f"card.yaml:{line}: ")


def test_unreadable_files(tmp_path):
    """
    A card that is missing, not text, or too large is a `RateCardError` like any other.
    """
    for name, content in (("latin", b"rate_card: \xe9"), ("large", b"#" * (1 << 21))):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(RateCardError, match=name):
            read_card(path)
    with pytest.raises(RateCardError, match="cannot be read"):
        read_card(tmp_path / "absent.yaml")


def test_shipped_corrections_say_why():
    """
    Every correction of a published price names its source, and nothing in it is open to two readings.
    """
    shipped = Loading.shared().result().corrections

    assert all(
        item.link.startswith("https://") for one in shipped for item in (*one.rates, *one.factors, *one.backdated)
    )
    assert {one.source for one in shipped} == {"otel-llmcost"}


def test_rate_id_is_the_content():
    """
    A rate keeps its id while its price does: a new version of the data, or an end set later, does not change it.
    """
    offer = Offer(provider="p", model="m", prices={"input_tokens": Fraction(3, 4)}, source="s", version="1")
    first, later = rate_content(offer, 0), rate_content(replace(offer, version="2"), 0, 86_400)
    dearer = rate_content(replace(offer, prices={"input_tokens": Fraction(1)}), 0)

    assert (first.rate_id, first.content) == (later.rate_id, later.content)
    assert first.rate_id != dearer.rate_id
    assert re.fullmatch(r"p/m#[0-9a-f]{12}", first.rate_id)
