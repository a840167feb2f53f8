"""Money as people read it and as programs do: `$1,601.41`, `$0.00965`, and exact decimal text."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

__all__ = ["exact_usd", "share", "usd"]

_CENT = Decimal("0.01")


def usd(amount: Decimal) -> str:
    """Write US dollars: cents from one dollar up, four digits that count below; never $0.00 for what is not zero."""
    size = abs(amount)
    step = _CENT if size >= 1 or size == 0 else Decimal(1).scaleb(max(size.adjusted() - 3, -12))
    whole, _, rest = f"{size.quantize(step, ROUND_HALF_EVEN):,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{rest.rstrip('0').ljust(2, '0')}"


def exact_usd(amount: Decimal) -> str:
    """Write US dollars as the shortest exact decimal text, for programs: `0.01155`."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def share(part: Decimal, whole: Decimal) -> str:
    """Write a part of a whole in percent, `28.3%`; "" of nothing."""
    return f"{part / whole * 100:.1f}%" if whole else ""
