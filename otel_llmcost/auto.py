"""
The whole set-up in one call, and the hook that makes it without a call: `configure()` and `pre_instrument()`.

One processor per tracer provider, whoever asks first; a sampler that records GenAI spans of traces that are not
exported (`sampling`); and with an SDK before 1.40, where attributes written at the end reach later processors only,
ours in front of the others.
"""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_llmcost.errors import LLMCostError, SettingsError
from otel_llmcost.exporter import ClickHouseSpanExporter, only_exporter
from otel_llmcost.fence import fenced
from otel_llmcost.processor import LLMCostSpanProcessor
from otel_llmcost.sampling import record_genai
from otel_llmcost.settings import PREFIX, Settings

__all__ = ["configure", "pre_instrument"]

NAME: Final = "llmcost"
"""Of our entry points; in `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` it keeps the hook off."""
_WRITES_AT_THE_END: Final = hasattr(SpanProcessor, "_on_ending")
"""SDK >= 1.40."""

_logger = logging.getLogger("otel_llmcost")
_processors: weakref.WeakKeyDictionary[Any, LLMCostSpanProcessor] = weakref.WeakKeyDictionary()
_reasons_said: set[str] = set()


def configure(
    dsn: str | None = None, *, settings: Settings | None = None, tracer_provider: TracerProvider | None = None
) -> LLMCostSpanProcessor:
    """
    Add a processor with an exporter to the tracer provider, and make a provider where there is none.

    A provider that has one already keeps it as it is: under `opentelemetry-instrument` the hook was first.

    Args:
        dsn: where the ledger is; default `OTEL_LLMCOST_DSN`, else an embedded one in the state directory.
        settings: all settings; default: the environment's.
        tracer_provider: default: the global one; when none was set, a new one becomes global.

    Raises:
        SettingsError: a setting is wrong, or the global provider is not the SDK's.
    """
    provider = tracer_provider or _global_provider()
    known = _processors.get(_inner(provider))
    if known is None:
        return _add_to(provider, ClickHouseSpanExporter(dsn, settings=settings))
    if dsn is not None or settings is not None:
        _logger.warning(
            "configure() came second: the processor that the tracer provider has keeps its ledger and settings"
        )
    return known


@fenced("pre_instrument", otherwise=None)
def pre_instrument() -> None:
    """
    Set everything up from the environment, before `opentelemetry-instrument` instruments anything. Never raises.

    On with `OTEL_LLMCOST_DSN`, or where our exporter was configured (`OTEL_TRACES_EXPORTER=llmcost`, a configuration
    file), whose ledger it then shares; off, with one log line, without either or without a provider of the SDK.
    """
    if reason := _why_off():
        _say_off(logging.INFO, reason)
        return
    provider = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        name = type(provider).__name__
        _say_off(
            logging.WARNING, f"the tracer provider is {name}, not opentelemetry-sdk's: it takes no span processors"
        )
        return
    try:
        if _inner(provider) not in _processors:
            _add_to(provider, _live_exporter() or ClickHouseSpanExporter())
    except LLMCostError as error:
        _say_off(logging.ERROR, str(error))


def remove(provider: Any) -> None:
    """Take our processor off `provider` and shut it down; the sampler goes on recording."""
    inner = _inner(provider)
    if (processor := _processors.pop(inner, None)) is not None:
        _arrange(inner, processor, first=False)
        processor.shutdown()


def _say_off(level: int, reason: str) -> None:
    if reason not in _reasons_said:  # the hook and the instrumentor both come by
        _reasons_said.add(reason)
        _logger.log(level, "otel-llmcost stays off: %s", reason)


def _why_off() -> str:
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    if NAME in [name.strip() for name in disabled]:
        return "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it"
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return "OTEL_SDK_DISABLED is true"
    if not os.environ.get(f"{PREFIX}DSN", "").strip() and _live_exporter() is None:
        return f"{PREFIX}DSN is not set; it says where the ledger is"
    return ""


def _live_exporter() -> ClickHouseSpanExporter | None:
    try:
        return only_exporter()
    except SettingsError:
        return None


def _add_to(provider: Any, exporter: ClickHouseSpanExporter) -> LLMCostSpanProcessor:
    processor = LLMCostSpanProcessor(exporter=exporter)
    inner = _inner(provider)
    if isinstance(inner, TracerProvider):
        record_genai(inner, record_all=exporter.settings.record_all)
    provider.add_span_processor(processor)
    if not _WRITES_AT_THE_END:
        _arrange(inner, processor, first=True)
    _processors[inner] = processor
    return processor


def _arrange(provider: object, ours: LLMCostSpanProcessor, *, first: bool) -> None:
    """Put ours before the other processors, or take it out."""
    every: Any = getattr(provider, "_active_span_processor", None)
    if every is not None:
        with every._lock:
            others = tuple(each for each in every._span_processors if each is not ours)
            every._span_processors = (ours, *others) if first else others


def _inner(provider: Any) -> Any:
    """Give the provider that makes the spans: Logfire's proxy gets a new one with each `logfire.configure()`."""
    inner = getattr(provider, "provider", None)
    return provider if inner is None else inner


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
