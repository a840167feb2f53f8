"""The names of the SDK that we lean on beyond its public API: a release that changes them fails here, and says which."""

from __future__ import annotations

import pytest
from opentelemetry import propagate
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.version import __version__

ENDING = tuple(int(part) for part in __version__.split(".")[:2]) >= (1, 40)


class Remembering(SpanProcessor):
    """Remembers what each hook was given."""

    def __init__(self) -> None:
        self.ending: list = []
        self.ended: list = []

    def _on_ending(self, span) -> None:
        self.ending.append((type(span._attributes), dict(span._attributes._dict)))

    def on_end(self, span) -> None:
        """Remember the container."""
        self.ended.append((type(span._attributes), dict(span._attributes._dict)))


def test_a_span_ends_with_its_attributes_in_a_container_that_can_be_replaced():
    """
    `spans.add_attributes` replaces the values of `Span._attributes`, the `_dict` of a `BoundedAttributes`, in `_on_ending`
    since 1.40 and in `on_end` before.
    """
    processor = Remembering()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("x", attributes={"a": 1}).end()

    assert processor.ended == [(BoundedAttributes, {"a": 1})]
    assert processor.ending == ([(BoundedAttributes, {"a": 1})] if ENDING else [])
    assert hasattr(SpanProcessor, "_on_ending") is ENDING


@pytest.mark.parametrize("kind", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
def test_a_providers_processors_can_be_arranged(kind):
    """
    `auto` puts ours first, where the SDK is older than 1.40, and takes it out: `_span_processors` below `_lock`.
    """
    every = kind()
    first, second = Remembering(), Remembering()
    every.add_span_processor(first)
    every.add_span_processor(second)

    with every._lock:
        assert every._span_processors == (first, second)


def test_a_tracer_has_a_sampler_of_its_own():
    """
    `sampling.record_genai` gives each tracer a sampler that knows its scope: `Tracer.sampler`, asked for each span.
    """
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)

    assert provider._active_span_processor is not None
    assert provider.get_tracer("t").sampler is ALWAYS_ON


def test_the_global_propagator_can_be_replaced():
    """
    `guard_propagation` reads and sets it through the public functions.
    """
    current = propagate.get_global_textmap()
    propagate.set_global_textmap(current)

    assert propagate.get_global_textmap() is current
