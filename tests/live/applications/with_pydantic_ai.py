"""An agent of pydantic-ai over OpenAI's client: the agent's span repeats what its request cost."""

from __future__ import annotations

import asyncio

from _application import OPENAI_URL, failing, provider, run
from openai import AsyncOpenAI
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))


def agent(max_retries: int = 0) -> Agent:
    """Give an agent whose client resends so often."""
    client = AsyncOpenAI(base_url=OPENAI_URL, api_key="any", max_retries=max_retries)
    return Agent(OpenAIChatModel("gpt-5.4-mini", provider=OpenAIProvider(openai_client=client)))


def ask() -> None:
    """Ask once."""
    agent().run_sync("Draft a reply.")


def stream() -> None:
    """Ask for a stream and read it to its end."""

    async def read() -> None:
        async with agent().run_stream("Draft a reply.") as answer:
            async for _ in answer.stream_text():
                pass

    asyncio.run(read())


def retried() -> None:
    """Fail, and ask again."""
    failing(ask)
    ask()


run(plain=ask, stream=stream, retried=retried, resent=lambda: agent(1).run_sync("Draft a reply."))
