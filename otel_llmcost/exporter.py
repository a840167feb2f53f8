"""
Spans and requests into the journal of a ledger, and the journal into a ClickHouse server.

One `ClickHouseSpanExporter` per ledger and process. Behind `LLMCostSpanProcessor` it gets each row as the span ends:
when `span.end()` returns, the row survives a kill -9. Behind a `BatchSpanProcessor` it is a plain `SpanExporter`, with
that processor's weaker promise: spans still in its queue are lost when the process dies, and it drops the oldest when
the queue is full. An embedded ledger is shipped by its owner (`otel-llmcost serve`, …); a server by a thread here, or by
`otel-llmcost ship` on this machine.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_llmcost import dialects, spans
from otel_llmcost.attributes import DUPLICATE_OF, RECORDED, from_attributes
from otel_llmcost.charging import Ancestry, Charging, Outcome, SpanKey
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError, SettingsError
from otel_llmcost.fence import fenced
from otel_llmcost.journal import Journal
from otel_llmcost.journal.maintenance import Maintenance
from otel_llmcost.ledger import connect
from otel_llmcost.ledger.dsn import parse_dsn
from otel_llmcost.ledger.row import Row, adjustment_row, encode_request, encode_row, month_of, rate_row
from otel_llmcost.meter import Meter
from otel_llmcost.metrics import process_metrics
from otel_llmcost.model import Adjustment, Attributes, Priced, Request, SpanView
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ShipperThread

__all__ = ["ClickHouseSpanExporter", "only_exporter"]

_EXIT_S: Final = 2.0
_SEAL_SERVER_S: Final = 10.0
"""Few, large inserts for a server; an embedded ledger's owner ships when someone asks, and asks for what is sealed."""
_SEAL_EMBEDDED_S: Final = 1.0
_RATES_KEPT: Final = 10_000
_NO_CONTEXT: Final = Context()


