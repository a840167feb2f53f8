"""
What one price costs: median microseconds per call, ours and our peers', in one process.

Directional: run it on a quiet machine, compare the ratios, not the figures. The case is one request with five counts
(fresh, cached, written, output, web searches) of a model that every library knows.

    python benchmarks/price_call.py
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from types import ModuleType

from otel_llmcost.model import ModelCall, Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing.timeline import Charge, Timeline

PROVIDER, MODEL = "anthropic", "claude-opus-5"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
USAGE = Usage(
    input_tokens=1_000, cached_input_tokens=20_000, cache_write_tokens=3_000, output_tokens=1_500, web_search_calls=2
)
ROUNDS = 7


def measure(call: Callable[[], object], calls: int) -> float:
    call()
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begin) / calls * 1e6)
    return median(times)


def ours() -> dict[str, tuple[Callable[[], object], int]]:
    pricer = Pricer.default()
    pricer.wait()
    timeline = pricer.timeline(PROVIDER, MODEL)
    assert isinstance(timeline, Timeline)
    charge = timeline.at(int(AT.timestamp()))
    assert isinstance(charge, Charge)
    counts, cost = USAGE.counts, charge.rate.cost
    call = ModelCall(dialect="benchmark", kind="request", operation="chat", provider=PROVIDER, model=MODEL, usage=USAGE)
    nanoseconds = int(AT.timestamp()) * 10**9
    return {
        "compiled core (rate found -> integer)": (lambda: cost(counts), 100_000),
        "Pricer.price_call": (lambda: pricer.price_call(call, nanoseconds), 50_000),
        "Pricer.price": (lambda: pricer.price(provider=PROVIDER, model=MODEL, usage=USAGE, at=AT), 50_000),
    }


def genai_prices() -> dict[str, tuple[Callable[[], object], int]]:
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    def run() -> object:
        usage = TheirUsage(
            input_tokens=24_000, cache_read_tokens=20_000, cache_write_tokens=3_000, output_tokens=1_500, web_searches=2
        )
        return calc_price(usage, MODEL, provider_id=PROVIDER, genai_request_timestamp=AT)

    return {"genai_prices.calc_price": (run, 2_000)}


def litellm() -> dict[str, tuple[Callable[[], object], int]]:
    try:
        import litellm as library
    except ImportError:
        print("litellm is not installed here: not measured", file=sys.stderr)
        return {}
    module: ModuleType = library

    def run() -> object:  # it has no web searches here: four of the five counts
        return module.cost_per_token(
            model=MODEL,
            custom_llm_provider=PROVIDER,
            prompt_tokens=24_000,
            completion_tokens=1_500,
            cache_read_input_tokens=20_000,
            cache_creation_input_tokens=3_000,
        )

    return {"litellm.cost_per_token (four counts)": (run, 2_000)}


def main() -> None:
    figures = {name: measure(*case) for name, case in {**ours(), **genai_prices(), **litellm()}.items()}
    core = figures["compiled core (rate found -> integer)"]
    for name, figure in figures.items():
        print(f"{name:42} {figure:9.2f} us   {figure / core:7.1f} x core")
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
