"""The receiver, the processor in the application and `audit` bill the same, whatever the order in which spans come."""

from __future__ import annotations

import functools
import io
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import IdGenerator, Span, TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor
from otel_llmcost.audit import Defaults, audit
from otel_llmcost.model import SpanView
from otel_llmcost.pricing import Pricer
from otel_llmcost.receiver.bodies import JSON, PROTOBUF, read_body
from otel_llmcost.settings import Settings
from tests import captures
from tests.receiver.conftest import Journaling, bill_in
from tests.receiver.otlp import a_span, as_json, as_protobuf, batch, joined, one_by_one

ALL = captures.names("")


@functools.cache
def capture(name: str) -> dict[str, Any]:
    """Read a capture once."""
    return captures.load(name)


class Ids(IdGenerator):
    """Gives the ids of the span that is replayed next."""

    next = (0, 0)

    def generate_trace_id(self) -> int:
        """Give its trace."""
        return self.next[0]

    def generate_span_id(self) -> int:
        """Give its own id."""
        return self.next[1]


def replay(views: list[SpanView], processor: LLMCostSpanProcessor) -> None:
    """Start and end the spans of a capture again, in a real SDK, in the order in which they did."""
    ids = Ids()
    tracers: dict[str, TracerProvider] = {}
    moments = [(view.start_unix_ns, False, number) for number, view in enumerate(views)]
    moments += [(view.end_unix_ns, True, number) for number, view in enumerate(views)]
    started: dict[int, Span] = {}
    by_id = {(view.trace_id, view.span_id): number for number, view in enumerate(views)}
    for _, ends, number in sorted(
        moments, key=lambda moment: (moment[0], moment[1], -moment[2] if moment[1] else moment[2])
    ):
        view = views[number]
        if ends:
            span = started[number]
            if view.status_code != "unset":
                span.set_status(Status(StatusCode[view.status_code.upper()]))
            if view.exception_type:
                span.add_event("exception", {"exception.type": view.exception_type}, view.end_unix_ns)
            span.end(view.end_unix_ns)
            continue
        key = json.dumps(view.resource, sort_keys=True, default=str)
        if key not in tracers:
            tracers[key] = TracerProvider(
                resource=Resource(dict(view.resource)),
                id_generator=ids,
                shutdown_on_exit=False,  # type: ignore[arg-type]
            )
            tracers[key].add_span_processor(processor)
        ids.next = int(view.trace_id, 16), int(view.span_id, 16)
        context = None
        if view.parent_span_id:
            parent = started.get(by_id.get((view.trace_id, view.parent_span_id), -1))
            remote = SpanContext(ids.next[0], int(view.parent_span_id, 16), True, TraceFlags(1))
            context = set_span_in_context(parent or NonRecordingSpan(remote))
        started[number] = (
            tracers[key]
            .get_tracer(view.scope_name, view.scope_version)
            .start_span(
                view.name,
                context,
                SpanKind[view.kind.upper()],
                view.attributes,
                start_time=view.start_unix_ns,  # type: ignore
            )
        )


def in_application(name: str, folder: Path, pricer: Pricer) -> Counter[bytes]:
    """Bill a capture in the application."""
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{folder}"), pricer=pricer)
    replay(list(captures.views(capture(name))), LLMCostSpanProcessor(exporter=exporter, pricer=pricer))
    found = bill_in(exporter.journal_dir)
    exporter.shutdown()
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_capture_is_billed_the_same(
    name: str, journaling: Callable[..., Journaling], pricer: Pricer, tmp_path: Path
) -> None:
    """
    Shuffled and split into batches, in protobuf or JSON: rows + adjustments are the processor's, in every column, and
    cost what `audit` says to the last digit.
    """
    otlp = capture(name)["otlp"]
    direct = in_application(name, tmp_path / "direct", pricer)
    for seed in range(3):
        random = Random(f"{name}{seed}")
        parts = one_by_one(otlp)
        if seed:
            random.shuffle(parts)
        received = journaling()
        while parts:
            size = random.randint(1, 4) if seed else len(parts)
            some, parts = joined(parts[:size]), parts[size:]
            body, encoding = (as_json(some), JSON) if seed == 2 else (as_protobuf(some), PROTOBUF)
            taken = received.intake.take(read_body(body, encoding))
            assert taken.message == ""
        assert received.bill() == direct, seed

    audited = audit(
        [(name, io.BytesIO(as_json(otlp)))], pricer=pricer, settings=Settings(), defaults=Defaults(at_unix_ns=0)
    )
    rows = [orjson.loads(row) for row in direct.elements()]
    assert sorted(str(row.get("cost_usd")) for row in rows) == sorted(
        str(None if each.cost_usd is None else each.cost_usd) for each in audited.requests
    )
    assert sum((Decimal(row.get("cost_usd") or 0) for row in rows), Decimal(0)) == sum(
        (each.cost_usd or Decimal(0) for each in audited.requests), Decimal(0)
    )


def test_owners_of_the_resource_are_the_same(
    journaling: Callable[..., Journaling], pricer: Pricer, tmp_path: Path
) -> None:
    """
    Extra keys, mapped and hashed ones, that only the resource has: the same owner in the application and the receiver.
    """
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    own: dict[str, Any] = {
        "baggage_keys": {"tenant.id": "tenant", "squad": "team"},
        "hash_keys": ("tenant",),
        "hash_key_file": key,
    }
    resource = {"llmcost.project": "apollo", "tenant.id": "acme", "squad": "search", "service.name": "web"}
    otlp = batch(a_span(1), a_span(2), resource=dict(resource))
    received = journaling(**own)
    received.take(otlp)
    settings = Settings(dsn=f"chdb://{tmp_path}/direct", **own)
    exporter = ClickHouseSpanExporter(settings=settings, pricer=pricer)
    spans = [each for each in read_body(as_json(otlp), JSON) if isinstance(each, SpanView)]
    replay(spans, LLMCostSpanProcessor(exporter=exporter, pricer=pricer))
    direct = bill_in(exporter.journal_dir)
    exporter.shutdown()

    assert received.bill() == direct
    for row in received.rows():
        assert (row["team"], row["owner_extra"]["project"], row["owner_source"]) == ("search", "apollo", "resource")
        assert row["owner_extra"]["tenant"] not in ("", "acme")
