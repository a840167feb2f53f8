"""LiteLLM with its OpenTelemetry callback, which writes in a thread of its own, after the call."""

from __future__ import annotations

import os
import time
from functools import partial

import litellm
import openai  # noqa: F401  # before LiteLLM's threads import it, two at a time
from _application import MESSAGES, OPENAI_URL, failing, provider, run
from litellm.integrations.opentelemetry import OpenTelemetry

CALLBACK_SECONDS = 0.5
litellm.callbacks = [OpenTelemetry(tracer_provider=provider)]


def ask(*, max_retries: int = 0, **options: object) -> None:
    """Ask once, and stay below the application's span until the callback has written."""
    try:
        answer = litellm.completion(
            model="openai/gpt-5.4-mini",
            messages=MESSAGES,
            api_base=OPENAI_URL,
            api_key="any",
            max_retries=max_retries,
            **options,
        )
        if options.get("stream"):
            list(answer)
    finally:
        time.sleep(CALLBACK_SECONDS)


def retried() -> None:
    """Fail, and ask again."""
    failing(ask)
    ask()


run(
    plain=ask,
    stream=partial(ask, stream=True, stream_options={"include_usage": True}),
    retried=retried,
    resent=partial(ask, max_retries=1),
)
# LiteLLM closes its sessions in a finaliser that imports while Python ends, and sometimes waits for ever.
os._exit(0)
