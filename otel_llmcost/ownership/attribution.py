"""`attributed(...)`: the context manager and decorator that says who owns the requests made inside."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast

from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach, create_key, get_current, get_value, set_value
from opentelemetry.context.context import Context

from otel_llmcost.attributes import PREFIX
from otel_llmcost.ownership.values import RESERVED, clean_value, is_extra_name, plain_text

__all__ = ["ATTEMPTS", "Attribution", "attributed"]

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS: Final = ("initial", "retry", "fallback")
_BLOCK: Final = create_key("llmcost-block")


def attributed(
    *,
    team: str | int | None = None,
    feature: str | int | None = None,
    customer_id: str | int | None = None,
    environment: str | int | None = None,
    action: str | int | None = None,
    action_id: str | int | None = None,
    request_id: str | int | None = None,
    attempt: Literal["initial", "retry", "fallback"] | None = None,
    **extra: str | int | None,
) -> Attribution:
    """
    Say who owns every LLM request made inside: `with attributed(team="support", customer_id="acme"):` or as a
    decorator, `@attributed(feature="reply-draft")`, on functions, coroutines and (async) generators.

    Blocks nest: the inner one wins name by name, the outer one stays where the inner one is silent. `None` and text
    that is empty once cleaned say nothing. `attempt` declares which try this is. Extra names become extra owner keys.

    Raises `TypeError` for a value that is neither text nor a whole number, `ValueError` for an unknown `attempt` or a
    name that cannot be an owner key. It raises where it is called, before the block or the function runs.
    """
    if attempt is not None and attempt not in ATTEMPTS:
        raise ValueError(f"attributed(attempt={attempt!r}): use one of {', '.join(ATTEMPTS)}")
    for name in extra:
        if not is_extra_name(name):
            raise ValueError(
                f"attributed({name}=...): an extra owner key is lower-case letters, digits and underscores, at most 40,"
                f" and none of {', '.join(sorted(RESERVED))}"
            )
    given = {
        "team": team,
        "feature": feature,
        "customer_id": customer_id,
        "environment": environment,
        "action": action,
        "action_id": action_id,
        "request_id": request_id,
        "attempt": attempt,
        **extra,
    }
    return Attribution({PREFIX + name: text for name, value in given.items() if (text := _argument(name, value))})


def _argument(name: str, value: object) -> str | None:
    if value is None:
        return None
    if (text := plain_text(value)) is None:
        kind = type(value).__name__
        raise TypeError(f"attributed({name}=...) takes text or a whole number, not {kind}: write {name}=str(...)")
    return clean_value(text)


class Attribution:
    """
    What `attributed(...)` gives: a context manager and a decorator, free to be reused, nested and shared by threads.

    Leaving restores what was current on entering, and only while the block is still current: a generator that is
    closed late, or in another task, neither logs an error nor brings an owner back to life. Inside a generator prefer
    the decorator: its body runs in a copy of the context variables taken at its first item, so that its consumer never
    sees its owner (nor any other context variable that it sets); a `with` around a `yield` lends it to the consumer.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = tuple(entries.items())

    def __enter__(self) -> None:
        attach(self._below(get_current()))

    def __exit__(self, *_error: object) -> None:
        # The way back is kept in the context itself, not in a token: a token fails in any other task or thread.
        block = get_value(_BLOCK)
        while block is not None:
            attribution, outer = cast("tuple[Attribution, Context]", block)
            if attribution is self:
                attach(outer)
                return
            block = get_value(_BLOCK, outer)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make `function` run inside this block, each call anew."""
        wrapper: Callable[..., Any]
        if inspect.isasyncgenfunction(function):
            wrapper = self._around_async_generator(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = self._around_generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapper = self._around_coroutine(function)
        else:
            wrapper = self._around(function)
        return cast("Callable[P, R]", functools.wraps(function)(wrapper))

    def _below(self, outer: Context) -> Context:
        context = outer
        for key, value in self._entries:
            context = set_baggage(key, value, context)
        return set_value(_BLOCK, (self, outer), context)

    def _variables(self) -> Variables:
        variables = copy_context()
        variables.run(attach, self._below(get_current()))
        return variables

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call

    def _around_coroutine(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return call

    def _around_generator(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        def items(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _Steps(self._variables(), function(*args, **kwargs)))

        return items

    def _around_async_generator(self, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
        async def items(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            variables, inner = self._variables(), function(*args, **kwargs)
            step: Awaitable[Any] = inner.asend(None)
            while True:
                try:
                    item = await _Steps(variables, step.__await__())
                except StopAsyncIteration:
                    return
                try:
                    step = inner.asend((yield item))
                except GeneratorExit:
                    await _Steps(variables, inner.aclose().__await__())
                    raise
                except BaseException as error:  # noqa: BLE001  # not kept: handed on, as `yield from` would
                    step = inner.athrow(error)

        return items


class _Steps(Generator[Any, Any, Any]):
    """A generator or awaitable, each step of which runs in `variables`: what it sets there stays there."""

    def __init__(self, variables: Variables, steps: Generator[Any, Any, Any]) -> None:
        self._variables = variables
        self._steps = steps

    def send(self, value: Any) -> Any:
        return self._variables.run(self._steps.send, value)

    def throw(self, *error: Any) -> Any:
        return self._variables.run(self._steps.throw, *error)

    def close(self) -> None:
        self._variables.run(self._steps.close)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self
