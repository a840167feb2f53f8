"""Money as people read it and as programs do: `$1,601.41`, `$0.00965`, and exact decimal text."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce

from otel_llmcost.model import EXACT

__all__ = ["add", "exact_usd", "ratio", "share", "sum_usd", "usd"]

_CENT = Decimal("0.01")
_TENTH = Decimal("0.1")
_PICO = Decimal("1e-12")


def add(one: Decimal, other: Decimal) -> Decimal:
    """Add US dollars exactly, whatever the caller's decimal context."""
    return EXACT.add(one, other)


def sum_usd(amounts: Iterable[Decimal]) -> Decimal:
    """Sum US dollars exactly, whatever the caller's decimal context."""
    return reduce(EXACT.add, amounts, Decimal(0))


def ratio(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """Divide, to 12 decimals: a share, or the cost of one of many. None of nothing."""
    return EXACT.quantize(EXACT.divide(Decimal(part), Decimal(whole)), _PICO) if whole else None


def usd(amount: Decimal) -> str:
    """Write US dollars: cents from one dollar up, four digits that count below; never $0.00 for what is not zero."""
    size = amount.copy_abs()
    step = _CENT if size >= 1 or size == 0 else Decimal((0, (1,), max(size.adjusted() - 3, -12)))
    whole, _, rest = f"{EXACT.quantize(size, step):,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{rest.rstrip('0').ljust(2, '0')}"


def exact_usd(amount: Decimal) -> str:
    """Write US dollars as the shortest exact decimal text, for programs: `0.01155`."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def share(part: Decimal, whole: Decimal) -> str:
    """Write a part of a whole in percent, `28.3%`; "" of nothing."""
    if not whole:
        return ""
    percent = EXACT.multiply(EXACT.divide(part, whole), Decimal(100))
    return f"{EXACT.quantize(percent, _TENTH):f}%"
