"""
One charge per request: which span of a group carries it, and which try it was.

`grouping` and `attempts` are pure: from a set of spans they say who is billed, whatever the order of arrival.
`Charging` remembers recent spans, asks them again when one arrives, and writes down the difference as rows and
adjustments; so rows + adjustments are the same bill for any order, batching or interleaving. `Ancestry` knows who is
above whom where spans arrive in batches (OTLP) instead of from the SDK.
"""

from otel_llmcost.charging.ancestry import Ancestry
from otel_llmcost.charging.decisions import Charging, Outcome
from otel_llmcost.charging.grouping import SpanKey

__all__ = ["Ancestry", "Charging", "Outcome", "SpanKey"]
