"""
Hostile spans, from a seed: real spans with damaged values, known names that hold anything, and junk.

What is hostile: the type, size and encoding of every attribute that any dialect reads; raw usage that is broken,
deep or huge JSON; names, scopes, resources, parents, times, exceptions and baggage that no emitter would write.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from otel_llmcost.dialects import (
    GATE_KEYS,
    anthropic_sdk,
    claude_code,
    litellm,
    logfire,
    openinference,
    openlit,
    openllmetry,
    vercel_legacy,
)
from otel_llmcost.dialects.emitters import EMITTERS
from otel_llmcost.dialects.form import Form
from otel_llmcost.dialects.forms import FORMS
from otel_llmcost.dialects.provider_usage import SHAPES
from otel_llmcost.dialects.semconv import FORM, OPERATIONS
from otel_llmcost.model import SpanView
from tests import captures
from tests.dialects.documented import EXAMPLES

__all__ = ["Hostile"]

_SEEN: Final = [
    *(view for name in captures.names("") for view in captures.views(captures.load(name))),
    *(example[0] for example in EXAMPLES.values()),
]
_FORMS: Final[list[Form]] = [
    FORM,
    *(form for _, form in FORMS),
    *(each.FORM for each in (anthropic_sdk, claude_code, litellm, openinference, openllmetry)),
    *(each.FORM for each in (logfire, openlit, vercel_legacy)),
]


def _read_names() -> Iterator[str]:
    """Give every attribute that a form reads, those that a few dialects read besides, and all that were seen."""
    for form in _FORMS:
        for names in form.names.values():
            yield from names
        for texts in (form.provider, form.request_model, form.response_model, form.response_id, form.service_tier):
            yield from texts
        yield from form.base_url + form.cost
    yield from ("error.type", "server.address", "http.request.resend_count", "openai.api.type", "llmcost.team")
    yield from ("gen_ai.usage.cost.amount", "gen_ai.usage.cost.source", "gen_ai.usage.cost.currency", "attempt")
    yield from ("llmcost.cost_usd", "llmcost.customer_id", "service.name", "success")
    for view in _SEEN:
        yield from view.attributes


_KEYS: Final = sorted({*_read_names(), *GATE_KEYS})
_RAW_KEYS: Final = (
    "output.value", "gen_ai.usage.raw", "usage", "response", "metadata.usage_object", "hidden_params", "metadata",
    "haystack.component.output", "ai.response.providerMetadata",
)  # fmt: skip
"""Where emitters put JSON, or Python's text of it."""
_FIELDS: Final = sorted(
    {name.rpartition(".")[2] for shape in SHAPES for names in shape.names.values() for name in names}
)
_HOLDERS: Final = (
    "usage",
    "usageMetadata",
    "usage_metadata",
    "output",
    "type",
    "candidates",
    "raw",
    "generations",
    "meta",
)
_SCOPES: Final = sorted({view.scope_name for view in _SEEN} | {row.scope for row in EMITTERS})
_MODELS: Final = sorted(
    {str(view.attributes[key]) for view in _SEEN for key in FORM.response_model if key in view.attributes}
)
_TEXTS: Final = sorted(
    {value for view in _SEEN for value in view.attributes.values() if isinstance(value, str) and len(value) < 4000}
)
_ID: Final = re.compile(r"(?:chatcmpl-|resp_|msg_|gen-)[\w-]+")
_IDS: Final = [
    {key: value for key, value in view.attributes.items() if isinstance(value, str) and _ID.search(value)}
    for view in _SEEN
]
"""Where each of the spans that were seen says the id of its response."""


class _Count(enum.IntEnum):
    FEW = 7


class _Word(enum.StrEnum):
    CHAT = "chat"


