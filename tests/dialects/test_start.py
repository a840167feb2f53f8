"""Which spans a sampler can know at their start."""

from __future__ import annotations

import pytest

from otel_llmcost.dialects import read
from otel_llmcost.dialects.start import GENAI_SCOPES, START_NAMES, is_genai_at_start
from otel_llmcost.model import SpanView
from tests import captures
from tests.dialects.documented import EXAMPLES as SOME
from tests.dialects.documented_more import MORE

EXAMPLES = SOME | MORE

NOT_KNOWABLE = {"an emitter that nobody knows, by the conventions"}


def at_start(span: SpanView, attributes: dict[str, object] | None) -> bool:
    """Ask as a sampler would."""
    return is_genai_at_start(span.name, span.kind, attributes, span.scope_name)


@pytest.mark.parametrize("name", captures.names(""))
def test_every_recorded_request_is_known_before_it_has_any_attribute(name):
    """
    By scope, or by scope and name: no request of a recorded emitter is lost to sampling.
    """
    for span in captures.views(captures.load(name)):
        if (call := read(span)) is not None and call.kind == "request":
            assert at_start(span, None)


@pytest.mark.parametrize("name", captures.names(""))
def test_applications_and_http_clients_are_not_genai(name):
    """
    A web request, a database call and an HTTP client's span start as what they are.
    """
    for span in captures.views(captures.load(name)):
        if span.scope_name in ("app", "opentelemetry.instrumentation.httpx"):
            assert not at_start(span, {"http.request.method": "POST"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_documented_emitters_are_known_by_scope_or_by_what_they_start_with(name):
    """
    Documented emitters are known by scope; an unknown one that follows the conventions by its operation.
    """
    span = EXAMPLES[name][0]

    assert at_start(span, None) is (name not in NOT_KNOWABLE)
    assert at_start(span, {"gen_ai.operation.name": "chat"})


def test_every_row_of_the_tables_is_seen():
    """
    No scope or name is listed that neither a capture nor an example has, but those of instrumentations not run here.
    """
    spans = [span for name in captures.names("") for span in captures.views(captures.load(name))]
    spans += [example[0] for example in EXAMPLES.values()]
    scopes = {scope for scope in GENAI_SCOPES if not any(span.scope_name.startswith(scope) for span in spans)}
    names = [row for row in START_NAMES if not any(span.name.startswith(row[1]) for span in spans)]

    assert names == []
    assert {"mastra", "Microsoft.SemanticKernel"} <= scopes
    assert all(scope.startswith(("opentelemetry.instrumentation.", "mastra", "Microsoft.")) for scope in scopes)
