"""The demo's traffic is what an instrumented application makes."""

from __future__ import annotations

import openai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.demo.traffic import TRAFFIC, WORKED, send


def test_every_request_shows_as_a_span_of_its_instrumentation():
    """
    Each scripted reply is one HTTP request and one instrumentation span; the Anthropic SDK adds one of its own.
    """
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    made: list[int] = []
    received = send(TRAFFIC, provider, made.append)
    provider.shutdown()
    scopes = [span.instrumentation_scope.name for span in spans.get_finished_spans() if span.instrumentation_scope]
    by_instrumentation = [scope for scope in scopes if scope.startswith("opentelemetry.instrumentation.genai.")]
    to_anthropic = [scope for scope in scopes if scope.endswith(".genai.anthropic")]
    assert received == sum(made) == len(by_instrumentation) == sum(len(call.replies) for call in TRAFFIC)
    assert scopes.count("com.anthropic.sdk.python") == len(to_anthropic) > 0


def test_instrumentation_is_taken_off_again():
    """
    After the demo the clients are as they were: nothing of it stays in the process.
    """
    before = openai.resources.chat.completions.Completions.create
    provider = TracerProvider()
    send(WORKED, provider)
    provider.shutdown()
    assert openai.resources.chat.completions.Completions.create is before
