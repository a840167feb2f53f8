"""
Loads the price data in a thread, once per process, so that importing and starting cost nothing.

genai-prices takes 160-300 ms to import, most of it pydantic. The thread starts with the first `Pricer`; a request that
is priced sooner waits for it once, at most `WAIT_SECONDS`, and is then unpriced `prices_not_loaded`.

A child that is forked while the thread imports would inherit import locks whose owner does not exist there, and hang
at its own import. So a fork waits for the thread; should that take too long, the child starts its own, and still never
waits longer than a request may.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib.resources import files

from otel_llmcost.errors import RateCardError
from otel_llmcost.pricing.card import Card
from otel_llmcost.pricing.published import Published

__all__ = ["WAIT_SECONDS", "Loaded", "Loading"]

WAIT_SECONDS = 2.0
_FORK_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The published data, and our corrections of it."""

    published: Published
    corrections: tuple[Card, ...]


class Loading:
    """The load of one process. `shared()` starts it; `result()` gives what it loaded, or why not."""

    _shared: Loading | None = None

    def __init__(self) -> None:
        self.failure = "They are still loading."
        self._loaded: Loaded | None = None
        self._done = threading.Event()
        self._waited = False
        self._thread = threading.Thread(target=self._load, name="otel-llmcost-prices", daemon=True)
        self._thread.start()

    @classmethod
    def shared(cls) -> Loading:
        """Give the process's load, started at the first call."""
        if cls._shared is None:
            cls._shared = cls()  # two threads at once load twice; both results are the same
        return cls._shared

    def result(self) -> Loaded | None:
        """Give the data; wait for it at the first call only. None: `failure` says why."""
        if self._loaded is None and not self._waited and not self._done.is_set():
            self._done.wait(WAIT_SECONDS)
            self._waited = True
        return self._loaded

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, well or badly; False: not within `seconds`."""
        return self._done.wait(seconds)

    def _load(self) -> None:
        try:
            self._loaded = Loaded(_published(), _corrections())
        except (ImportError, RateCardError, OSError) as error:
            self.failure = f"They cannot be loaded: {error}. Reinstall otel-llmcost and genai-prices."
        finally:
            self._done.set()


def _published() -> Published:
    from importlib.metadata import version

    from genai_prices.data import providers

    return Published(providers, version("genai-prices"))


def _corrections() -> tuple[Card, ...]:
    from otel_llmcost.pricing.reading import parse_card

    folder = files("otel_llmcost.pricing") / "cards"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(parse_card((folder / name).read_bytes(), f"cards/{name}", shipped=True) for name in names)


def _before_fork() -> None:
    if Loading._shared is not None:
        Loading._shared._done.wait(_FORK_WAIT_SECONDS)


def _in_child() -> None:
    shared = Loading._shared
    if shared is not None and not shared._done.is_set():
        Loading._shared = None  # its thread does not exist here


os.register_at_fork(before=_before_fork, after_in_child=_in_child)
