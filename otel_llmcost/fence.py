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
from typing import ParamSpec, TypeVar, cast

from otel_llmcost.counters import COUNTERS

__all__ = ["fenced", "fenced_start"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., None])

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
            except Exception as error:  # the broad except of the package, with its twin below
                if RERAISE:
                    raise
                _report(hook, error)
                return otherwise

        return call

    return wrap


def fenced_start(function: F) -> F:
    """
    Make an `on_start` that never raises: `fenced` for the one hook that every span pays for and is called by keyword.

    Its parameters are written out, because passing them on through `*args, **kwargs` costs each span 0.2 us.
    """

    @functools.wraps(function)
    def on_start(self: object, span: object, parent_context: object = None) -> None:
        try:
            function(self, span, parent_context)
        except Exception as error:
            if RERAISE:
                raise
            _report("on_start", error)

    return cast("F", on_start)


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
