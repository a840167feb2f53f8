"""Files to an audit: what each document is, by its shape, and who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Final

from otel_llmcost.audit.bodies import Defaults, read_body
from otel_llmcost.audit.documents import Broken, Document, documents
from otel_llmcost.audit.result import Audit, AuditedRequest, Problem
from otel_llmcost.audit.trail import MAX_SPANS, TooMany, Trail
from otel_llmcost.otlp_json import is_otlp, read_spans
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings

__all__ = ["audit"]

_MAX_PROBLEMS: Final = 1000
_UNKNOWN: Final = (
    "neither OTLP/JSON (resourceSpans, scopeSpans or spans) nor a response body of OpenAI, Anthropic, Gemini or Bedrock"
)


def audit(sources: Iterable[tuple[str, IO[bytes]]], *, pricer: Pricer, settings: Settings, defaults: Defaults) -> Audit:
    """
    Audit what `sources` hold, each a name and a stream; no ledger is touched, and no message content is kept.

    A broken line, document or span is a `Problem`, and the rest is audited. The order of sources, documents and spans
    changes nothing in requests, duplicates and totals.
    """
    run = _Run(Trail(pricer, settings), defaults)
    for name, stream in sources:
        run.read(name, stream)
    decided = run.trail.decide()
    return Audit(
        requests=[AuditedRequest(number=number, charged=each) for number, each in enumerate(decided.charged, start=1)],
        duplicates=decided.repeats,
        agents_without_requests=decided.agents_without_requests,
        problems=run.problems,
        spans=run.trail.spans,
        without_time=run.without_time,
    )


class _Run:
    def __init__(self, trail: Trail, defaults: Defaults) -> None:
        self.trail = trail
        self.problems: list[Problem] = []
        self.without_time = 0
        self._defaults = defaults

    def read(self, source: str, stream: IO[bytes]) -> None:
        line = 0
        try:
            for found in documents(stream):
                line = found.line
                for problem in (found.text,) if isinstance(found, Broken) else self._read(found):
                    self._report(source, line, problem)
        except TooMany:
            self._report(
                source, line or 1, f"the rest was not read: an audit takes {MAX_SPANS:,} spans; audit fewer files"
            )
        if not line:
            self._report(source, 1, "it is empty")

    def _read(self, document: Document) -> Iterator[str]:
        """Take in a document, and give a sentence for everything in it that could not be read."""
        if isinstance(document.value, Mapping):
            yield from self._take(document.value, "")
            return
        for index, part in enumerate(document.value if isinstance(document.value, list) else ()):
            if isinstance(part, Mapping):
                yield from self._take(part, f"[{index}]: ")
            else:
                yield f"[{index}] is no object"

    def _take(self, held: Mapping[str, object], place: str) -> Iterator[str]:
        if is_otlp(held):
            for found in read_spans(held):
                if isinstance(found, str):
                    yield place + found
                else:
                    self.trail.add_span(found)
        elif (body := read_body(held, self._defaults)) is not None:
            self.without_time += not body.has_time
            self.trail.add_body(body)
        else:
            yield place + _UNKNOWN

    def _report(self, source: str, line: int, text: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(source=source, line=line, text=text))
        elif len(self.problems) == _MAX_PROBLEMS:
            self.problems.append(Problem(source=source, line=line, text="further problems are not listed"))
