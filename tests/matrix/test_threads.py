"""Threads and executors keep the owner, where opentelemetry-instrumentation-threading is on, and by hand without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import attributed
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.settings import Settings

READER = OwnerReader(Settings())


def owner() -> str | None:
    """Give the team that a span which starts here has."""
    return READER.read(None, {}).team


def in_a_thread(function: Callable[..., object], *arguments: object) -> None:
    """Run it in a thread."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


@pytest.fixture(name="instrumented")
def _instrumented() -> Iterator[None]:
    package = pytest.importorskip(
        "opentelemetry.instrumentation.threading",
        reason="installed by `make test-matrix MATRIX=instrumentations`: it pins an older OpenTelemetry",
    )
    package.ThreadingInstrumentor().instrument(tracer_provider=TracerProvider(shutdown_on_exit=False))
    yield
    package.ThreadingInstrumentor().uninstrument()


@pytest.mark.usefixtures("instrumented")
def test_threads_timers_and_executors_keep_the_owner_when_instrumented():
    """
    With opentelemetry-instrumentation-threading, work handed to threads has the owner of who handed it over.
    """
    seen: list[str | None] = []
    with ThreadPoolExecutor(1) as pool:
        with attributed(team="support"):
            in_a_thread(lambda: seen.append(owner()))
            seen.append(pool.submit(owner).result())
            seen += pool.map(lambda _: owner(), range(2))
            timer = threading.Timer(0, lambda: seen.append(owner()))
            timer.start()
            timer.join()
        seen.append(pool.submit(owner).result())

    assert seen == ["support"] * 5 + [None]


def test_a_copy_of_the_context_takes_the_owner_along():
    """
    Without any instrumentation: `copy_context().run` keeps it, a bare thread has none.
    """
    seen: list[str | None] = []
    with attributed(team="support"), ThreadPoolExecutor(1) as pool:
        in_a_thread(copy_context().run, lambda: seen.append(owner()))
        seen.append(pool.submit(copy_context().run, owner).result())
        in_a_thread(lambda: seen.append(owner()))

    assert seen[:2] == ["support", "support"]
    assert seen[2] is None
