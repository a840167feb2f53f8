"""A terminal for the real command: a pseudo-terminal of so many columns and lines, and a person who presses keys."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Self

COMMAND = (sys.executable, "-m", "otel_llmcost")
PATIENCE_SECONDS = 60.0
HOME = "\x1b[H"
LEFT = "\x1b[?1049l"
_LISTEN = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
LISTENING = [sys.executable, "-c", _LISTEN]
"""Before a command: Ctrl-C ends it, also where who started the tests ignores that, as a shell's background does."""
_LAUNCH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes it the process's own terminal, so that Ctrl-C is a signal to it."""


class Terminal:
    """Runs `otel-llmcost` in it; the process is killed at the end of the `with`, if it still runs."""

    def __init__(self, *arguments: str, columns: int = 100, lines: int = 30) -> None:
        self._inside: str = ""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._side = side  # open, so that it can be looked at when the process has ended
        self.before = termios.tcgetattr(side)
        launch = [sys.executable, "-c", _LAUNCH, *LISTENING, *COMMAND, *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._running = subprocess.Popen(
            launch, stdin=side, stdout=side, stderr=side, start_new_session=True, env=environment
        )
        self.process = self._running.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.kill()
        self._running.wait()
        os.close(self._main)
        os.close(self._side)

    @property
    def text(self) -> str:
        """Everything that was written so far."""
        return self._inside

    @property
    def frame(self) -> list[str]:
        """The last picture, as lines without what is not seen."""
        last = self._inside.split(HOME)[-1].partition("\x1b[J")[0].partition("\x1b[?25h")[0]
        for sign in ("\x1b[2K", "\x1b[1m", "\x1b[0m", "\r"):
            last = last.replace(sign, "")
        return last.splitlines()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until this was written so often."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._inside.count(text) < times:
            assert time.monotonic() < deadline, self._inside
            self._read(0.1)

    def press(self, key: str) -> None:
        """Press a key; `\\x03` is Ctrl-C."""
        os.write(self._main, key.encode())

    def ended(self) -> int:
        """Wait until it has ended; give the exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._running.poll() is None:
            assert time.monotonic() < deadline, self._inside
            self._read(0.05)
        while self._read(0.05):
            pass
        return self._running.returncode

    def is_as_before(self) -> bool:
        """Tell whether the terminal takes lines and shows what is typed as it did, on its own screen."""
        return termios.tcgetattr(self._side) == self.before and self._inside.rstrip().count(LEFT) == 1

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._main], [], [], seconds)
        if ready:
            self._inside += os.read(self._main, 65_536).decode("utf-8", "replace")
        return bool(ready)
