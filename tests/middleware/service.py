"""The second service: plain WSGI, its own processor and journal, one model call for each request it gets."""

from __future__ import annotations

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import configure
from otel_llmcost.middleware import WSGIOwnerMiddleware

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10_000,
    "gen_ai.usage.cache_read.input_tokens": 2_000,
    "gen_ai.usage.output_tokens": 1_200,
}
provider = TracerProvider()
configure(sys.argv[1], tracer_provider=provider)


def app(_environ, start_response):
    """Answer after a model call."""
    with provider.get_tracer("service").start_as_current_span("chat", attributes=CALL):
        start_response("200 OK", [("content-length", "2")])
    return [b"ok"]


class Quiet(WSGIRequestHandler):
    """Says nothing."""

    def log_message(self, *_arguments) -> None:
        """Say nothing."""


with make_server("127.0.0.1", 0, WSGIOwnerMiddleware(app), handler_class=Quiet) as server:
    print(server.server_port, flush=True)  # noqa: T201  # the test reads it
    server.handle_request()
provider.shutdown()
