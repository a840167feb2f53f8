"""
Text as a terminal takes it: how wide it is, what of it may be shown, and small bars made of characters.

Where the output's encoding is not UTF-8, our own signs have look-alikes in ASCII of the same width, and what else cannot
be written is shown by its code: no name ends a command. Limit: emoji that join several characters count as all of them.
"""

from __future__ import annotations

import codecs
import sys
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

__all__ = ["cell_width", "cut", "printable", "spark", "write_whatever_comes"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN: Final = str.maketrans({**dict(zip(_BARS, "_.,:;=+#", strict=True)), "≥": ">", "…": "~", "×": "x", "·": "-"})
_ERRORS: Final = "otel_llmcost.look_alikes"


def cell_width(text: str) -> int:
    """Count the columns that a terminal needs: two for a wide character, none for one that sits on another."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, width: int) -> str:
    """Shorten to so many columns; what is cut ends in an ellipsis."""
    if cell_width(text) <= width:
        return text
    short = text[: width - 1]
    while cell_width(short) > width - 1:
        short = short[:-1]
    return short + printable("…")


def printable(text: str) -> str:
    """Replace what a terminal would obey instead of show, and what its encoding does not have."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text if text.isascii() else text.encode(encoding, _ERRORS).decode(encoding)


def spark(values: Sequence[Decimal]) -> str:
    """Draw a bar for each value, the largest as high as a line; where nothing was spent there is none."""
    most = max(values, default=Decimal(0))
    return "".join(_bar(value, most) for value in values)


def _bar(value: Decimal, most: Decimal) -> str:
    return _BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] if value > 0 else " "


def write_whatever_comes() -> None:
    """Let standard output take every character, as what it can write."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # not where a program reads us through its own stream
            reconfigure(errors=_ERRORS)


def _look_alikes(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(_ERRORS, _look_alikes)
