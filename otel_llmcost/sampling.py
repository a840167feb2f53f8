"""
Sampling that loses no cost: GenAI spans of traces that are not exported are recorded, so that processors see them.

A span that a sampler drops reaches no processor. `GenAISampler` turns that one answer, DROP, into RECORD_ONLY for GenAI
spans: the span is priced and stored, and still not exported, because its sampled flag stays off. The decision for
every other span, trace state, ids and what children decide by are the wrapped sampler's own.

So are the client spans of HTTP requests that may take baggage along: the guard reads from them which host it goes to, and
without one keeps the owner at home.

What a span is, a sampler must know when it starts: by the attributes it starts with, its name, or its instrumentation
scope (`dialects.start` is the table). OpenTelemetry tells a sampler the first two only; `record_genai` gives each
tracer of a provider a sampler that knows its scope. For emitters in no table there is `OTEL_LLMCOST_RECORD_ALL`.

Limits: spans between a recorded one and its recorded ancestor stay dropped, so two instrumentations of one request are
told apart by response id or by equal counts and time, no longer by ancestry. Only `LLMCostSpanProcessor` sees recorded
spans: a `BatchSpanProcessor` passes over what is not sampled, whatever exporter is behind it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, Final, cast

from opentelemetry.baggage import get_all
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_TRACES_SAMPLER_ARG
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBasedTraceIdRatio, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from otel_llmcost.dialects.start import START_KEYS, START_NAMES, is_genai_at_start
from otel_llmcost.fence import fenced

__all__ = ["GenAIRatioSampler", "GenAISampler", "ratio_sampler", "record_genai"]

_NOT_RECORDED: Final = cast("SamplingResult | None", None)
_HOST_KEYS: Final = frozenset({"server.address", "net.peer.name", "url.full", "http.url"})
"""Where `propagation` reads which host a request goes to."""
_KINDS: Final = {kind: kind.name.lower() for kind in SpanKind}

_logger = logging.getLogger("otel_llmcost")


class GenAISampler(Sampler):
    """
    The wrapped sampler's decisions, with RECORD_ONLY in place of DROP for GenAI spans.

    Args:
        wrapped: the sampler that decides what is exported. Wrap the outermost one: inside a `ParentBased`, spans with
            a parent would never be asked about here.
        scope: the instrumentation scope of the tracer that asks, where it is known.
        record_all: record every span (`OTEL_LLMCOST_RECORD_ALL`).
    """

    def __init__(self, wrapped: Sampler, *, scope: str = "", record_all: bool = False) -> None:
        self.wrapped = wrapped
        self.scope = scope
        self.record_all = record_all
        self._records_scope = record_all or is_genai_at_start("", "", None, scope)
        self._names = tuple(begins for known, begins, _ in START_NAMES if known in ("", scope))

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Ask the wrapped sampler; record what it drops, where that is a GenAI span."""
        result = self.wrapped.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP:
            return result
        return self._recorded(result, parent_context, name, kind, attributes) or result

    @fenced("sampler", otherwise=_NOT_RECORDED)
    def _recorded(
        self,
        dropped: SamplingResult,
        parent_context: Context | None,
        name: str,
        kind: SpanKind | None,
        attributes: Attributes,
    ) -> SamplingResult | None:
        if not (
            self._records_scope
            or self._is_genai(name, kind, attributes)
            or (kind is SpanKind.CLIENT and _takes_baggage(parent_context, attributes))
        ):
            return None
        # The attributes that the span starts with: a sampler that drops gives none of them back.
        started = {**(attributes or {}), **(dropped.attributes or {})}
        return SamplingResult(Decision.RECORD_ONLY, started, dropped.trace_state)

    def _is_genai(self, name: str, kind: SpanKind | None, attributes: Attributes) -> bool:
        # `is_genai_at_start`, with what the scope alone decides taken out: every span that is dropped comes by here.
        if attributes and not attributes.keys().isdisjoint(START_KEYS):
            return True
        return name.startswith(self._names) and is_genai_at_start(
            name, _KINDS[kind or SpanKind.INTERNAL], None, self.scope
        )

    def get_description(self) -> str:
        """Name the wrapped sampler."""
        return f"GenAISampler{{{self.wrapped.get_description()}}}"


def _takes_baggage(parent_context: Context | None, attributes: Attributes) -> bool:
    return bool(attributes) and not _HOST_KEYS.isdisjoint(attributes or ()) and bool(get_all(parent_context))


class GenAIRatioSampler(GenAISampler):
    """
    `parentbased_traceidratio` that records GenAI spans: what the entry points `llmcost` make.

    Args:
        ratio: of the traces to export, from 0 to 1; default: `OTEL_TRACES_SAMPLER_ARG`, else 1.
    """

    def __init__(self, ratio: str | float | None = None) -> None:
        text = os.environ.get(OTEL_TRACES_SAMPLER_ARG) if ratio is None else ratio
        try:
            root = ParentBasedTraceIdRatio(float(1.0 if text in (None, "") else text))
        except ValueError:
            _logger.warning("OTEL_TRACES_SAMPLER_ARG=%r is no ratio from 0 to 1: all traces are exported", text)
            root = ParentBasedTraceIdRatio(1.0)
        super().__init__(root)


def ratio_sampler(argument: str | None) -> Sampler:
    """Make the sampler of `OTEL_TRACES_SAMPLER=llmcost`, with the ratio in `OTEL_TRACES_SAMPLER_ARG`."""
    return GenAIRatioSampler(argument)


def record_genai(provider: TracerProvider, *, record_all: bool = False) -> None:
    """
    Make every tracer that `provider` gives from now on record GenAI spans, whatever its sampler exports.

    Calling it again changes nothing. Tracers that were taken before keep their sampler, but for those that the
    provider hands out again (SDK >= 1.45).
    """
    get_tracer = provider.get_tracer
    if getattr(get_tracer, "_records_genai", False):
        return

    def get_recording_tracer(*args: Any, **kwargs: Any) -> Any:
        tracer = get_tracer(*args, **kwargs)
        scope = args[0] if args else kwargs.get("instrumenting_module_name")
        _record_scope(tracer, scope if isinstance(scope, str) else "", record_all=record_all)
        return tracer

    get_recording_tracer._records_genai = True  # type: ignore[attr-defined]
    provider.get_tracer = get_recording_tracer  # type: ignore[method-assign]


@fenced("record_genai", otherwise=None)
def _record_scope(tracer: object, scope: str, *, record_all: bool) -> None:
    sampler = getattr(tracer, "sampler", None)  # a provider that is disabled gives tracers without one
    if not isinstance(sampler, Sampler):
        return
    if isinstance(sampler, GenAISampler):
        if sampler.scope == scope and sampler.record_all >= record_all:
            return
        sampler = sampler.wrapped
    tracer.sampler = GenAISampler(sampler, scope=scope, record_all=record_all)  # type: ignore[attr-defined]
