"""What must hold of every price, for any usage: additivity, parts that sum, and an independent sum in fractions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.model import COMPONENTS, COUNTS, PICO, Priced, RateContent, Unpriced, Usage
from otel_llmcost.pricing import Pricer, arithmetic
from otel_llmcost.pricing.compiled import CompiledRate
from otel_llmcost.pricing.reading import parse_card

AT = datetime(2026, 11, 4, 2, 30, tzinfo=UTC)
MODELS = (
    ("openai", "gpt-5.4-mini"), ("openai", "gpt-5.4"), ("openai", "gpt-4o-realtime-preview"), ("anthropic", "claude-opus-5"),
    ("anthropic", "claude-haiku-5-5"), ("google", "gemini-2.5-pro"), ("google", "gemini-2.5-flash"), ("x_ai", "grok-4.6"),
    ("deepseek", "deepseek-v4-pro"), ("perplexity", "sonar-pro"), ("mistral", "mistral-large-latest"), ("vllm", "shared"),
)  # fmt: skip
CARD = b"""
contract: test
provider: anthropic
discounts: [{name: thirds, percent_off: 33.333333333, applies_to: all}]
models:
- match: shared
  provider: vllm
  rates: [{gpu_hour: {usd: 4, tokens_per_hour: {input_tokens: 9000007, output_tokens: 1300003}}, usd_per_request: 0.0000007}]
"""
PRICER = Pricer([parse_card(CARD, "test.yaml")])
SIZES = st.one_of(
    st.none(), st.integers(0, 500_000), st.sampled_from([0, 1, 100_000, 200_000, 200_001, 272_000, 272_001])
)


@st.composite
def usages(draw, sizes=SIZES) -> Usage:
    """Valid usage: any counts, with reasoning inside the output."""
    counts = {name: draw(sizes) for name in COUNTS[:-1]}
    output = counts["output_tokens"]
    return Usage(**counts, reasoning_tokens=None if output is None else draw(st.integers(0, output)))


def exact_cost(content, usage: Usage) -> Fraction:
    """Sum the cost in fractions, straight from the content: the oracle that shares no code with what it checks."""
    counts = {name: count or 0 for name, count in zip(COUNTS, usage.counts, strict=True)}
    total = sum(count for name, count in counts.items() if "input" in name or "cache_write" in name)
    prices = content["prices"]
    for tier in content.get("tiers", []):
        if total > tier["above_total_input_tokens"]:
            prices = tier["prices"]
    counts["request"] = 1
    if "reasoning_tokens" in prices:
        counts["output_tokens"] -= counts["reasoning_tokens"]
    cost = Fraction(0)
    for name, count in counts.items():
        price = prices.get(name, prices.get(content.get("billed_as", {}).get(name)))
        if price is None:
            continue
        factor = Fraction(1)
        for adjustment in content.get("adjustments", []):
            if adjustment["counts"] == "all" or name.endswith("_tokens"):
                factor *= Fraction(adjustment["factor"])
        cost += Fraction(price) * factor * count / (1_000_000 if name.endswith("_tokens") else 1)
    return cost


def priced(model, usage: Usage) -> Priced | None:
    """Price with the test's contract; None when only counts without a price were drawn."""
    answer = PRICER.price(provider=model[0], model=model[1], usage=usage, at=AT)
    if isinstance(answer, Unpriced):
        assert answer.reason in ("no_usage", "no_tool_rate", "no_component_rate"), answer
        return None
    return answer


@given(st.sampled_from(MODELS), usages())
@settings(max_examples=400, deadline=None)
def test_cost_equals_the_sum_in_fractions(model, usage):
    """
    A cost is the exact sum rounded once, half-even, to the picodollar; parts and lines sum to it, none is lost.
    """
    if (answer := priced(model, usage)) is None:
        return

    assert answer.cost_picousd == round(exact_cost(answer.rate.content, usage) * PICO)
    assert answer.cost_picousd == sum(cost for _, cost in answer.components)
    assert {name for name, _ in answer.components} <= set(COMPONENTS)
    lines = arithmetic(answer.rate.content, usage)
    assert answer.cost_usd == sum(line.cost_usd for line in lines if line.cost_usd is not None)
    assert set(answer.missing_rates) == {line.count for line in lines if line.cost_usd is None}


@given(st.sampled_from(MODELS), usages())
@settings(max_examples=100, deadline=None)
def test_a_stored_rate_prices_the_same_years_later(model, usage):
    """
    From the JSON of a rate alone, without the price data, its cost is computed again to the last digit.
    """
    if (answer := priced(model, usage)) is None:
        return
    stored = json.loads(json.dumps(dict(answer.rate.content)))
    again = RateContent(
        rate_id="", provider="", model="", source="", version="", effective_from="", effective_to="", content=stored
    )

    assert CompiledRate(again).cost(usage.counts) == answer.cost_picousd


@given(st.sampled_from([("openai", "gpt-5.4-mini"), ("anthropic", "claude-opus-5")]), usages(), usages())
@settings(max_examples=100, deadline=None)
def test_price_is_additive_within_a_tier(model, first, second):
    """
    Two requests cost what one with both their counts would cost, where neither tiers nor request fees intervene.
    """
    both = Usage(**{n: (a or 0) + (b or 0) for n, a, b in zip(COUNTS, first.counts, second.counts, strict=True)})
    timeline = Pricer.default().timeline(*model)
    charge = timeline.at(int(AT.timestamp()))

    assert len(charge.rate.tiers) == 1
    assert charge.rate.cost(both.counts) == charge.rate.cost(first.counts) + charge.rate.cost(second.counts)


@given(usages(st.integers(0, 50_000)))
@settings(max_examples=100, deadline=None)
def test_cache_savings_are_the_difference_to_fresh_input(usage):
    """
    What caching saved is what the same tokens would have cost more as fresh input: negative when writes outweigh reads.
    """
    answer = Pricer.default().price(provider="anthropic", model="claude-opus-5", usage=usage, at=AT)
    cached = ("cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "cached_audio_input_tokens")
    counts = dict(zip(COUNTS, usage.counts, strict=True))
    moved = sum(counts[name] for name in cached)
    fresh = Usage(**{**counts, **dict.fromkeys(cached, 0), "input_tokens": counts["input_tokens"] + moved})
    without = Pricer.default().price(provider="anthropic", model="claude-opus-5", usage=fresh, at=AT)

    assert answer.cache_savings_picousd == without.cost_picousd - answer.cost_picousd
