"""`attributed(...)`: who owns what is made inside, whatever the shape of the code."""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, get_current
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost.counters import COUNTERS
from otel_llmcost.ownership import OwnerReader, attributed
from otel_llmcost.settings import Settings

READER = OwnerReader(Settings())


def team() -> str | None:
    """Read the team that a span started now would have."""
    return READER.read(None, {}).team


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """
    OpenTelemetry logs an error when a context is detached wrongly: no test here may cause one.
    """
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.messages == []


def test_names_become_baggage():
    """
    Owners travel as W3C baggage under our prefix, and are gone after the block.
    """
    with attributed(team="support", feature="reply", customer_id=42, action=None, region="eu"):
        inside = dict(baggage.get_all())

    assert inside == {
        "llmcost.team": "support",
        "llmcost.feature": "reply",
        "llmcost.customer_id": "42",
        "llmcost.region": "eu",
    }
    assert dict(baggage.get_all()) == {}


def test_the_inner_block_wins_and_the_outer_one_stays():
    """
    Blocks nest name by name; None and empty text say nothing.
    """
    with attributed(team="outer", feature="kept"), attributed(team="inner", feature=None, customer_id=" "):
        owner = READER.read(None, {})

    assert (owner.team, owner.feature, owner.customer_id) == ("inner", "kept", None)


def test_other_baggage_is_left_alone():
    """
    Baggage that is not ours is still there inside the block.
    """
    context = baggage.set_baggage("locale", "en")
    copy = copy_context()

    def inside() -> object:
        attach(context)
        with attributed(team="a"):
            return baggage.get_baggage("locale")

    assert copy.run(inside) == "en"


def test_an_exception_passes_and_ends_the_block():
    """
    The user's own exception leaves the block untouched, and the owner ends with it.
    """
    error = KeyError("theirs")
    with pytest.raises(KeyError) as caught, attributed(team="a"):
        raise error

    assert error is caught.value
    assert team() is None


@pytest.mark.parametrize("value", [True, 1.5, b"acme", object(), ["a"], {"a": 1}, 1 << 300])
def test_a_wrong_type_is_refused_where_it_is_written(value: Any):
    """
    A value that is neither text nor a whole number raises TypeError that names the argument, before the block runs.
    """
    with pytest.raises(TypeError, match=r"attributed\(customer_id=\.\.\.\) takes text or a whole number"):
        attributed(customer_id=value)


def test_text_enums_give_their_text():
    """
    A member of a text enum counts as its text.
    """

    class Team(str, enum.Enum):  # noqa: UP042  # the old kind prints as Team.SUPPORT
        SUPPORT = "support"

    with attributed(team=Team.SUPPORT):
        assert team() == "support"


@pytest.mark.parametrize("attempt", ["again", "", "Retry", 1])
def test_an_unknown_attempt_is_refused(attempt: Any):
    """
    An attempt that is not one of three words raises ValueError that lists them.
    """
    with pytest.raises(ValueError, match="initial, retry, fallback"):
        attributed(attempt=attempt)


@pytest.mark.parametrize("name", ["cost_usd", "recorded", "usage", "Team", "_x", "1a", "a-b", "x" * 41, "é"])
def test_an_extra_name_that_cannot_be_a_key_is_refused(name: str):
    """
    An extra key must be plain, and none of the names that we write on spans.
    """
    with pytest.raises(ValueError, match="an extra owner key is"):
        attributed(**{name: "x"})


def test_a_declared_attempt_is_read_back():
    """
    `attempt` holds inside the block; anything else that claims to be one is none.
    """
    with attributed(attempt="retry"):
        assert READER.declared_attempt(None) == "retry"
        assert READER.read(None, {}).source == ""
    assert READER.declared_attempt(None) is None
    assert READER.declared_attempt(baggage.set_baggage("llmcost.attempt", "more")) is None
    assert READER.declared_attempt(baggage.set_baggage("llmcost.attempt", ["retry"])) is None


def test_a_block_may_be_kept_and_nested_in_itself():
    """
    What `attributed` gives can be used again, inside itself too.
    """
    support = attributed(team="support")
    with support, attributed(team="other"), support:
        assert team() == "support"
    with support:
        assert team() == "support"
    assert team() is None


def test_the_span_of_the_block_is_kept():
    """
    The current span is the same inside, and spans made inside are below it.
    """
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("outer") as outer, attributed(team="a"):
        assert outer is trace.get_current_span()
        with tracer.start_as_current_span("inner") as inner:
            assert team() == "a"
        assert outer.get_span_context() == inner.parent
    assert team() is None


