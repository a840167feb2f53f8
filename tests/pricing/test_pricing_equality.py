"""
On every model of the published data we answer what its own calculator answers, to its 28 digits, for random usage.

`PRICING_REQUESTS` sets the random requests per model: 2 by default, 40 for the long run. The rules by which we refuse
where the calculator guesses are excluded by name, and each refusal is checked for its reason.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from genai_prices import Usage as TheirUsage
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider
from genai_prices.units import _get_registry

from otel_llmcost.model import COUNTS, PICO, Unpriced
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.timeline import Charge, Timeline

REQUESTS = int(os.environ.get("PRICING_REQUESTS", "2"))
START, DAYS = datetime(2025, 1, 1, tzinfo=UTC), 3 * 365
DIMENSIONS = {
    "input_tokens": "tokens input text",
    "cached_input_tokens": "tokens input text cache_read",
    "cache_write_tokens": "tokens input text cache_write",
    "cache_write_1h_tokens": "tokens input text cache_write 1h",
    "output_tokens": "tokens output text",
    "reasoning_tokens": "tokens output text reasoning",
    "audio_input_tokens": "tokens input audio",
    "cached_audio_input_tokens": "tokens input audio cache_read",
    "audio_output_tokens": "tokens output audio",
    "image_input_tokens": "tokens input image",
    "image_output_tokens": "tokens output image",
    "web_search_calls": "tool_calls web_search",
    "file_search_calls": "tool_calls storage_search",
    "code_execution_calls": "tool_calls code_execution",
}
"""What each of our counts is, in the words of their units: a unit's usage is the sum of the counts that are such."""


def random_usage(rng: random.Random) -> dict[str, int]:
    """Make valid usage: some counts, sizes around the tiers' bounds, reasoning within the output."""
    sizes = (1, 7, 999, 100_000, 128_001, 199_999, 200_000, 200_001, 272_001, rng.randrange(10**6))
    usage = {name: rng.choice(sizes) for name in DIMENSIONS if rng.random() < 0.45}
    usage["input_tokens"] = rng.choice(sizes)
    for name in ("web_search_calls", "file_search_calls", "code_execution_calls"):
        if name in usage:
            usage[name] = rng.randrange(1, 9)
    if "reasoning_tokens" in usage:
        usage["output_tokens"] = usage.get("output_tokens", 0) + usage["reasoning_tokens"]
    return usage


def random_context(rng: random.Random, model: ModelInfo) -> dict[str, str]:
    """Choose, in their words, no context, one that the model has a price for, or one that few have."""
    own = [dict(variant.when) for variant in model.price_variants or ()]
    return rng.choice([{}, {}, {}, {}, *own, *own, {"service_tier": rng.choice(("flex", "default", "unheard"))}])


def as_arguments(context: dict[str, str]) -> dict[str, object]:
    """Say a context in our words."""
    attributes = {key: value for key, value in context.items() if key in ("search_type", "route")}
    ours: dict[str, object] = {key: context[key] for key in ("service_tier", "speed") if key in context}
    return {**ours, "batch": context.get("processing") == "batch", "attributes": attributes}


def their_usage(usage: dict[str, int]) -> TheirUsage:
    """Say the same to their calculator: every unit explicitly, as the sum of the counts that belong to it."""
    leaves = {**usage, "output_tokens": usage.get("output_tokens", 0) - usage.get("reasoning_tokens", 0)}
    values = {}
    for key, unit in _get_registry().units.items():
        if unit.dimensions["family"] in ("tokens", "tool_calls"):
            words = set(unit.dimensions.values())
            values[key] = sum(n for name, n in leaves.items() if words <= set(DIMENSIONS[name].split()))
    return TheirUsage(**values)


def references() -> Iterator[tuple[Provider, ModelInfo, str]]:
    """Give every model under its id, unless its own provider matches that id to another model first."""
    for provider in providers:
        for model in provider.models:
            if provider.find_model(model.id, all_providers=providers) is model:
                yield provider, model, model.id


def test_equal_to_the_sources_own_calculator(record_property):
    """
    No cost differs from the source's own answer, beyond the digits at which that rounds.
    """
    pricer, rng = Pricer(corrections=False), random.Random(20261121)
    outcomes: Counter[str] = Counter()
    for provider, model, name in references():
        for _ in range(REQUESTS):
            usage, context = random_usage(rng), random_context(rng, model)
            clock = rng.choice((0, 3600, 21_600, 59_400, rng.randrange(86_400)))
            at = START + timedelta(days=rng.randrange(DAYS), seconds=clock)
            theirs = model.calc_price(
                their_usage(usage), provider, genai_request_timestamp=at, price_context=context or None
            )

            timeline = pricer.timeline(provider.id, name, **as_arguments(context))
            assert isinstance(timeline, Timeline)
            found = timeline.at(int(at.timestamp()))
            if isinstance(found, Unpriced):
                outcomes[found.reason] += 1
                check_refusal(found, provider, model, context, theirs.model_price)
                continue
            outcomes["equal"] += 1
            ours = exact(found, usage)
            assert abs(ours - Fraction(theirs.total_price)) < Fraction(1, 10**24), (
                provider.id,
                name,
                at,
                context,
                usage,
            )
    record_property("outcomes", dict(outcomes))
    assert outcomes["equal"] > 0.6 * sum(outcomes.values())


def exact(charge: Charge, usage: dict[str, int]) -> Fraction:
    """Give our cost in USD before its one rounding."""
    counts = tuple(usage.get(name) for name in COUNTS)
    return Fraction(charge.rate.numerator(counts), charge.rate.denominator * PICO)


def check_refusal(
    found: Unpriced, provider: Provider, model: ModelInfo, context: dict[str, str], price: ModelPrice
) -> None:
    """Where we refuse, one of our stated rules says so, and its evidence is there."""
    if found.reason == "no_tier_rate":
        assert context.keys() & {"service_tier", "processing", "speed"}
        assert context != {"service_tier": "default"}
    elif found.reason == "unknown_model":
        assert not [value for value in vars(price).values() if value is not None]
    elif found.reason == "no_component_rate":
        assert price.calc_price(TheirUsage(input_tokens=10**6, output_tokens=10**6))["total_price"] == 0
    else:
        assert found.reason == "before_launch", (provider.id, model.id, found)
