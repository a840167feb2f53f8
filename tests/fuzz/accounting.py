"""A run of hostile spans through the real processor and exporter, and the account of every one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, dialects, spans
from otel_llmcost.attributes import DUPLICATE_OF, RECORDED
from otel_llmcost.counters import COUNTERS
from otel_llmcost.journal import waiting
from otel_llmcost.ledger import Ledger
from otel_llmcost.shipper import ship_once
from tests.fuzz.columns import faults
from tests.fuzz.hostile import Hostile

__all__ = ["Account", "run"]

_CHUNK: Final = 25_000
_FAULTS_KEPT: Final = 20
_PRICE_STATUS: Final = "llmcost.price_status"


@dataclass(slots=True)
class Account:
    """What became of the spans. `spans` is the sum of what stands below it."""

    spans: int = 0
    """Ended spans, counted behind our processor."""
    requests: int = 0
    """Spans that say that their row is in the journal."""
    duplicates: int = 0
    """Spans that say that another span carries their request, or that nobody bills it."""
    charged_later: int = 0
    """Duplicates that a later span showed to be requests of their own."""
    no_request: int = 0
    """Spans that no dialect takes for a model request, and agents that show no usage."""
    refused: int = 0
    """Spans whose row the journal did not take, and that say so."""
    lost: int = 0
    """Spans that show a request, and of which nothing is known."""
    journaled: Counter[str] = field(default_factory=Counter)
    """Rows in the journal, by table."""
    missing: int = 0
    """Spans that say that their row is in the journal, but it is not; and rows of no such span."""
    faults: list[str] = field(default_factory=list)
    """What the ledger would not take as it is; the first few."""
    fenced: dict[str, int] = field(default_factory=dict)
    """Errors of ours that the fence kept from the caller, by hook."""
    shipped: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0


class _Observer(SpanProcessor):
    """Stands behind our processor and looks at what each span says of itself."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.requests: Counter[str] = Counter()
        self.duplicates: set[str] = set()

    def on_end(self, span: ReadableSpan) -> None:
        account, attributes = self._account, spans.attributes_of(span)
        account.spans += 1
        told = _PRICE_STATUS in attributes
        if attributes.get(RECORDED) is True and told:
            account.requests += 1
            self.requests[_id(span)] += 1
        elif attributes.get(RECORDED) is True:
            account.duplicates += 1
            self.duplicates.add(_id(span))
        elif told or DUPLICATE_OF in attributes:
            account.refused += 1
        elif _shows_a_request(span):
            account.lost += 1
        else:
            account.no_request += 1


def _id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


def _shows_a_request(span: ReadableSpan) -> bool:
    attributes = spans.attributes_of(span)
    if not dialects.is_genai(attributes):
        return False
    try:
        call = dialects.read(spans.view(span))
    except Exception:  # noqa: BLE001  # whatever it is: it cost a request
        return True
    if call is None or call.kind != "aggregate":
        return call is not None
    # An agent that shows nothing, or zeros beside an unknown input, makes no request.
    shown = call.usage is not None and (call.usage.input_tokens is not None or any(call.usage.counts))
    return shown or bool(call.invalid_usage)


def run(hostile: Hostile, count: int, folder: Path, ledger: Ledger | None = None, ship: int = 0) -> Account:
    """
    Make `count` hostile spans, check every journaled row and account for every span.

    Args:
        folder: for the journal, which is emptied as it is checked.
        ledger: where the first `ship` rows really go, by the real shipper.
    """
    account = Account()
    observer = _Observer(account)
    exporter = ClickHouseSpanExporter(f"chdb://{folder}/ledger")
    ours = LLMCostSpanProcessor(exporter=exporter)
    providers = []
    for resource in hostile.resources():
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(ours)
        provider.add_span_processor(observer)
        providers.append(provider)
    tracers = hostile.tracers(providers)
    try:
        for done in range(0, count, _CHUNK):
            hostile.make(tracers, min(_CHUNK, count - done))
            exporter.force_flush()
            enough = ledger is None or account.shipped.total() >= ship
            _check_journal(exporter, observer, account, remove=enough)
            if not enough and ledger is not None:
                _ship(ledger, exporter, account)
    finally:
        exporter.shutdown()
    account.fenced = {name: n for name, n in COUNTERS.snapshot().items() if name.startswith("fence.")}
    return account


def _check_journal(exporter: ClickHouseSpanExporter, observer: _Observer, account: Account, *, remove: bool) -> None:
    rows: Counter[str] = Counter()
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        with segment:
            for line in segment.payload().splitlines():
                row = orjson.loads(line)
                account.journaled[segment.table] += 1
                if segment.table == "llm_requests":
                    rows[row["span_id"]] += 1
                if (found := faults(segment.table, row)) and len(account.faults) < _FAULTS_KEPT:
                    account.faults.append(f"{segment.table}: {', '.join(found)}")
                    account.faults.append(line[:2000].decode(errors="replace"))
            if remove:
                segment.remove()
    later = {span_id for span_id in (rows - observer.requests) if span_id in observer.duplicates}
    account.charged_later += len(later)
    observer.requests.update(later)
    account.missing += sum(((rows - observer.requests) + (observer.requests - rows)).values())
    observer.requests.clear()


def _ship(ledger: Ledger, exporter: ClickHouseSpanExporter, account: Account) -> None:
    waits: Counter[str] = Counter()
    for segment in waiting(exporter.journal_dir, exporter.fingerprint):
        with segment:
            waits[segment.table] += segment.rows
    shipped = ship_once(ledger, exporter.journal_dir, fingerprint=exporter.fingerprint)
    assert shipped.stopped is None, shipped.stopped
    account.quarantined += shipped.refused
    account.shipped.update(waits)
