"""
`configure()` as an OpenTelemetry instrumentor: for code that instruments by class, and for configuration files.

A configuration file cannot name a span processor, but it can name an instrumentor with its options, which are the
fields of `Settings`:

    instrumentation/development:
      python:
        llmcost: {dsn: "chdb:///var/lib/llmcost", internal_hosts: [api.example.com]}

It needs opentelemetry-instrumentation (`pip install 'otel-llmcost[auto]'`), so nothing else here imports it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped there

from otel_llmcost import auto
from otel_llmcost.errors import SettingsError
from otel_llmcost.settings import Settings

__all__ = ["LLMCostInstrumentor"]

_FIELDS: Final = {field.name for field in fields(Settings)}


class LLMCostInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """
    `LLMCostInstrumentor().instrument(dsn=…, tracer_provider=…)` is `configure(…)`, with any setting by its name.

    Without a `dsn`, argument or variable, and without options, it does what the zero-code hook does: nothing where
    nobody said where the ledger is.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give none: it instruments the SDK, which is there."""
        return ()

    def _instrument(self, **options: Any) -> None:
        provider = options.pop("tracer_provider", None)
        if not options and provider is None:
            auto.pre_instrument()
            return
        if unknown := sorted(options.keys() - _FIELDS):
            raise SettingsError(f"llmcost has no setting {unknown[0]!r}: use one of {', '.join(sorted(_FIELDS))}")
        settings = Settings.from_env(None, **{name: _read(name, value) for name, value in options.items()})
        auto.configure(settings=settings, tracer_provider=provider)

    def _uninstrument(self, **options: Any) -> None:
        auto.remove(options.get("tracer_provider") or trace.get_tracer_provider())


def _read(name: str, value: object) -> object:
    """Give a value of a configuration file as `Settings` holds it: paths and tuples, where the file has text and lists."""
    match name, value:
        case "journal_dir", str(path):
            return Path(path)
        case "rate_cards", list(paths):
            return tuple(Path(path) for path in paths)
        case _, list(values):
            return tuple(values)
    return value
