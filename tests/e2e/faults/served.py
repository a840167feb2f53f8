"""A WSGI application whose every answer is the id of a span that has ended; gunicorn runs it in tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from opentelemetry.sdk.trace import Span

from otel_llmcost.attributes import RECORDED
from tests.e2e.faults.application import CALL
from tests.e2e.faults.dying import USAGE, begin

provider = begin(os.environ["SERVED_DSN"], Path(os.environ["SERVED_FOLDER"]))


def application(_environ: dict[str, object], respond: Callable[..., object]) -> Iterable[bytes]:
    """Answer with a span's id, once it is in the journal."""
    attributes = CALL | USAGE | {"gen_ai.response.id": os.urandom(16).hex()}
    span = provider.get_tracer("served").start_span("chat", attributes=attributes)
    span.end()
    assert isinstance(span, Span)
    recorded = (span.attributes or {}).get(RECORDED) is True
    body = f"{'' if recorded else '-'}{span.get_span_context().span_id:016x} {os.getpid()}".encode()
    respond("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
