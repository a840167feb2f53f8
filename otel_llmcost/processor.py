"""
The span processor: owner and cost onto each GenAI span as it ends, and its row into the journal.

It stands beside the processors that an application has already; nothing needs to be wrapped. The attributes are
written in `_on_ending`, so exporters registered before or after see them (SDK >= 1.40; with older ones, and behind
wrappers that do not forward `_on_ending`, they are written in `on_end` and reach later processors only). The row is
journaled before the attributes are written, so `llmcost.recorded=true` is true when anyone can read it.

Limits: spans that the sampler drops never reach any processor. At most 100,000 open spans are remembered; beyond that
the oldest lose their owner's baggage and their place in the ancestry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Final, TypeAlias

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext

from otel_llmcost import spans
from otel_llmcost.attributes import CALL, RATE, RECORDED, duplicate_attributes, to_attributes
from otel_llmcost.charging import Charging, Outcome, SpanKey
from otel_llmcost.counters import COUNTERS
from otel_llmcost.dialects import GATE_KEYS
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.fence import fenced, fenced_start
from otel_llmcost.ledger.row import call_text, encode_row, rate_row
from otel_llmcost.meter import Meter
from otel_llmcost.model import Attributes, Duplicate, Priced, Request
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.pricing import Pricer
from otel_llmcost.propagation import guard_propagation
from otel_llmcost.settings import Settings
from otel_llmcost.spans import attributes_of

__all__ = ["LLMCostSpanProcessor"]

MAX_OPEN_SPANS: Final = 100_000
_MAX_DEPTH: Final = 64
_MAX_RATES: Final = 10_000
_RATE_EVERY_S: Final = 3600.0
_NO_CONTEXT: Final = Context()


_Open: TypeAlias = tuple[SpanContext | None, Context, bool]
"""A span that has started and not ended: its parent, where its owner's baggage is, whether it is decided. A plain tuple,
because one is made for every span of the application."""


class LLMCostSpanProcessor(SpanProcessor):
    """
    Prices every GenAI span and says who owns it.

    Args:
        exporter: where rows go. Without one, spans are only enriched: nothing is journaled or stored, and since no
            charge can then be moved, the first charged span of a request keeps the charge.
        pricer: where prices come from; default: published prices, then the rate cards in `settings`.
        settings: default: the exporter's, else the environment (`OTEL_LLMCOST_*`).

    Raises:
        SettingsError, RateCardError: here, at start; never later into your code.
    """

    def __init__(
        self,
        exporter: ClickHouseSpanExporter | None = None,
        *,
        pricer: Pricer | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._exporter = exporter
        self._settings = settings or (exporter.settings if exporter else Settings.from_env())
        self._owners = OwnerReader(self._settings)
        if exporter is not None and pricer is None:
            self._meter = exporter.meter
        else:
            self._meter = Meter(
                pricer or Pricer.from_settings(self._settings),
                Charging(can_adjust=exporter is not None),
                gateways=self._settings.gateways,
            )
        self._open: dict[tuple[int, int], _Open] = {}  # a SpanContext is a tuple: trace id and span id come first
        self._rates_due: dict[str, float] = {}
        guard_propagation(self._settings)

    @fenced_start
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember that the span is open, its parent and where its baggage is."""
        if len(self._open) >= MAX_OPEN_SPANS:
            self._forget_oldest()
        context = get_current() if parent_context is None else parent_context
        self._open[span.get_span_context()[:2]] = span.parent, context, False

    @fenced("on_ending", otherwise=None)
    def _on_ending(self, span: Span) -> None:
        attributes = attributes_of(span)
        if GATE_KEYS.isdisjoint(attributes):
            return
        key = span.get_span_context()[:2]
        was_open = self._open.get(key)
        if was_open is not None:
            self._open[key] = (was_open[0], was_open[1], True)
        self._decide(span, attributes, was_open)

    @fenced("on_end", otherwise=None)
    def on_end(self, span: ReadableSpan) -> None:
        """Forget the span; decide it here where `_on_ending` was not called (older SDKs, some wrappers)."""
        mine = span.get_span_context()
        if mine is None:
            return
        was_open = self._open.pop(mine[:2], None)
        if was_open is not None and was_open[2]:
            return
        attributes = attributes_of(span)
        if not GATE_KEYS.isdisjoint(attributes):
            self._decide(span, attributes, was_open)

    def _decide(self, span: ReadableSpan, attributes: Attributes, was_open: _Open | None) -> None:
        if attributes.get(RECORDED) is True:
            return  # another processor of ours was here first
        view = spans.view(span)
        context = was_open[1] if was_open else _NO_CONTEXT
        owner = self._owners.read(context, view.resource, attributes)
        outcomes = self._meter.meter(
            view,
            owner,
            ancestors=self._ancestors(span.parent),
            declared=self._owners.declared_attempt(context),
        )
        if not outcomes:
            return
        recorded = False
        if self._exporter is not None:
            refused = self._exporter.write(outcomes)
            self._meter.undo(refused)
            recorded = not refused
        spans.add_attributes(span, self._attributes(outcomes[0], recorded=recorded))

    def _ancestors(self, parent: SpanContext | None) -> tuple[SpanKey, ...]:
        keys: list[SpanKey] = []
        while parent is not None and len(keys) < _MAX_DEPTH:
            keys.append(spans.span_key(parent))
            above = self._open.get(parent[:2])
            parent = above[0] if above else None
        return tuple(keys)

    def _forget_oldest(self) -> None:
        # A tenth at once, so that a leak of spans that never end costs almost nothing per span.
        for key in list(islice(self._open, MAX_OPEN_SPANS // 10)):
            self._open.pop(key, None)
        COUNTERS.add("processor.open_spans_forgotten", MAX_OPEN_SPANS // 10)

    def _attributes(self, outcome: Outcome, *, recorded: bool) -> Mapping[str, object]:
        if isinstance(outcome, Request):
            attributes = to_attributes(outcome, recorded=recorded)
            return attributes if recorded else {**attributes, **self._row_of(outcome)}
        if isinstance(outcome, Duplicate):
            return duplicate_attributes(outcome, recorded=recorded)
        raise TypeError(f"the first outcome of a span is a request or a duplicate, not {type(outcome).__name__}")

    def _row_of(self, request: Request) -> dict[str, str]:
        """Give what only a row has, where nobody else has it: a view over the Collector's table makes the row of the span."""
        said = {CALL: call_text(request)}
        if isinstance(request.price, Priced) and (rate := request.price.rate).content:
            now = time.monotonic()
            if now >= self._rates_due.get(rate.rate_id, now):
                if len(self._rates_due) >= _MAX_RATES:
                    self._rates_due.clear()
                self._rates_due[rate.rate_id] = now + _RATE_EVERY_S
                said[RATE] = encode_row(rate_row(rate)).decode()
        return said

    @fenced("shutdown", otherwise=None)
    def shutdown(self) -> None:
        """Seal and sync the journal, ship what a server takes in 2 s; the rest waits on disk."""
        if self._exporter is not None:
            self._exporter.shutdown()

    @fenced("force_flush", otherwise=False)
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Seal and sync the journal and, for a server ledger, ship it. True when all of that happened in time."""
        return self._exporter is None or self._exporter.force_flush(timeout_millis)
