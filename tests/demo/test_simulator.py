"""The real clients read the simulator's answers as they read a provider's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import anthropic
import openai
import pytest

from otel_llmcost.demo.simulator import Reply, Simulator
from otel_llmcost.model import Usage

ASK = [{"role": "user", "content": "Do it."}]
CHAT_USAGE = Usage(
    input_tokens=500,
    cached_input_tokens=300,
    cache_write_tokens=40,
    output_tokens=70,
    reasoning_tokens=60,
    audio_input_tokens=20,
    cached_audio_input_tokens=10,
    audio_output_tokens=5,
    image_input_tokens=3,
)
RESPONSE_USAGE = Usage(
    input_tokens=500,
    cached_input_tokens=300,
    cache_write_tokens=40,
    cache_write_12h_tokens=8,
    output_tokens=70,
    reasoning_tokens=60,
    web_search_calls=2,
    file_search_calls=1,
    code_execution_calls=1,
)
MESSAGE_USAGE = Usage(
    input_tokens=13,
    cached_input_tokens=5003,
    cache_write_tokens=1207,
    cache_write_1h_tokens=603,
    output_tokens=421,
    reasoning_tokens=77,
    web_search_calls=2,
)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator of this test's own."""
    with Simulator() as running:
        yield running


@pytest.fixture
def openai_client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    """The real client, without its own resends."""
    with openai.OpenAI(base_url=simulator.openai_base_url, api_key="test", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    """The real client, without its own resends."""
    with anthropic.Anthropic(base_url=simulator.anthropic_base_url, api_key="test", max_retries=0) as client:
        yield client


def assert_chat_usage(usage: object) -> None:
    """One Usage in, OpenAI's overlapping counts out: cached, written, audio and images are all inside the prompt."""
    assert isinstance(usage, openai.types.CompletionUsage)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (873, 75, 948)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 310
    assert usage.prompt_tokens_details.cache_write_tokens == 40
    assert usage.prompt_tokens_details.audio_tokens == 30
    assert usage.prompt_tokens_details.image_tokens == 3
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 60
    assert usage.completion_tokens_details.audio_tokens == 5


def test_chat_completion(simulator, openai_client):
    """
    A chat completion carries the answering model, the tier in OpenAI's words and every detail of the usage.
    """
    simulator.script(Reply(usage=CHAT_USAGE, model="gpt-5.4-2026-03-05"))
    answer = openai_client.chat.completions.create(model="gpt-5.4", messages=ASK, service_tier="fast")
    assert answer.model == "gpt-5.4-2026-03-05"
    assert answer.service_tier == "priority"
    assert answer.choices[0].message.content == "It is done."
    assert_chat_usage(answer.usage)


def test_chat_stream_tells_usage_when_asked(simulator, openai_client):
    """
    With include_usage the last chunk has the usage and no choices, and every earlier chunk says `usage: null`.
    """
    simulator.script(Reply(usage=CHAT_USAGE))
    stream = openai_client.chat.completions.create(
        model="gpt-5.4", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is done."
    assert {None} == {chunk.usage for chunk in chunks}
    assert last.choices == []
    assert_chat_usage(last.usage)


def test_chat_stream_without_include_usage_has_none(simulator, openai_client):
    """
    Without include_usage no chunk knows the usage: the case that must never become $0.
    """
    simulator.script(Reply(usage=CHAT_USAGE))
    chunks = list(openai_client.chat.completions.create(model="gpt-5.4", messages=ASK, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {None} == {chunk.usage for chunk in chunks}


def assert_response(answer: openai.types.responses.Response) -> None:
    """Cache writes are split by lifetime; tool calls are output items, not usage."""
    assert answer.output_text == "It is done."
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (848, 70, 918)
    details = answer.usage.input_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (300, 48)
    assert details.cache_write_tokens_details is not None
    assert details.cache_write_tokens_details.ttl_12h_tokens == 8
    assert answer.usage.output_tokens_details.reasoning_tokens == 60
    made = [item.type for item in answer.output]
    assert made == ["web_search_call", "web_search_call", "file_search_call", "code_interpreter_call", "message"]


def test_response(simulator, openai_client):
    """
    A response carries its usage details and one output item per billed tool call, and can be retrieved again.
    """
    simulator.script(Reply(usage=RESPONSE_USAGE))
    answer = openai_client.responses.create(model="gpt-5.4", input="Do it.")
    assert_response(answer)
    assert_response(openai_client.responses.retrieve(answer.id))


def test_response_stream(simulator, openai_client):
    """
    A streamed response builds up to the same response in `response.completed`, in numbered events.
    """
    simulator.script(Reply(usage=RESPONSE_USAGE))
    with openai_client.responses.stream(model="gpt-5.4", input="Do it.") as stream:
        events = list(stream)
        assert_response(stream.get_final_response())
    raw = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in raw) == "It is done."
    numbers = [event.sequence_number for event in events]
    assert list(range(len(numbers))) == numbers


def test_embeddings(simulator, openai_client):
    """
    Embeddings bill input alone and come as base64 vectors of the size asked for.
    """
    simulator.script(Reply(usage=Usage(input_tokens=57)))
    answer = openai_client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    assert [len(item.embedding) for item in answer.data] == [8, 8]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (57, 57)


def assert_message(answer: anthropic.types.Message) -> None:
    """Anthropic's input is the fresh part alone; cache writes are split by lifetime."""
    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (13, 421, 5003)
    assert usage.cache_creation_input_tokens == 1810
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 603
    assert usage.server_tool_use is not None
    assert usage.server_tool_use.web_search_requests == 2
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 77
    assert (usage.service_tier, usage.speed, usage.inference_geo) == ("priority", "fast", "us")
    assert answer.content[-1].text == "It is done."  # type: ignore[union-attr]  # the last block is text
    assert answer.stop_reason == "end_turn"


MESSAGE_REPLY = Reply(usage=MESSAGE_USAGE, service_tier="priority", speed="fast", region="us")


def test_message(simulator, anthropic_client):
    """
    A message carries every detail of Anthropic's usage object.
    """
    simulator.script(MESSAGE_REPLY)
    assert_message(anthropic_client.messages.create(model="claude-sonnet-4-6", max_tokens=100, messages=ASK))


def test_message_stream(simulator, anthropic_client):
    """
    The stream helper arrives at the same message; the start has a placeholder output and the delta the real one.
    """
    simulator.script(MESSAGE_REPLY)
    with anthropic_client.messages.stream(model="claude-sonnet-4-6", max_tokens=100, messages=ASK) as stream:
        events = list(stream)
        assert_message(stream.get_final_message())
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    delta = next(event for event in events if event.type == "message_delta")
    assert delta.usage.output_tokens == 421


def test_count_tokens_is_free(simulator, anthropic_client):
    """
    Counting tokens answers without usage: it is never billed.
    """
    counted = anthropic_client.messages.count_tokens(model="claude-sonnet-4-6", messages=ASK)
    assert counted.input_tokens == 100


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (401, openai.AuthenticationError)],
)
def test_openai_errors(simulator, openai_client, status, expected):
    """
    A scripted status reaches the caller as the client's own error.
    """
    simulator.script(Reply(status=status))
    with pytest.raises(expected):
        openai_client.chat.completions.create(model="gpt-5.4", messages=ASK)


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")])
def test_anthropic_errors(simulator, anthropic_client, status, kind):
    """
    Anthropic's error body names its type, 529 included.
    """
    simulator.script(Reply(status=status))
    with pytest.raises(anthropic.APIStatusError) as caught:
        anthropic_client.messages.create(model="claude-sonnet-4-6", max_tokens=100, messages=ASK)
    assert kind == caught.value.type
    assert caught.value.request_id


def test_retry_after_is_obeyed(simulator):
    """
    The client itself resends after `retry-after`, and both requests are on record.
    """
    simulator.script(Reply(status=429, retry_after=0.01), Reply())
    with openai.OpenAI(base_url=simulator.openai_base_url, api_key="test") as client:
        client.chat.completions.create(model="gpt-5.4", messages=ASK)
    assert [received.headers["x-stainless-retry-count"] for received in simulator.requests] == ["0", "1"]


def test_delay_beyond_the_timeout_is_a_timeout(simulator, openai_client):
    """
    A delay longer than the caller's timeout is the caller's timeout, and closing does not wait for it.
    """
    simulator.script(Reply(delay=60))
    with pytest.raises(openai.APITimeoutError):
        openai_client.chat.completions.create(model="gpt-5.4", messages=ASK, timeout=0.05)


def test_cut_stream_breaks_for_the_caller(simulator, openai_client):
    """
    A cut stream ends in a connection error after the events that were sent.
    """
    simulator.script(Reply(cut_after=2))
    seen = []
    with pytest.raises(openai.APIConnectionError):
        seen.extend(openai_client.chat.completions.create(model="gpt-5.4", messages=ASK, stream=True))


def test_a_count_without_a_place_is_refused(simulator, openai_client):
    """
    A scripted count that the provider cannot report is a loud 400: a script never bills less than it says.
    """
    simulator.script(Reply(usage=Usage(input_tokens=1, cache_write_1h_tokens=5)))
    with pytest.raises(openai.BadRequestError, match="no place for cache_write_1h_tokens"):
        openai_client.chat.completions.create(model="gpt-5.4", messages=ASK)


def test_a_mapping_is_sent_as_it_is(simulator, openai_client):
    """
    Broken counts reach the client verbatim.
    """
    simulator.script(Reply(usage={"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": -4}))
    answer = openai_client.chat.completions.create(model="gpt-5.4", messages=ASK)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == -5


def test_requests_are_on_record(simulator, openai_client):
    """
    What the provider received is kept, headers and body, so that a leak shows.
    """
    openai_client.chat.completions.create(model="gpt-5.4", messages=ASK, extra_headers={"X-Owner": "acme"})
    (received,) = simulator.requests
    assert (received.method, received.path, received.model) == ("POST", "/v1/chat/completions", "gpt-5.4")
    assert received.headers["x-owner"] == "acme"


def test_concurrent_callers_are_answered_by_what_they_ask():
    """
    `answer` sees the request, so that concurrent callers get the reply meant for them.
    """

    async def ask(client: openai.AsyncOpenAI, tokens: int) -> int:
        answer = await client.chat.completions.create(model=f"model-{tokens}", messages=ASK)
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    async def ask_all(base_url: str) -> list[int]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="test") as client:
            return await asyncio.gather(*(ask(client, tokens) for tokens in range(20)))

    with Simulator(lambda asked: Reply(usage=Usage(input_tokens=int(asked.model.removeprefix("model-"))))) as simulator:
        assert list(range(20)) == asyncio.run(ask_all(simulator.openai_base_url))


def test_starts_and_stops_at_once():
    """
    Starting and stopping cost milliseconds, also while a caller keeps its connection and another one waits.
    """
    begun = time.perf_counter()
    with Simulator() as simulator:
        assert time.perf_counter() - begun < 0.5  # about 2 ms; the bound leaves room for a busy machine
        with openai.OpenAI(base_url=simulator.openai_base_url, api_key="test") as client:
            client.chat.completions.create(model="gpt-5.4", messages=ASK)
            leaving = time.perf_counter()
            simulator.__exit__(None, None, None)
            assert time.perf_counter() - leaving < 0.5
            simulator.__exit__(None, None, None)  # closing twice is harmless