_NUMBERS: Final[list[object]] = [
    -1, 0, 1, 5, 7_000, 10**6, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**5000, -(2**63), -(10**40),
    1.7, 1.0, -0.0, 1e15, 1e16, 1e308, 5e-324, 0.1 + 0.2, float("nan"), float("inf"), float("-inf"), True, False, None,
    _Count.FEW,
]  # fmt: skip
_STRINGS: Final[list[object]] = [
    "", " ", "12", "1e3", " 12", "١٢", "NaN", "null", "\x00", "a\x00b", "\ud800", "gpt-5.4-mini\udfff", "\udc80" * 9,
    "\u202egpt", "é" * 600, "x" * 10_000, "😀" * 300, "\r\n\u2028\u2029", '"}],', "\\", "'; DROP TABLE llm_requests; --",
    "{{7*7}}", "<script>", "../../etc/passwd", "\ufeffgpt-5.4", "GPT-5.4-MINI", "models/gpt-4o", "ft:gpt-4o:acme::x", "a/b/c/d",
    "%s%n", "\x1b[2J", "\x7f\x80", "arn:aws:bedrock:::x", "chat", "LLM", _Word.CHAT,
]  # fmt: skip
_CONTAINERS: Final[list[object]] = [
    b"", b"chat", b"\xff\xfe\x00", bytearray(b"gpt"), (), ("chat",), ("", None, 1.5, True, b"x"), [1, [2, [3]]], {},
    {"a": {"b": {"c": [None, float("nan")]}}}, {"input_tokens": 5}, {"\ud800": "\ud800"}, frozenset({1}), range(3),
    (1,) * 500,
]  # fmt: skip
_POOL: Final = [*_NUMBERS, *_STRINGS, *_CONTAINERS]
_HUGE: Final[list[Callable[[], object]]] = [
    lambda: "x" * 1_000_000,
    lambda: "[" * 150_000,
    lambda: '{"usage":' * 20_000,
    lambda: '{"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":["' + "y" * 190_000 + '"]}',
    lambda: "{" + ",".join(f'"k{number}":{number}' for number in range(9_000)) + "}",
    lambda: "{'a': " + "(" * 7_000,
    lambda: "9" * 100_000,
    lambda: '{"usage":{"input_tokens":' + "9" * 5_000 + "}}",
    lambda: ("\ud800" * 999,) * 50,
    lambda: b"\xff" * 500_000,
]
_TIMES: Final[list[int]] = [
    0,
    -1,
    1,
    -(2**70),
    2**63,
    2**64,
    2**80,
    10**9,
    4_102_444_800 * 10**9,
    946_684_800 * 10**9 - 1,
]
_NOW: Final = 1_795_000_000 * 10**9


@dataclass(slots=True)
class _Open:
    span: Span
    context: Context


