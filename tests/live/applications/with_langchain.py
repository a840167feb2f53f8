"""LangChain over OpenAI's client, both instrumented: a request shows as two spans, and is one."""

from __future__ import annotations

from _application import OPENAI_URL, run
from langchain_openai import ChatOpenAI
from openai import RateLimitError

model = ChatOpenAI(
    model="gpt-5.4-mini", base_url=OPENAI_URL, api_key="any", max_retries=0, stream_usage=True, use_responses_api=False
)
patient = model.with_retry(
    retry_if_exception_type=(RateLimitError,), stop_after_attempt=2, wait_exponential_jitter=False
)
resending = ChatOpenAI(model="gpt-5.4-mini", base_url=OPENAI_URL, api_key="any", max_retries=1, use_responses_api=False)

run(
    plain=lambda: model.invoke("Draft a reply."),
    stream=lambda: list(model.stream("Draft a reply.")),
    retried=lambda: patient.invoke("Draft a reply."),
    resent=lambda: resending.invoke("Draft a reply."),
)