class ClickHouseSpanExporter(SpanExporter):
    """
    The way into a ledger.

    Args:
        dsn: `chdb:///absolute/folder`, `https://user:password@host:8443/database` or `http://…`; default:
            `OTEL_LLMCOST_DSN`, else an embedded ledger in the state directory.
        settings: all settings at once; `dsn` wins over theirs.
        pricer: for spans that nobody priced yet; default: published prices, then the settings' rate cards.

    Raises:
        SettingsError: the DSN or a setting is wrong, the embedded ledger's folder cannot be used, or the journal would be
            on a network file system. A journal folder that cannot be used is no error: rows wait in memory, within bounds.
    """

    def __init__(
        self, dsn: str | None = None, *, settings: Settings | None = None, pricer: Pricer | None = None
    ) -> None:
        self.settings = Settings.from_env(dsn=dsn) if settings is None else settings
        if settings is not None and dsn is not None:
            self.settings = replace(settings, dsn=dsn)
        self._dsn = parse_dsn(self.settings.ledger_dsn())
        self.journal_dir = self._dsn.journal_dir(self.settings)
        self.fingerprint = self._dsn.fingerprint
        """Of the ledger: its segments name it, and only a shipper of the same ledger takes them."""
        self.meter = Meter(pricer or Pricer.from_settings(self.settings), Charging(), gateways=self.settings.gateways)
        """What reads, prices and decides here; the processor shares it."""
        self.owners = OwnerReader(self.settings)
        self.resource: Attributes = dict(Resource.create().attributes)
        """Who this process is (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`), for requests without a span."""
        is_server = self._dsn.kind == "http"
        self._journal = Journal(
            self.journal_dir,
            ledger=self.fingerprint,
            max_bytes=self.settings.journal_max_bytes,
            seal_seconds=_SEAL_SERVER_S if is_server else _SEAL_EMBEDDED_S,
        )
        self.closed = False
        metrics = process_metrics() if self.settings.metrics else None
        if metrics is not None:
            metrics.watch(self)
        self._shipper = None
        if is_server and self.settings.ship:
            self._shipper = ShipperThread(
                connect=lambda: connect(self._dsn),
                directory=self.journal_dir,
                fingerprint=self.fingerprint,
                on_shipped=metrics.add_shipped if metrics is not None else None,
                standby=self._journal.standby,
            )
        self._maintenance = Maintenance(self._journal, self._shipper.wake if self._shipper else None)
        self._ancestry = Ancestry()
        self._rates_written: set[str] = set()
        _exporters.add(self)

    def write(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """
        Journal what the meter decided: rates first, then rows, those of a month in one write, and adjustments.

        Returns what the journal refused (full, unusable), for `Meter.undo`; `()` when all of it is in the journal.
        Refusals are counted as `exporter.rows_refused` and logged once.
        """
        if len(outcomes) == 1 and isinstance(request := outcomes[0], Request):  # nearly always
            return () if self._write_requests(month_of(request.span.start_unix_ns), request) else (request,)
        by_month: dict[str, list[Request]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Request):
                by_month.setdefault(month_of(outcome.span.start_unix_ns), []).append(outcome)
        refused: list[Outcome] = []
        for month, requests in by_month.items():
            if not self._write_requests(month, *requests):
                refused += requests
        moves = [outcome for outcome in outcomes if isinstance(outcome, Adjustment)]
        if moves and not self._write_moves(moves):
            refused += moves
        return tuple(refused)

    def _write_requests(self, month: str, *requests: Request) -> bool:
        try:
            for request in requests:
                self._write_rate(request)
            self._append("llm_requests", month, *map(encode_request, requests))
        except JournalError as error:
            return self._refuse(error)
        return True

    def _write_moves(self, moves: Sequence[Adjustment]) -> bool:
        try:
            for move in moves:
                self._write_rate(move.request)
            # All in one write, also where they belong to two months: half a move would cost money.
            month = month_of(moves[0].request.span.start_unix_ns)
            self._append("llm_adjustments", month, *(encode_row(adjustment_row(move)) for move in moves))
        except JournalError as error:
            return self._refuse(error)
        return True

    @property
    def rows_in_memory(self) -> int:
        """How many rows wait in memory, where a kill loses them, because the journal's folder cannot be used."""
        return self._journal.standby.rows

    def _refuse(self, error: JournalError) -> bool:
        COUNTERS.add("exporter.rows_refused")
        self._maintenance.complain(error)
        return False

    @fenced("export", otherwise=SpanExportResult.FAILURE)
    def export(self, spans_to_export: Sequence[ReadableSpan]) -> SpanExportResult:
        """
        Journal the GenAI requests among ended spans (the `SpanExporter` interface).

        Spans that a journal accounts for (`llmcost.recorded`) and duplicates are skipped; the cost on a span that was
        priced at its source is kept; the others are metered here.
        """
        refused: list[Outcome] = []
        for span in spans_to_export:
            attributes = spans.attributes_of(span)
            if attributes.get(RECORDED) is True or DUPLICATE_OF in attributes:
                continue
            waiting = self._learn_parent(span)
            if dialects.is_genai(attributes):
                refused += self._export_one(spans.view(span))
            for key in waiting:
                refused += self._write_or_undo(self.meter.extend(key, self._ancestry.chain(key)))
        return SpanExportResult.FAILURE if refused else SpanExportResult.SUCCESS

    def _learn_parent(self, span: ReadableSpan) -> tuple[SpanKey, ...]:
        context = span.get_span_context()
        if context is None:
            return ()
        return self._ancestry.add(spans.span_key(context), spans.span_key(span.parent) if span.parent else None)

    def _export_one(self, view: SpanView) -> tuple[Outcome, ...]:
        call = dialects.read(view)
        if call is None:
            return ()
        stamp = from_attributes(view.attributes, provider=call.provider, model=call.model)
        if stamp is not None:
            return self.write((self.meter.as_stamped(view, call, stamp, self.owners.hashed(stamp.owner)),))
        owner = self.owners.read(_NO_CONTEXT, view.resource, view.attributes)
        chain = self._ancestry.chain((view.trace_id, view.span_id))
        return self._write_or_undo(self.meter.meter_call(view, call, owner, ancestors=chain))

    def _write_or_undo(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        refused = self.write(outcomes)
        self.meter.undo(refused)
        return refused

    def _write_rate(self, request: Request) -> None:
        if not isinstance(price := request.price, Priced) or price.rate.rate_id in self._rates_written:
            return
        if not price.rate.content:
            return
        self.append("llm_rates", request.span.start_unix_ns, rate_row(price.rate))
        if len(self._rates_written) >= _RATES_KEPT:
            self._rates_written.clear()
        self._rates_written.add(price.rate.rate_id)

    def append(self, table: str, unix_ns: int, row: Row) -> None:
        """Journal one row of `table`, in the segment of the month of `unix_ns`. Raises `JournalError`."""
        self._append(table, month_of(unix_ns), encode_row(row))

    def _append(self, table: str, month: str, *rows: bytes) -> None:
        try:
            self._journal.append(table, month, *rows)
        finally:
            self._maintenance.wake()  # a full journal needs its maintenance most

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Seal and sync the journal and, if this process ships, ship it. True when all of that happened in time."""
        deadline = time.monotonic() + timeout_millis / 1000
        is_durable = self._maintenance.flush(timeout_millis / 1000)
        if self._shipper is None:
            return is_durable and not self._journal.standby.rows
        return self._shipper.flush(max(0.0, deadline - time.monotonic())) and is_durable

    def shutdown(self) -> None:
        """Seal the journal, ship what a server takes and stop the threads, in 2 seconds; the rest waits on disk."""
        if self.closed:
            return
        self.closed = True
        deadline = time.monotonic() + _EXIT_S
        has_news = not self._journal.is_sealed
        self._maintenance.close(_EXIT_S / 2)
        if self._shipper is not None:
            if has_news:
                self._shipper.start()  # a program that lives for a second only would never ship otherwise
            self._shipper.stop(max(0.0, deadline - time.monotonic()))
        self._journal.standby.give_up()

    def restart(self) -> None:
        """Start afresh in a forked child: it has none of its parent's spans, threads or segments."""
        self._ancestry = Ancestry()
        self._maintenance.restart()
        self._rates_written = set()


_exporters: weakref.WeakSet[ClickHouseSpanExporter] = weakref.WeakSet()


def only_exporter() -> ClickHouseSpanExporter:
    """Give the one exporter of this process; `SettingsError` when there is none or more than one."""
    found = [exporter for exporter in _exporters if not exporter.closed]
    if len(found) == 1:
        return found[0]
    raise SettingsError(
        f"{len(found)} exporters live in this process, so say which: record_request(exporter=…), "
        "with exporter=ClickHouseSpanExporter(dsn), or the one that configure() made"
    )


def _after_fork_in_child() -> None:
    for exporter in list(_exporters):
        exporter.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
