"""Rate cards to rates to cost: pure integer arithmetic over dated prices. `Pricer` is the door."""

from __future__ import annotations

from otel_llmcost.pricing.arithmetic import Line, arithmetic
from otel_llmcost.pricing.pricer import Pricer
from otel_llmcost.providers import normalise_provider

__all__ = ["Line", "Pricer", "arithmetic", "normalise_provider"]
