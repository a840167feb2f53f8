"""
A rate compiled to integers: one multiply-add per count, one rounding.

Unit prices become whole numbers over one denominator, in picodollars per unit. 99 % of published rates are whole
picodollars, so that the denominator is 1; discounts, uplifts and ratios only make it larger. Nothing is rounded before
the total, and the total once: half-even, to the picodollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import compress
from math import lcm
from operator import itemgetter, mul
from typing import Any, Final, NamedTuple

from otel_llmcost.model import COUNTS, MAX_COUNT, PICO, RateContent
from otel_llmcost.pricing.content import CALL_COUNTS, INPUT_COUNTS, MILLION, REQUEST, unit_prices

__all__ = [
    "COMPONENT_OF",
    "CompiledRate",
    "CompiledTier",
    "Counts",
    "invalid_counts",
    "round_half_even",
    "share_out",
    "without_lone_reasoning",
]

Counts = tuple[int | None, ...]
"""The counts of a `Usage`, in the order of `COUNTS`."""

_BY_PREFIX: Final = {"cached_input": "cached_input", "cache_write": "cache_write", "input": "input"}
COMPONENT_OF: Final = tuple(
    "tool" if name in CALL_COUNTS
    else "audio" if "audio" in name
    else "image" if "image" in name
    else next((component for prefix, component in _BY_PREFIX.items() if name.startswith(prefix)), "output")
    for name in COUNTS
)  # fmt: skip
"""The component of each count, in the order of `COUNTS`."""

_INDEX: Final = {name: index for index, name in enumerate(COUNTS)}
_inputs_of = itemgetter(*(_INDEX[name] for name in INPUT_COUNTS))
_COUNT_TYPES: Final = frozenset({int, type(None)})
_REASONING: Final = _INDEX["reasoning_tokens"]
_OUTPUT: Final = _INDEX["output_tokens"]
_MAX_SHOWN: Final = 80
_FRESH_OF: Final = {
    "cached_input_tokens": "input_tokens",
    "cache_write_tokens": "input_tokens",
    "cache_write_1h_tokens": "input_tokens",
    "cache_write_12h_tokens": "input_tokens",
    "cached_audio_input_tokens": "audio_input_tokens",
}
"""What a cached count would have been without the cache."""


class CompiledTier(NamedTuple):
    """The integers that hold above a total input; per count, in the order of `COUNTS`, over the rate's denominator."""

    above: int
    coefficients: tuple[int, ...]
    request: int
    lines: tuple[tuple[int, str, int] | None, ...]
    """Per count: its coefficient, its component, and what one unit of it saved against fresh input. None: no price."""


class CompiledRate:
    """The integer form of a `RateContent`; immutable."""

    __slots__ = ("content", "denominator", "tiers")

    def __init__(self, content: RateContent) -> None:
        self.content = content
        bounds = sorted(int(tier["above_total_input_tokens"]) for tier in _tiers(content.content))
        prices = [_picodollars(content.content, above + 1) for above in (-1, *bounds)]
        self.denominator = lcm(*(value.denominator for row in prices for value in row.values()))
        rows = [_tier(above, row, self.denominator) for above, row in zip((-1, *bounds), prices, strict=True)]
        self.tiers = tuple(reversed(rows))
        """Highest first; the last holds for any input."""

    def tier(self, counts: Counts) -> CompiledTier:
        """Choose the tier by the total input. The counts must be valid."""
        total = sum(filter(None, _inputs_of(counts)))
        for tier in self.tiers:
            if total > tier.above:
                return tier
        raise ValueError("a total input is never negative")

    def numerator(self, counts: Counts) -> int:
        """Give the cost in picodollars times the denominator: the compiled core."""
        tiers = self.tiers
        tier = tiers[0] if len(tiers) == 1 else self.tier(counts)
        # Each loop runs in C: the counts that are there (compress drops None and 0), times their coefficients.
        positive: Iterable[int] = compress(counts, counts)  # type: ignore[arg-type]
        total: int = sum(map(mul, positive, compress(tier.coefficients, counts)), tier.request)
        return total

    def cost(self, counts: Counts) -> int:
        """Give the cost in whole picodollars, rounded half-even."""
        total = self.numerator(counts)
        return total if self.denominator == 1 else round_half_even(total, self.denominator)


def _tiers(content: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(content.get("tiers", ()))


def _picodollars(content: Mapping[str, Any], total_input: int) -> dict[str, Fraction]:
    prices = unit_prices(content, total_input)
    return {name: usd * PICO / (MILLION if name.endswith("_tokens") else 1) for name, usd in prices.items()}


def _tier(above: int, prices: Mapping[str, Fraction], denominator: int) -> CompiledTier:
    whole = {name: int(value * denominator) for name, value in prices.items()}
    coefficients = [whole.get(name, 0) for name in COUNTS]
    if "reasoning_tokens" in whole:
        coefficients[_REASONING] -= whole.get("output_tokens", 0)  # it is counted in the output already
    savings = {name: whole[fresh] - whole[name] for name, fresh in _FRESH_OF.items() if {name, fresh} <= whole.keys()}
    lines = [
        (coefficient, component, savings.get(name, 0)) if name in whole or name == "reasoning_tokens" else None
        for name, coefficient, component in zip(COUNTS, coefficients, COMPONENT_OF, strict=True)
    ]
    return CompiledTier(above, tuple(coefficients), whole.get(REQUEST, 0), tuple(lines))


def round_half_even(numerator: int, denominator: int) -> int:
    """Divide, and round to the nearest whole number; a tie goes to the even one."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def share_out(numerators: Mapping[str, int], denominator: int, total: int) -> dict[str, int]:
    """Round the parts of a rounded total; what rounding left over goes to the largest part, so that they sum to it."""
    parts = {name: round_half_even(value, denominator) for name, value in numerators.items()}
    if parts and (residue := total - sum(parts.values())):
        parts[max(parts, key=lambda name: abs(numerators[name]))] += residue
    return parts


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT


def invalid_counts(counts: tuple[object, ...]) -> str:
    """Say in a sentence which count is not a count, or is more than what contains it; "" when all is well."""
    if not _COUNT_TYPES.issuperset(map(type, counts)) or not all(map(_is_count, filter(None, counts))):
        named = zip(COUNTS, counts, strict=True)
        wrong = next(f"{name}={_shown(count)}" for name, count in named if count is not None and not _is_count(count))
        return f"{wrong} is not a count: a whole number from 0 to 2**53-1."
    reasoning, output = counts[_REASONING], counts[_OUTPUT]
    if isinstance(reasoning, int) and isinstance(output, int) and reasoning > output:
        return f"reasoning_tokens={reasoning} is more than output_tokens={output}, which contains it."
    return ""


def without_lone_reasoning(counts: Counts) -> Counts:
    """Leave reasoning out where the output that contains it is unknown: a share of nothing has no price."""
    return (*counts[:_REASONING], None) if counts[_REASONING] and counts[_OUTPUT] is None else counts


def _shown(value: object) -> str:
    """Write a value for a message, in bounded length: Python refuses to write an integer of many digits."""
    try:
        text = repr(value)
    except ValueError:
        return f"{type(value).__name__} of too many digits"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
