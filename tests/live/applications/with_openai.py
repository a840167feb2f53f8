"""OpenAI's client: chat, streams, responses, embeddings, and both ways of trying again."""

from __future__ import annotations

from _application import MESSAGES, OPENAI_URL, failing, run
from openai import OpenAI

MODEL = "gpt-5.4-mini"
client = OpenAI(base_url=OPENAI_URL, api_key="any", max_retries=0)


def chat(client: OpenAI = client) -> None:
    """Ask once."""
    client.chat.completions.create(model=MODEL, messages=MESSAGES)


def stream() -> None:
    """Ask for a stream, usage included, and read it to its end."""
    for _ in client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ):
        pass


def retried() -> None:
    """Fail, and ask again."""
    failing(chat)
    chat()


run(
    plain=chat,
    stream=stream,
    response=lambda: client.responses.create(model=MODEL, input="Draft a reply."),
    response_stream=lambda: list(client.responses.create(model=MODEL, input="Draft a reply.", stream=True)),
    embedding=lambda: client.embeddings.create(model="text-embedding-3-small", input="A reply."),
    retried=retried,
    resent=lambda: chat(client.with_options(max_retries=1)),
)
