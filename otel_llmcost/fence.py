"""
The one fence: where OpenTelemetry calls us, no error of ours may reach, replace or delay the user's own.

The SDK lets an exception of a processor travel into the user's `with` block and hides it from later processors
(open-telemetry/opentelemetry-python, `SynchronousMultiSpanProcessor`), so every hook is wrapped here. The fence counts
each error, logs the first of each kind with its stack, and re-raises only when `RERAISE` is set, as our own tests do.
KeyboardInterrupt and SystemExit pass.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from otel_llmcost.counters import COUNTERS

__all__ = ["fenced"]

P = ParamSpec("P")
R = TypeVar("R")

RERAISE = False
"""True in our own tests: there an error must be seen."""

_logger = logging.getLogger("otel_llmcost")
_seen: set[tuple[str, type[Exception]]] = set()


def fenced(hook: str, *, otherwise: R) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a hook that never raises: on an error it counts `fence.<hook>` and returns `otherwise`."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # the one broad except of the package
                if RERAISE:
                    raise
                _report(hook, error)
                return otherwise

        return call

    return wrap


def _report(hook: str, error: Exception) -> None:
    COUNTERS.add(f"fence.{hook}")
    kind = (hook, type(error))
    if kind not in _seen:
        _seen.add(kind)
        _logger.error(
            "otel-llmcost failed in %s and left your code alone; further errors of this kind are only counted",
            hook,
            exc_info=error,
        )
