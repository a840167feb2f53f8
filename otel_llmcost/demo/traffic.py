"""
Demo traffic: the real OpenAI and Anthropic clients, instrumented as in any application, against the simulator.

It shows what an application does and nothing more: each request runs below a span of the application, inside
`attributed(...)`. A few dozen requests of every kind that makes cost hard: streams, caches, retries, failures, an
unknown model, a stream without usage, a job that nobody owns. Current instrumentations make two spans for each
request to Anthropic (the SDK's own and the instrumentation's): still one row each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anthropic
import openai
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost.demo.simulator import Reply, Simulator
from otel_llmcost.model import Usage
from otel_llmcost.ownership import attributed

__all__ = ["CLAUDE", "MINI", "TRAFFIC", "WORKED", "Call", "instrumented", "send"]

MINI: Final = "gpt-5.4-mini"
CLAUDE: Final = "claude-sonnet-4"
PROMPT: Final = "Draft a reply."


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One piece of work of the application: one request, or several where an earlier one failed."""

    api: str
    """A name in `APIS`."""
    model: str
    replies: tuple[Reply, ...]
    team: str | None = None
    feature: str | None = None
    customer_id: str | None = None
    request_id: str | None = None
    """The application's own id, by which `otel-llmcost explain` finds it."""


def _call(api: str, model: str, *replies: Reply, owner: str = "", request_id: str | None = None) -> Call:
    team, feature, customer_id = owner.split("/") if owner else (None, None, None)
    return Call(
        api=api,
        model=model,
        replies=replies,
        team=team,
        feature=feature,
        customer_id=customer_id,
        request_id=request_id,
    )


def _reply(**counts: int) -> Reply:
    return Reply(usage=Usage(**counts))


WORKED: Final = (
    _call(
        "chat",
        MINI,
        _reply(input_tokens=8_000, cached_input_tokens=2_000, output_tokens=1_200),
        owner="support/reply-draft/acme",
        request_id="demo-openai",
    ),
    _call(
        "message",
        CLAUDE,
        _reply(input_tokens=8_000, output_tokens=1_200),
        owner="docs/summarise/globex",
        request_id="demo-anthropic",
    ),
)
"""The two requests that the README works out."""

_DRAFT: Final = _reply(input_tokens=3_100, cached_input_tokens=1_400, output_tokens=420, reasoning_tokens=128)
_WRITE_CACHE: Final = _reply(input_tokens=900, cache_write_tokens=6_000, cache_write_1h_tokens=2_000, output_tokens=700)
_READ_CACHE: Final = _reply(input_tokens=900, cached_input_tokens=8_000, output_tokens=700)
_ANSWER: Final = _reply(input_tokens=5_200, cached_input_tokens=1_000, output_tokens=640)

TRAFFIC: Final = (
    *WORKED,
    *(
        _call("chat_stream", MINI, _DRAFT, owner=f"support/reply-draft/{who}")
        for who in ("acme", "globex", "initech") * 2
    ),
    *(_call("response_stream", "gpt-5.4", _ANSWER, owner="search/answers/acme") for _ in range(3)),
    *(
        _call("embeddings", "text-embedding-3-small", _reply(input_tokens=512), owner="search/index/acme")
        for _ in range(4)
    ),
    _call("message_stream", "claude-sonnet-4-6", _WRITE_CACHE, owner="docs/summarise/globex"),
    *(_call("message_stream", "claude-sonnet-4-6", _READ_CACHE, owner="docs/summarise/globex") for _ in range(4)),
    _call("chat_async", MINI, *(_reply(input_tokens=700, output_tokens=150),) * 6, owner="growth/campaign/initech"),
    # Rate-limited, then tried again by the application: the second one is a retry.
    _call("chat", "gpt-5.4", Reply(status=429, retry_after=1), _DRAFT, owner="growth/campaign/initech"),
    # Overloaded: nobody tried again.
    _call("message", "claude-sonnet-4-6", Reply(status=529), owner="docs/summarise/globex"),
    # A model without a published price, and a stream that never said its usage: unknown cost, never $0.
    _call("chat", "house-model-7b", _reply(input_tokens=2_000, output_tokens=300), owner="growth/campaign/initech"),
    _call("chat_stream_without_usage", MINI, _DRAFT, owner="support/reply-draft/initech"),
    # Nobody said who owns these.
    *(_call("chat", MINI, _reply(input_tokens=4_000, output_tokens=900)) for _ in range(2)),
)