def test_functions_keep_name_and_result():
    """
    A decorated function is itself, inside the block, each time it is called.
    """

    @attributed(team="a")
    def double(x: int, *, times: int = 2) -> tuple[int, str | None]:
        """Double."""
        return x * times, team()

    assert [double(2), double(2, times=3)] == [(4, "a"), (6, "a")]
    assert (
        double.__name__,
        double.__doc__,
        list(inspect.signature(double).parameters),
    ) == ("double", "Double.", ["x", "times"])
    assert team() is None


def test_coroutines_are_owned_while_they_wait():
    """
    A decorated coroutine keeps its owner across await, and concurrent ones do not see each other's.
    """

    @attributed(feature="chat")
    async def work(name: str) -> list[str | None]:
        with attributed(team=name):
            before = team()
            await asyncio.sleep(0)
            return [before, team(), READER.read(None, {}).feature]

    async def main() -> list[list[str | None]]:
        return await asyncio.gather(*(work(name) for name in "abc"))

    assert [[name, name, "chat"] for name in "abc"] == asyncio.run(main())
    assert inspect.iscoroutinefunction(work)


def test_tasks_inherit_and_outlive_the_block():
    """
    A task made inside a block keeps its owner after the block has ended.
    """

    async def later() -> str | None:
        await asyncio.sleep(0)
        return team()

    async def main() -> tuple[str | None, str | None, str | None]:
        with attributed(team="a"):
            task = asyncio.create_task(later())
            in_thread = await asyncio.to_thread(team)
        return await task, in_thread, team()

    assert asyncio.run(main()) == ("a", "a", None)


def test_threads_inherit_through_a_copy_of_the_context_only():
    """
    A raw thread starts without an owner; `copy_context().run` takes it there.
    """
    seen: list[str | None] = []
    with attributed(team="a"), ThreadPoolExecutor(1) as pool:
        for target in (team, copy_context().run):
            arguments = () if target is team else (team,)
            thread = threading.Thread(target=lambda t=target, a=arguments: seen.append(t(*a)))
            thread.start()
            thread.join()
        seen.append(pool.submit(copy_context().run, team).result())

    assert seen == [None, "a", "a"]


def test_one_block_shared_by_threads():
    """
    The same block entered by many threads at once never mixes them up.
    """
    shared = attributed(team="shared")
    start = threading.Barrier(8)

    def run(number: int) -> set[str | None]:
        start.wait()
        seen = set()
        with attributed(team=f"own-{number}"):
            for _ in range(300):
                with shared:
                    seen.add(team())
                seen.add(team())
        return seen | {team()}

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, range(8)))

    assert [{"shared", f"own-{number}", None} for number in range(8)] == results


def test_a_generator_does_not_lend_its_owner():
    """
    A decorated generator is owned inside, its consumer is not: not between items, not after an early end.
    """

    @attributed(team="inner")
    def items() -> Iterator[str | None]:
        yield team()
        yield team()

    with attributed(team="outer"):
        stream = items()
        seen = [next(stream), team(), next(stream), team()]
        stream.close()  # type: ignore[attr-defined]  # a generator
        assert team() == "outer"

    assert seen == ["inner", "outer", "inner", "outer"]
    assert inspect.isgeneratorfunction(items)


def test_a_generator_is_still_a_generator():
    """
    send, throw, close and the return value reach the decorated generator.
    """
    closed = []

    @attributed(team="a")
    def echo() -> Any:
        got: object = None
        try:
            while got != "end":
                try:
                    got = yield (got, team())
                except KeyError as error:
                    got = repr(error)
        finally:
            closed.append(team())
        return "done"

    stream = echo()
    assert next(stream) == (None, "a")
    assert stream.send(1) == (1, "a")
    assert stream.throw(KeyError("x")) == ("KeyError('x')", "a")
    with pytest.raises(StopIteration) as end:
        stream.send("end")
    assert end.value.value == "done"

    other = echo()
    next(other)
    other.close()
    failing = echo()
    next(failing)
    with pytest.raises(ValueError, match="theirs"):
        failing.throw(ValueError("theirs"))
    assert closed == ["a", "a", "a"]


def test_spans_of_a_generator_stay_inside_it():
    """
    A span that is current inside a decorated generator is so at each of its items, and never for its consumer.
    """
    tracer = TracerProvider().get_tracer("test")

    @attributed(team="a")
    def items() -> Iterator[trace.Span]:
        with tracer.start_as_current_span("inside"):
            for _ in range(3):
                yield trace.get_current_span()

    spans = [(span, trace.get_current_span()) for span in items()]

    assert len({span for span, _ in spans}) == 1
    assert {trace.INVALID_SPAN} == {outside for _, outside in spans}


