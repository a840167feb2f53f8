"""
The main job from end to end, in a folder of its own: traffic, processor, journal. The reports are the command's.

Its settings are the defaults, whatever the environment says: somebody's rate cards must not change the two requests
that the README works out.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from otel_llmcost.errors import MissingExtra, SettingsError
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.processor import LLMCostSpanProcessor
from otel_llmcost.settings import Settings

__all__ = ["Sent", "command", "count_requests", "run"]

MARK: Final = "made-by-otel-llmcost-demo"
"""The file that says that a folder is a demo's, to be replaced by the next one."""
INSTALL: Final = "pip install 'otel-llmcost[demo]'"
RESOURCE: Final = {"service.name": "demo-application", "deployment.environment.name": "production"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the demo's application did."""

    requests: int
    """HTTP requests that reached the provider."""
    spans: int
    """Spans that the clients and their instrumentations made of them."""


class _ClientSpans(SpanProcessor):
    """Counts the spans that are not the application's own."""

    def __init__(self) -> None:
        self.count = 0

    def on_end(self, span: ReadableSpan) -> None:
        scope = span.instrumentation_scope
        self.count += scope is not None and scope.name != RESOURCE["service.name"]


def count_requests() -> int:
    """Give the number of requests that `run` will make. Raises `MissingExtra`."""
    return sum(len(call.replies) for call in _traffic().TRAFFIC)


def command() -> str:
    """Give the words that run our command here: its bare name only where the shell would find it."""
    script = Path(sys.executable).with_name("otel-llmcost")
    if shutil.which(script.name):
        return script.name
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def run(folder: Path, done: Callable[[int], None]) -> Sent:
    """
    Make the demo's traffic and leave its rows in the journal of the embedded ledger in `folder`.

    `done` hears how many requests each step made. Raises `MissingExtra`, and `SettingsError` for a folder that holds
    something else.
    """
    traffic = _traffic()
    _replace(folder)
    provider = TracerProvider(resource=Resource(RESOURCE), sampler=ALWAYS_ON)
    client_spans = _ClientSpans()
    provider.add_span_processor(client_spans)
    exporter = ClickHouseSpanExporter(f"chdb://{folder}", settings=Settings())
    provider.add_span_processor(LLMCostSpanProcessor(exporter=exporter))
    requests: int = traffic.send(traffic.TRAFFIC, provider, done)
    provider.shutdown()
    return Sent(requests=requests, spans=client_spans.count)


def _traffic() -> ModuleType:
    """Load the traffic, which needs the clients. They take seconds to import, so nothing else of the command waits."""
    try:
        traffic = importlib.import_module("otel_llmcost.demo.traffic")
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the demo drives the real clients, and {error.name} is not installed: {INSTALL}") from error
    if importlib.util.find_spec("chdb") is None:
        raise MissingExtra(f"the demo's ledger is the embedded engine, and chdb is not installed: {INSTALL}")
    return traffic


def _replace(folder: Path) -> None:
    """Empty a folder that an earlier demo made; touch no other one."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise SettingsError(f"{folder} holds something else than a demo: name another folder with --folder")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARK).touch()