@dataclass(frozen=True, slots=True)
class _Clients:
    """The clients of the application; they leave resending to it, so that every request shows as a span."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    base_url: str = field(repr=False)


def _chat(clients: _Clients, model: str) -> None:
    clients.openai.chat.completions.create(model=model, messages=[{"role": "user", "content": PROMPT}])


def _chat_stream(clients: _Clients, model: str) -> None:
    for _chunk in clients.openai.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        pass


def _chat_stream_without_usage(clients: _Clients, model: str) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
    for _chunk in clients.openai.chat.completions.create(model=model, messages=messages, stream=True):
        pass


def _response_stream(clients: _Clients, model: str) -> None:
    for _event in clients.openai.responses.create(model=model, input=PROMPT, stream=True):
        pass


def _embeddings(clients: _Clients, model: str) -> None:
    clients.openai.embeddings.create(model=model, input=PROMPT, dimensions=8)


def _message(clients: _Clients, model: str) -> None:
    clients.anthropic.messages.create(model=model, max_tokens=2_000, messages=[{"role": "user", "content": PROMPT}])


def _message_stream(clients: _Clients, model: str) -> None:
    messages: list[anthropic.types.MessageParam] = [{"role": "user", "content": PROMPT}]
    with clients.anthropic.messages.stream(model=model, max_tokens=2_000, messages=messages) as stream:
        stream.until_done()


APIS: Final[dict[str, Callable[[_Clients, str], None]]] = {
    "chat": _chat,
    "chat_stream": _chat_stream,
    "chat_stream_without_usage": _chat_stream_without_usage,
    "response_stream": _response_stream,
    "embeddings": _embeddings,
    "message": _message,
    "message_stream": _message_stream,
}


async def _chat_together(base_url: str, model: str, times: int) -> None:
    """Send equal requests at the same time, each from a task of its own."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="demo", max_retries=0) as client:
        asked = (
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": PROMPT}])
            for _ in range(times)
        )
        await asyncio.gather(*asked)


@contextlib.contextmanager
def instrumented(provider: TracerProvider) -> Iterator[None]:
    """Instrument both clients into `provider` alone, and take the instrumentation off again."""
    instrumentors = (OpenAIInstrumentor(), AnthropicInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


def send(calls: Sequence[Call], provider: TracerProvider, done: Callable[[int], None] = lambda _count: None) -> int:
    """Make every call, tell `done` how many requests each made, and give the number that reached the provider."""
    tracer = provider.get_tracer("demo-application")
    with (
        Simulator() as simulator,
        instrumented(provider),
        openai.OpenAI(base_url=simulator.openai_base_url, api_key="demo", max_retries=0) as openai_client,
        anthropic.Anthropic(
            base_url=simulator.anthropic_base_url,
            api_key="demo",
            max_retries=0,
            open_telemetry={"tracer_provider": provider},
        ) as anthropic_client,
    ):
        clients = _Clients(openai_client, anthropic_client, simulator.openai_base_url)
        for call in calls:
            owner = attributed(
                team=call.team, feature=call.feature, customer_id=call.customer_id, request_id=call.request_id
            )
            with owner, tracer.start_as_current_span(call.feature or "nightly-job"):
                _make(call, clients, simulator)
            done(len(call.replies))
        return len(simulator.requests)


def _make(call: Call, clients: _Clients, simulator: Simulator) -> None:
    if call.api == "chat_async":
        simulator.script(*call.replies)
        asyncio.run(_chat_together(clients.base_url, call.model, len(call.replies)))
        return
    for reply in call.replies:
        simulator.script(reply)
        with contextlib.suppress(openai.APIStatusError, anthropic.APIStatusError):
            APIS[call.api](clients, call.model)
