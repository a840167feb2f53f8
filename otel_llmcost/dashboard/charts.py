"""
Charts as geometry: rectangles and lines that a template writes as SVG. Pixels are rounded here; figures never are.

Coordinates are text with one decimal. Every chart is drawn twice, wide and narrow, because text in a shrunken SVG cannot
be read; style sheets show one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import Final

from otel_llmcost.model import EXACT
from otel_llmcost.reports.money import sum_usd, usd

__all__ = ["Bars", "Mark", "Series", "Size", "Spark"]

_STEPS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))
_TICKS: Final = 4
_LABEL_WIDTH: Final = 62
"""Between two labels of the time axis."""


@dataclass(frozen=True, slots=True)
class Size:
    """A drawing's size and the room for its axes."""

    name: str
    width: int
    height: int
    left: int = 52
    bottom: int = 24
    top: int = 26
    right: int = 16


WIDE: Final = Size("wide", 1000, 380)
NARROW: Final = Size("narrow", 360, 240, left=48)


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a stacked chart: a value for each bucket."""

    name: str
    look: str
    """Its class in the style sheet."""
    values: Sequence[Decimal]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to know about a bucket: a rate that changed, a day far above the usual."""

    bucket: str
    look: str
    """`rate` or `high`."""
    text: str


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a bar."""

    x: str
    y: str
    width: str
    height: str
    look: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket: its parts, and the place for a pointer to touch."""

    label: str
    total: str
    parts: tuple[tuple[str, str], ...]
    """(name, figure) of what is not zero, largest first: the words of its tooltip."""
    rects: tuple[Rect, ...]
    x: str
    middle: str
    top: str
    width: str
    is_partial: bool
    href: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid, or a label below it."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart in one size."""

    size: Size
    bars: tuple[Bar, ...]
    grid: tuple[Tick, ...]
    labels: tuple[Tick, ...]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """
    Stacked bars over time.

    Args:
        name: unique on its page.
        title: what it shows, for those who do not see it.
        buckets: hours, days or months, oldest first.
        series: from the bottom up.
        links: bucket -> where a click leads.
        partial: the bucket that is not over yet, or "".
    """

    name: str
    title: str
    buckets: Sequence[str]
    series: Sequence[Series]
    links: Mapping[str, str]
    partial: str = ""
    marks: Sequence[Mark] = ()

    @property
    def sums(self) -> list[Decimal]:
        """The height of each bar: of what is above zero; what is below is said in its words alone."""
        rows = zip(*(series.values for series in self.series), strict=True)
        return [sum_usd(value for value in row if value > 0) for row in rows]

    @cached_property
    def drawings(self) -> tuple[Drawing, Drawing]:
        """The chart, wide and narrow."""
        return self._draw(WIDE), self._draw(NARROW)

    def _draw(self, size: Size) -> Drawing:
        highest = max(self.sums, default=Decimal(0))
        step = _step(highest)
        ceiling = max(step, EXACT.divide(highest, step).to_integral_value(ROUND_CEILING) * step)
        floor = size.height - size.bottom
        scale = _Scale(ceiling, floor, floor - size.top)
        grid = []
        at = Decimal(0)
        while at <= ceiling:
            grid.append(Tick(scale.y(at), _axis(at)))
            at += step
        slot = Decimal(size.width - size.left - size.right) / max(1, len(self.buckets))
        bars = tuple(self._bar(place, slot, size, scale) for place in range(len(self.buckets)))
        every = max(1, int((_LABEL_WIDTH / slot).to_integral_value(ROUND_CEILING)))
        labels = tuple(
            Tick(bar.middle, _short(bucket))
            for place, (bar, bucket) in enumerate(zip(bars, self.buckets, strict=True))
            if (len(bars) - 1 - place) % every == 0
        )
        return Drawing(size, bars, tuple(grid), labels)

    def _bar(self, place: int, slot: Decimal, size: Size, scale: _Scale) -> Bar:
        bucket = self.buckets[place]
        gap = min(slot / 6, Decimal(4))
        x, width = size.left + slot * place + gap / 2, slot - gap
        rects = []
        below = Decimal(0)
        for series in self.series:
            if (value := series.values[place]) > 0:
                height = scale.height(below + value) - scale.height(below)
                if height >= Decimal("0.1"):
                    y = scale.floor - scale.height(below + value)
                    rects.append(Rect(_px(x), _px(y), _px(width), _px(height), series.look))
                below += value
        parts = sorted(((s.values[place], s.name) for s in self.series if s.values[place]), reverse=True)
        return Bar(
            label=bucket,
            total=usd(sum_usd(value for value, _ in parts)),
            parts=tuple((name, usd(value)) for value, name in parts),
            rects=tuple(rects),
            x=_px(x),
            middle=_px(x + width / 2),
            top=_px(scale.floor - scale.height(below)),
            width=_px(width),
            is_partial=bucket == self.partial,
            href=self.links.get(bucket, ""),
            marks=tuple(mark for mark in self.marks if mark.bucket == bucket),
        )


@dataclass(frozen=True, slots=True)
class _Scale:
    ceiling: Decimal
    floor: int
    pixels: int

    def height(self, value: Decimal) -> Decimal:
        return EXACT.divide(value * self.pixels, self.ceiling)

    def y(self, value: Decimal) -> str:
        return _px(self.floor - self.height(value))


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line in a table's row: the values over time, each row in its own scale."""

    values: tuple[Decimal, ...]
    width: int = 88
    height: int = 22

    @property
    def points(self) -> str:
        """The line's points, for `polyline`."""
        highest = max(self.values, default=Decimal(0))
        if len(self.values) < 2 or highest <= 0:
            return f"0,{self.height - 1} {self.width},{self.height - 1}"
        step = Decimal(self.width - 2) / (len(self.values) - 1)
        heights = (EXACT.divide(max(value, Decimal(0)) * (self.height - 3), highest) for value in self.values)
        return " ".join(f"{_px(1 + step * place)},{_px(self.height - 1 - h)}" for place, h in enumerate(heights))


def _step(highest: Decimal) -> Decimal:
    """Give the round distance of some four grid lines."""
    if highest <= 0:
        return Decimal(1)
    rough = EXACT.divide(highest, Decimal(_TICKS))
    power = Decimal(1).scaleb(rough.adjusted())
    return next(step * power for step in _STEPS if step * power >= rough)


def _short(bucket: str) -> str:
    """Write a bucket as an axis does: 14:00, 11-21, or 2026-11."""
    return bucket[11:16] if len(bucket) > 10 else bucket[5:] if len(bucket) == 10 else bucket


def _axis(amount: Decimal) -> str:
    return f"${amount:,.0f}" if amount == amount.to_integral_value() else usd(amount)


def _px(value: Decimal | int) -> str:
    return f"{value:.1f}".removesuffix(".0")
