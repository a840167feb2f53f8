"""
`configure()`: the whole set-up from settings, for an application that has none, or beside the one it has.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost.errors import SettingsError
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.processor import LLMCostSpanProcessor
from otel_llmcost.settings import Settings

__all__ = ["configure"]


def configure(
    dsn: str | None = None, *, settings: Settings | None = None, tracer_provider: TracerProvider | None = None
) -> LLMCostSpanProcessor:
    """
    Add a processor with an exporter to the tracer provider, and make a provider where there is none.

    Args:
        dsn: where the ledger is; default `OTEL_LLMCOST_DSN`, else an embedded one in the state directory.
        settings: all settings; default: the environment's.
        tracer_provider: default: the global one; when none was set, a new one becomes global.

    Raises:
        SettingsError: a setting is wrong, or the global provider is not the SDK's.
    """
    provider = tracer_provider or _global_provider()
    processor = LLMCostSpanProcessor(exporter=ClickHouseSpanExporter(dsn, settings=settings))
    provider.add_span_processor(processor)
    return processor


def _global_provider() -> TracerProvider:
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    if not hasattr(provider, "add_span_processor"):
        raise SettingsError(
            f"the global tracer provider is {type(provider).__name__}, which takes no span processors: "
            "give configure(tracer_provider=…) one of opentelemetry-sdk"
        )
    return provider  # type: ignore[return-value]  # duck-typed: Logfire's proxy has the same method