class Hostile:
    """Makes spans in the providers that it is given; the same seed makes the same spans."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._open: list[_Open] = []
        self._ended: list[SpanContext] = []
        self._contexts = [self._baggage() for _ in range(200)]
        self.made = 0

    def resources(self) -> list[Resource]:
        """Give resources whose attributes are junk; the first one is what a service has."""
        draw = self._random
        junk = ("service.name", "deployment.environment.name", "llmcost.team", "llmcost.feature", "cloud.region")
        return [Resource({"service.name": "checkout", "deployment.environment.name": "prod"})] + [
            Resource({key: self._value() for key in junk if draw.random() < 0.8})  # type: ignore[misc]
            for _ in range(30)
        ]

    def tracers(self, providers: list[TracerProvider]) -> list[Tracer]:
        """Give tracers of every known scope, and of some that nobody would name so."""
        draw = self._random
        odd = ["", "\ud800", "a\x00b", "x" * 5_000, "openlit.\udfff", "logfire.'\"", "é" * 300, 7]
        return [
            draw.choice(providers).get_tracer(scope, draw.choice(["", "0.40.1", "0.62.4", "x" * 99, "9" * 5_000]))
            for scope in [*_SCOPES, *odd] * 3
        ]

    def make(self, tracers: list[Tracer], count: int) -> None:
        """Start and end `count` spans, in any order; all have ended when this returns."""
        draw = self._random
        for _ in range(count):
            self._start(tracers)
            while (len(self._open) > 1 and draw.random() < 0.6) or len(self._open) > 12:
                self._end(draw.randrange(len(self._open)))
        while self._open:
            self._end(-1)

    def _start(self, tracers: list[Tracer]) -> None:
        draw = self._random
        kind = draw.random()
        number = draw.randrange(len(_SEEN))
        view = _SEEN[number]
        if kind < 0.5:
            attributes = self._damaged(view, _IDS[number])
        elif kind < 0.9:
            attributes = self._any_known()
        else:
            attributes = {self._text() or "k": self._value() for _ in range(draw.randrange(9))}
        context = self._context()
        name = view.name if draw.random() < 0.7 else self._text()
        span = draw.choice(tracers).start_span(
            name,
            context,
            kind=draw.choice(list(SpanKind)),
            attributes=attributes,  # type: ignore[arg-type]  # hostile types are the point
            start_time=draw.choice(_TIMES) if draw.random() < 0.003 else _NOW + draw.randrange(10**15),
        )
        assert isinstance(span, Span)
        self._open.append(_Open(span, context))
        self.made += 1

    def _end(self, index: int) -> None:
        draw = self._random
        span = self._open.pop(index).span
        if draw.random() < 0.2:
            span.set_status(draw.choice(list(StatusCode)))
        if draw.random() < 0.1:
            span.add_event("exception", {"exception.type": self._value()})  # type: ignore[dict-item]
        if draw.random() < 0.2:
            span.set_attribute(draw.choice(_KEYS), self._value())  # type: ignore[arg-type]
        started = span.start_time or 0
        span.end(draw.choice(_TIMES) if draw.random() < 0.003 else started + draw.randrange(10**11))
        self._ended.append(span.get_span_context())
        del self._ended[:-50]

    def _damaged(self, view: SpanView, ids: dict[str, str]) -> dict[str, object]:
        draw = self._random
        fresh = self._id()
        attributes = {**view.attributes, **{key: _ID.sub(fresh, text) for key, text in ids.items()}}
        for key in draw.sample(sorted(attributes), min(len(attributes), draw.randrange(4))):
            attributes[key] = self._value()
        if draw.random() < 0.3:
            key = draw.choice(_RAW_KEYS)
            attributes[key] = self._json(attributes.get(key))
        return attributes

    def _any_known(self) -> dict[str, object]:
        draw = self._random
        attributes: dict[str, object] = {
            "gen_ai.operation.name": draw.choice(list(OPERATIONS)) if draw.random() < 0.8 else self._value(),
            "gen_ai.provider.name": draw.choice(
                ["openai", "anthropic", "gcp.gemini", "aws.bedrock", "x_ai", self._value()]
            ),
            "gen_ai.request.model": draw.choice(_MODELS) if draw.random() < 0.8 else self._value(),
        }
        for key in draw.choices(_KEYS, k=draw.randrange(12)):
            attributes[key] = self._value()
        for key in draw.sample(sorted(GATE_KEYS), draw.randrange(2)):
            attributes[key] = draw.choice(
                ["chat", "LLM", "EMBEDDING", "ai.streamText.doStream", "OpenAIGenerator", None]
            )
        if draw.random() < 0.3:
            attributes[draw.choice(_RAW_KEYS)] = self._json(None)
        return attributes

    def _value(self) -> object:
        draw = self._random
        kind = draw.random()
        if kind < 0.2:
            return draw.randrange(10**6)
        if kind < 0.8:
            return draw.choice(_POOL)
        if kind < 0.999:
            return draw.choice(_TEXTS) if kind < 0.9 else self._json(None)
        return draw.choice(_HUGE)()

    def _text(self) -> str:
        return str(self._random.choice(_STRINGS))

    def _id(self) -> str:
        """Give a fresh id, or one that a few spans before had too."""
        draw = self._random
        number = self.made - draw.randrange(1, 9) if draw.random() < 0.1 else self.made
        return f"{('chatcmpl-', 'resp_', 'msg_', 'gen-')[number % 4]}{number}"

    def _json(self, text: object) -> object:
        """Damage a text that holds JSON, or make one that no provider would write."""
        draw = self._random
        if isinstance(text, str) and text:
            place = draw.randrange(len(text))
            return (
                text[:place]
                + draw.choice(["", "9", "-", "e9", '"', "}", "\ud800", "null"])
                + text[place + draw.randrange(3) :]
            )
        made = {draw.choice(_HOLDERS): self._object(3), draw.choice(_FIELDS): self._leaf()}
        return repr(made) if draw.random() < 0.1 else json.dumps(made)

    def _object(self, depth: int) -> object:
        draw = self._random
        kind = draw.random()
        if depth == 0 or kind < 0.15:
            return self._leaf()
        if kind < 0.3:
            return [self._object(depth - 1) for _ in range(draw.randrange(4))]
        return {
            draw.choice(_FIELDS): self._object(depth - 1) if draw.random() < 0.3 else self._leaf() for _ in range(5)
        }

    def _leaf(self) -> object:
        draw = self._random
        if draw.random() < 0.6:
            return draw.randrange(10**5)
        return draw.choice([-1, 2**53, 2**70, 10**400, 1.5, 1e300, float("nan"), True, None, "7", "\ud800", [], {}])

    def _context(self) -> Context:
        """Give a context with junk in its baggage, below a span that is open, has ended, is remote, or is none."""
        draw = self._random
        context = draw.choice(self._contexts)
        kind = draw.random()
        if kind < 0.3 and self._open:
            return trace.set_span_in_context(draw.choice(self._open).span, context)
        if kind < 0.35 and self._ended:
            return trace.set_span_in_context(NonRecordingSpan(draw.choice(self._ended)), context)
        if kind < 0.6:
            remote = SpanContext(draw.getrandbits(128), draw.getrandbits(64), True, TraceFlags(1))
            return trace.set_span_in_context(NonRecordingSpan(remote), context)
        return context

    def _baggage(self) -> Context:
        draw = self._random
        context = Context()
        names = ("team", "feature", "customer_id", "environment", "action", "action_id", "request_id", "attempt")
        for name in draw.sample(names, draw.randrange(len(names))):
            value = f"{name}-{draw.randrange(50)}" if draw.random() < 0.4 else draw.choice(_POOL)
            context = baggage.set_baggage(f"llmcost.{name}", value, context)
        for _ in range(draw.randrange(3)):
            context = baggage.set_baggage(f"llmcost.{self._text()}", draw.choice(_POOL), context)
        return baggage.set_baggage(self._text(), draw.choice(_POOL), context)
