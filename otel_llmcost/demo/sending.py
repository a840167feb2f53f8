"""
The history's works as spans: the SDK's own, with the times they had, through the processor and the exporter.

One `Sender` stands for all applications of the world: each service has a tracer provider with its resource, all share
one processor. A piece of work that has several tries runs below a span of its application, as in any. Not thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from otel_llmcost.demo.days import Try, Work
from otel_llmcost.demo.instrumentations import INSTRUMENTATIONS, Attribute, Counts, Instrumentation
from otel_llmcost.demo.world import Model, Workload
from otel_llmcost.exporter import ClickHouseSpanExporter
from otel_llmcost.model import Usage
from otel_llmcost.ownership import attributed
from otel_llmcost.processor import LLMCostSpanProcessor
from otel_llmcost.recording import record_outcome, record_request

__all__ = ["Sender"]

_FAILED: Final = Status(StatusCode.ERROR)
_OK: Final = Status(StatusCode.OK)
_NOWHERE: Final = Context()
_APPLICATION: Final = "application"


class _Ids(IdGenerator):
    """Ids from a generator that is set anew for each day, so that a seed gives the same ones."""

    rng: Random

    def generate_span_id(self) -> int:
        return self.rng.getrandbits(64) | 1

    def generate_trace_id(self) -> int:
        return self.rng.getrandbits(128) | 1


@dataclass(frozen=True, slots=True)
class _Site:
    """What is the same for all requests of one workload to one model."""

    how: Instrumentation
    name: str
    asked: dict[str, Attribute]
    answered: dict[str, Attribute]
    counts: tuple[tuple[str, int], ...]
    model: str

    def attributes(self, counts: Counts | None, error: str, response_id: str) -> dict[str, Attribute]:
        """Give what a span says in the end."""
        how = self.how
        if error:
            return {**self.asked, "error.type": error} if how.fails_with == "attribute" else self.asked
        attributes = self.answered.copy()
        if how.response_id:
            attributes[how.response_id] = response_id
        if counts is not None:
            for attribute, place in self.counts:
                attributes[attribute] = counts[place]
            if how.body:
                attributes["output.value"] = how.body % {"id": response_id, "model": self.model, **counts._asdict()}
        return attributes


@cache
def _site(workload: Workload, model: Model, how: Instrumentation) -> _Site:
    def filled(value: Attribute) -> Attribute:
        if not isinstance(value, str):
            return value
        return value.format(provider=model.provider, model=model.name, host=model.host, tier=workload.service_tier)

    asked = {attribute: filled(value) for attribute, value in how.asked}
    answered = asked | {attribute: filled(value) for attribute, value in how.answered}
    fields = [(attribute, Counts._fields.index(field)) for attribute, field in how.counts]
    return _Site(how, str(filled(how.span)), asked, answered, tuple(fields), model.name)


class Sender:
    """Sends works through `exporter`, until `close`."""

    def __init__(self, exporter: ClickHouseSpanExporter) -> None:
        self._exporter = exporter
        self._processor = LLMCostSpanProcessor(exporter=exporter)
        self._ids = _Ids()
        self._providers: dict[tuple[str, bool], TracerProvider] = {}
        self._tracers: dict[tuple[str, bool, str], Tracer] = {}
        self._owners: dict[tuple[str, str, str], Context] = {}

    def draw_ids_from(self, rng: Random) -> None:
        """Take the ids of what comes from this generator."""
        self._ids.rng = rng

    def send(self, work: Work) -> None:
        """Make the spans of a piece of work; when this returns, its rows are in the journal."""
        workload, context = work.workload, self._owner(work)
        if not workload.instrumentation:
            self._record(work, context)
        elif len(work.tries) == 1:
            self._send_try(work, work.tries[0], context)
        else:
            tracer = self._tracer(work, _APPLICATION)
            name = workload.feature or workload.service
            above = tracer.start_span(name, context, SpanKind.INTERNAL, start_time=work.start_ns)
            below = set_span_in_context(above, context)
            for each in work.tries:
                inside = _inside(below, attempt="retry") if each.declared else below
                self._send_try(work, each, inside)
            above.end(work.start_ns + work.tries[-1].end_ns)
        if work.succeeded and workload.action is not None:
            ended_s = (work.start_ns + work.tries[-1].end_ns) / 1e9
            record_outcome(
                action=workload.action.name,
                action_id=work.action_id,
                value_usd=workload.action.value_usd,
                at=datetime.fromtimestamp(ended_s, UTC),
                customer_id=work.customer,
                exporter=self._exporter,
            )

    def close(self) -> None:
        """Seal the journal."""
        for provider in self._providers.values():
            provider.shutdown()
        self._processor.shutdown()

    def _send_try(self, work: Work, each: Try, context: Context) -> None:
        how = INSTRUMENTATIONS[each.instrumentation]
        response_id = "" if each.error else how.id_format.format(f"{self._ids.rng.getrandbits(96):024x}")
        around = None
        if how.around is not None:
            around = self._begin(work, each, how.around, context, "")
            context = set_span_in_context(around, context)
        self._end(work, each, how, self._begin(work, each, how, context, response_id))
        if around is not None and how.around is not None:
            self._end(work, each, how.around, around)

    def _begin(self, work: Work, each: Try, how: Instrumentation, context: Context, response_id: str) -> Span:
        site = _site(work.workload, each.model, how)
        attributes = site.attributes(each.counts, each.error, response_id)
        start_ns = work.start_ns + each.begin_ns
        return self._tracer(work, how.scope).start_span(
            site.name, context, how.kind, attributes=attributes, start_time=start_ns
        )

    @staticmethod
    def _end(work: Work, each: Try, how: Instrumentation, span: Span) -> None:
        end_ns = work.start_ns + each.end_ns
        if each.error:
            span.set_status(_FAILED)
            if how.fails_with == "event":
                span.add_event("exception", {"exception.type": each.error}, timestamp=end_ns)
        elif how.says_ok:
            span.set_status(_OK)
        span.end(end_ns)

    def _record(self, work: Work, context: Context) -> None:
        """Record a request of a batch file: it has no span."""
        (each,) = work.tries
        counts = each.counts
        if counts is None:
            raise ValueError("a batch file has the usage of every request")
        provider = self._provider(work)
        self._exporter.resource = provider.resource.attributes
        token = otel_context.attach(context)
        try:
            record_request(
                provider=each.model.provider,
                model=each.model.name,
                usage=Usage(input_tokens=counts.fresh, cached_input_tokens=counts.cached, output_tokens=counts.output),
                at=datetime.fromtimestamp(work.start_ns / 1e9, UTC),
                duration_s=(each.end_ns - each.begin_ns) / 1e9,
                response_id=f"msg_{self._ids.rng.getrandbits(96):024x}",
                batch=True,
                exporter=self._exporter,
            )
        finally:
            otel_context.detach(token)

    def _owner(self, work: Work) -> Context:
        """Give the context of who owns a work, made by `attributed`; most repeat."""
        workload = work.workload
        if not workload.feature:
            return _NOWHERE
        key = workload.team, workload.feature, work.customer
        context = self._owners.get(key)
        if context is None:
            context = _inside(_NOWHERE, team=workload.team, feature=workload.feature, customer_id=work.customer)
            self._owners[key] = context
        if workload.action is not None:
            return _inside(context, action=workload.action.name, action_id=work.action_id)
        return context

    def _tracer(self, work: Work, scope: str) -> Tracer:
        key = work.workload.service, work.is_staging, scope
        tracer = self._tracers.get(key)
        if tracer is None:
            version = next((how.version for how in INSTRUMENTATIONS.values() if how.scope == scope), "")
            tracer = self._tracers[key] = self._provider(work).get_tracer(scope, version)
        return tracer

    def _provider(self, work: Work) -> TracerProvider:
        key = work.workload.service, work.is_staging
        provider = self._providers.get(key)
        if provider is None:
            environment = "staging" if work.is_staging else "production"
            resource = Resource({"service.name": key[0], "deployment.environment.name": environment})
            provider = TracerProvider(
                resource=resource, sampler=ALWAYS_ON, id_generator=self._ids, shutdown_on_exit=False
            )
            provider.add_span_processor(self._processor)
            self._providers[key] = provider
        return provider


def _inside(context: Context, **owner: str) -> Context:
    """Give the context inside `attributed(...)`, entered from `context`."""
    token = otel_context.attach(context)
    try:
        with attributed(**owner):  # type: ignore[arg-type]  # `attempt` is one of its literals
            return otel_context.get_current()
    finally:
        otel_context.detach(token)