def test_a_block_round_a_yield_ends_with_its_consumer():
    """
    A `with` around a `yield` lends its owner to the consumer, yet closing late never brings an owner back.
    """

    def items() -> Iterator[int]:
        with attributed(team="inner"):
            yield 1
            yield 2

    with attributed(team="outer"):
        stream = items()
        next(stream)
        assert team() == "inner"
    assert team() is None
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert team() is None


def test_async_generators_are_isolated_too():
    """
    A decorated async generator is owned inside, its consumer is not; asend, athrow and aclose reach it.
    """
    closed = []

    @attributed(team="inner")
    async def items() -> AsyncIterator[tuple[object, str | None]]:
        got: object = None
        try:
            while got != "end":
                await asyncio.sleep(0)
                try:
                    got = yield (got, team())
                except KeyError:
                    got = "caught"
        finally:
            await asyncio.sleep(0)
            closed.append(team())

    async def main() -> list[object]:
        seen: list[object] = []
        with attributed(team="outer"):
            stream: Any = items()
            seen += [await anext(stream), team(), await stream.asend(1), await stream.athrow(KeyError()), team()]
            with pytest.raises(StopAsyncIteration):
                await stream.asend("end")
            early: Any = items()
            await anext(early)
            await early.aclose()
            failing: Any = items()
            await anext(failing)
            with pytest.raises(ValueError, match="theirs"):
                await failing.athrow(ValueError("theirs"))
            seen.append(team())
        return seen

    expected = [(None, "inner"), "outer", (1, "inner"), ("caught", "inner"), "outer", "outer"]
    assert expected == asyncio.run(main())
    assert closed == ["inner"] * 3
    assert inspect.isasyncgenfunction(items)


def test_an_async_generator_may_be_cancelled():
    """
    Cancellation and time-outs inside a decorated async generator work as without it.
    """
    seen = []

    @attributed(team="a")
    async def slow() -> AsyncIterator[int]:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        except TimeoutError:
            seen.append("timeout")
        yield 1
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append(f"cancelled {team()}")
            raise

    async def consume() -> None:
        async for _ in slow():
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["timeout", "cancelled a"]


def test_an_abandoned_async_generator_ends_quietly():
    """
    An async generator that its consumer drops is closed by the loop in another task, without an error.
    """

    async def with_block() -> AsyncIterator[int]:
        with attributed(team="a"):
            yield 1
            yield 2

    decorated = attributed(team="b")(with_block)

    async def main() -> None:
        for make in (with_block, decorated):
            async for _ in make():
                break
        await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.parametrize("order", ["sync", "async"])
def test_context_managers_made_from_decorated_generators_work(order: str):
    """
    `contextmanager` over a decorated generator sees the exception of its body.
    """
    seen = []
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    @contextmanager
    @attributed(team="a")
    def sync() -> Iterator[str | None]:
        variable.set("inside")
        try:
            yield team()
        except KeyError:
            seen.append("caught")

    @asynccontextmanager
    @attributed(team="a")
    async def concurrent() -> AsyncIterator[str | None]:
        try:
            yield team()
        except KeyError:
            seen.append("caught")

    async def main() -> None:
        async with concurrent() as inside:
            seen.append(inside)
            raise KeyError

    if order == "async":
        asyncio.run(main())
    else:
        with sync() as inside:
            seen.append(inside)
            assert variable.get() == "unset"
            raise KeyError

    assert seen == ["a", "caught"]


def test_leaving_elsewhere_changes_nothing():
    """
    A block that is left in another context than it was entered in leaves that context as it is.
    """
    block = attributed(team="a")
    copy_context().run(block.__enter__)
    with attributed(team="b"):
        before = get_current()
        block.__exit__(None, None, None)
        assert before is get_current()


def test_leaving_undoes_what_others_forgot():
    """
    A block restores what was there before it, even if code inside attached a context and never detached it.
    """
    with attributed(team="a"):
        attach(baggage.set_baggage("llmcost.team", "forgotten"))
    assert team() is None


def test_values_are_cleaned_when_given():
    """
    What goes into baggage is clean already, and its cleaning counted.
    """
    with attributed(team="a\x00  b"):
        assert baggage.get_baggage("llmcost.team") == "a b"

    assert COUNTERS["owner.cleaned"] == 1
