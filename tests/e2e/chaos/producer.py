"""
A process of the chaos that is killed at any moment: it ends real spans through the real SDK, and reports each one.

What is written to its report after `span.end()` returned survives the process, as a line of an `O_APPEND` file does.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time

import clickhouse_connect  # loaded once, in the process that all producers are forked from
import genai_prices.data  # noqa: F401
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Tracer

from otel_llmcost import attributed
from otel_llmcost.ledger import connect
from otel_llmcost.pricing import Pricer
from otel_llmcost.shipper import ship_once
from tests.e2e.chaos import mutants, peers
from tests.e2e.chaos.work import (
    MODEL,
    PER_PROCESS,
    Place,
    charged,
    charged_first,
    input_tokens,
    is_late,
    is_moved,
    output_tokens,
    response_id,
    team,
)

assert clickhouse_connect
FLUSH_SECONDS = 0.5
_MONTH_S = 31 * 86400


def produce(place: Place, process: int) -> None:
    """End requests for ever, and have them flushed beside it, as an application under a request's deadline does."""
    logging.disable()  # each fault is said once a process, or more: too often here
    mutants.apply(place.variant)
    ids = Ids()
    provider = TracerProvider(resource=Resource({"service.name": "chaos"}), id_generator=ids, shutdown_on_exit=False)
    pricer = Pricer.from_settings(place.settings)
    pricer.wait()
    provider.add_span_processor(peers.processor(place, pricer))
    threading.Thread(target=_flush_for_ever, args=(provider,), daemon=True).start()
    tracer = provider.get_tracer("chaos")
    report = os.open(place.reported / str(process), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in itertools.count(process * PER_PROCESS):
        request(tracer, ids, number)
        os.write(report, b"%d\n" % number)
        if number % 10 == 0:
            time.sleep(10 / place.spans_per_second)


class Ids(RandomIdGenerator):
    """Gives spans the ids that the audit will look for."""

    span_id = 0

    def generate_span_id(self) -> int:
        """Give the id that was said."""
        return self.span_id


def request(tracer: Tracer, ids: Ids, number: int) -> None:
    """End the span or spans of one request."""
    answer = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.id": response_id(number),
    }
    usage = {
        "gen_ai.usage.input_tokens": input_tokens(number),
        "gen_ai.usage.output_tokens": output_tokens(number),
    }
    began = time.time_ns() - (_MONTH_S * 10**9 if is_late(number) else 0)
    with attributed(team=team(number)):
        if is_moved(number):  # the framework's span shows no usage, the client's, which ends later, does
            ids.span_id = int(charged_first(number), 16)
            tracer.start_span("chat", attributes=answer, start_time=began).end(began + 1000)
        ids.span_id = int(charged(number), 16)
        tracer.start_span("chat", attributes=answer | usage, start_time=began).end(began + 2000)


def drain(place: Place) -> None:
    """Ship all that the dead left; ends with an error if something stays."""
    mutants.apply(place.variant)
    settings = place.settings
    with connect(settings.dsn) as ledger:
        for _ in range(5):
            shipped = ship_once(
                ledger, ledger.dsn.journal_dir(settings), fingerprint=ledger.dsn.fingerprint, merging=True
            )
            if shipped.stopped is None and not shipped.left:
                return
    raise SystemExit(f"{shipped.left} segments are left: {shipped.stopped}")


def _flush_for_ever(provider: TracerProvider) -> None:
    while True:
        time.sleep(FLUSH_SECONDS)
        provider.force_flush(1000)
