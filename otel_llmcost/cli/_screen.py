"""
A terminal that is taken over for a while: a screen of its own, keys that arrive as they are pressed, all as before at the end.

Limit: a process that is killed with -9 leaves the terminal as it is; `reset` brings it back.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import textwrap
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self

from otel_llmcost.cli._text import cut, printable

__all__ = ["Screen"]

_UNTOLD: Final = os.terminal_size((80, 24))
"""The size of a terminal that does not tell its own."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_WHOLE_LINE: Final = "\x1b[2K"
_REST_OF_SCREEN: Final = "\x1b[J"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"


class Screen:
    """
    Takes the terminal over when it first shows something, and gives it back at the end of its `with`.

    `bold` tells whether headings are set off. Standard output must be a terminal; keys are read where standard input is one.
    """

    def __init__(self, *, bold: bool) -> None:
        self._bold = bold
        self._keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] = []
        self._is_taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self._is_taken:
            return
        with suppress(OSError):  # the terminal may be gone
            _write(_LEAVE)
        if self._keys is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now, whatever the environment says."""
        size = os.get_terminal_size(sys.stdout.fileno())
        return size if size.columns and size.lines else _UNTOLD

    def show(self, lines: Sequence[str], headings: frozenset[int], foot: str, seconds: float) -> str:
        """
        Show as many of these lines as there is room for, those with a number in `headings` in bold, and `foot` whole under
        them, in place of what was there; wait so long for a key, and give it in lower case, or "".
        """
        self._take()
        width, height = self.size
        below = textwrap.wrap(printable(foot), width)[: height // 2]
        above = [self._line(cut(line, width), number in headings) for number, line in enumerate(lines)]
        room = max(1, height - len(below))
        shown = [*above[: room - 1], _WHOLE_LINE, *(_WHOLE_LINE + line for line in below)][:height]
        _write(_HOME + "\n".join(shown) + ("\n" + _REST_OF_SCREEN if len(shown) < height else ""))
        if self._keys is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._keys], [], [], seconds)
        return os.read(self._keys, 1).decode("ascii", "replace").lower() if ready else ""

    def _take(self) -> None:
        if self._is_taken:
            return
        self._is_taken = True
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        _write(_ENTER)

    def _line(self, text: str, is_heading: bool) -> str:
        """Clear the line, then write: behind the last column nothing could be cleared but that column."""
        return _WHOLE_LINE + (f"{_BOLD}{text}{_PLAIN}" if is_heading and self._bold else text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
