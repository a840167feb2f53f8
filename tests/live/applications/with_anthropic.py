"""Anthropic's client, which writes spans of its own: messages, both kinds of stream, and both ways of trying again."""

from __future__ import annotations

from _application import ANTHROPIC_URL, MESSAGES, failing, run
from anthropic import Anthropic

ASK = {"model": "claude-sonnet-4-6", "max_tokens": 2_000, "messages": MESSAGES}
client = Anthropic(base_url=ANTHROPIC_URL, api_key="any", max_retries=0)


def message(client: Anthropic = client) -> None:
    """Ask once."""
    client.messages.create(**ASK)


def stream() -> None:
    """Ask for a stream through the client's helper."""
    with client.messages.stream(**ASK) as events:
        events.until_done()


def retried() -> None:
    """Fail, and ask again."""
    failing(message)
    message()


run(
    plain=message,
    stream=stream,
    event_stream=lambda: list(client.messages.create(**ASK, stream=True)),
    retried=retried,
    resent=lambda: message(client.with_options(max_retries=1)),
)
