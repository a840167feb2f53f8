"""
The OTLP/HTTP service: `POST /v1/traces` and `GET /health`.

A body is admitted, read within bounds of size and time, and metered by one worker thread; it is answered when what it
comes to is in the journal. Under pressure it says 429 and when to come again: senders keep what was not acknowledged.
Limits: 64 requests and 64 MiB of bodies at a time; one thread meters, so that a request is one core's work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_llmcost.counters import COUNTERS
from otel_llmcost.fence import fenced
from otel_llmcost.http.tokens import Tokens
from otel_llmcost.receiver.bodies import (
    JSON,
    MAX_BODY_BYTES,
    PROTOBUF,
    Malformed,
    TooLarge,
    expand,
    failure,
    read_body,
    success,
)
from otel_llmcost.receiver.intake import Intake, Refused, Taken

__all__ = ["Service"]

_REQUESTS_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 64 << 20
_BODY_SECONDS: Final = 30.0
_SOON_SECONDS: Final = 1
_LATER_SECONDS: Final = 10
"""When to come again: when others are done, and when a full journal may have been shipped."""


class _No(Exception):
    """A request that gets another answer than 200."""

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


_FAILED: Final[Taken | _No] = _No(HTTPStatus.INTERNAL_SERVER_ERROR, "the receiver failed: its log has the stack")


class Service:
    """
    Answers senders of spans. `app` is its ASGI application; `close` ends its worker.

    Args:
        intake: where spans go.
        tokens: what senders must show as `Authorization: Bearer …`; None for nothing.
        backlog: what waits in the journal, for the health answer.
    """

    def __init__(self, intake: Intake, tokens: Tokens | None, backlog: Callable[[], dict[str, object]]) -> None:
        self._intake = intake
        self._tokens = tokens
        self._backlog = backlog
        self._requests = 0
        self._bytes = 0
        self._refuses_until = 0.0
        self._denied_at: float | None = None
        self._worker = ThreadPoolExecutor(1, "otel-llmcost-receiver")
        traces = Route("/v1/traces", self._traces, methods=["POST"])
        self.app = Starlette(routes=[traces, Route("/health", self._health, methods=["GET"])])

    def close(self) -> None:
        """Finish the body in hand, and take no other."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    async def _traces(self, request: Request) -> Response:
        encoding = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        answers_in = JSON if encoding == JSON else PROTOBUF
        try:
            taken = await self._answer(request, encoding)
        except _No as no:
            return _refusal(no, answers_in)
        body = success(answers_in, taken.rejected, taken.message)
        return Response(body, media_type=answers_in)

    async def _answer(self, request: Request, encoding: str) -> Taken:
        self._check(request, encoding)
        if self._requests >= _REQUESTS_AT_ONCE:
            raise _No(HTTPStatus.TOO_MANY_REQUESTS, "too many requests at once", retry_after=_SOON_SECONDS)
        self._requests += 1
        held: list[bytes] = []
        try:
            await self._read(request, held)
            is_gzip = request.headers.get("content-encoding", "").lower() == "gzip"
            work = self._begin(b"".join(held), encoding, is_gzip)
            outcome = await asyncio.shield(work)  # a sender that goes away meanwhile will send it again
        finally:
            self._requests -= 1
            self._bytes -= sum(map(len, held))
        if isinstance(outcome, _No):
            raise outcome
        return outcome

    def _begin(self, body: bytes, encoding: str, is_gzip: bool) -> asyncio.Future[Taken | _No]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._worker, self._take, body, encoding, is_gzip)
        except RuntimeError:  # it was closed while the body came
            raise _No(HTTPStatus.TOO_MANY_REQUESTS, "this receiver is ending", retry_after=_LATER_SECONDS) from None

    def _check(self, request: Request, encoding: str) -> None:
        headers = request.headers
        if self._tokens is not None and not self._tokens.admit(headers.get("authorization", "").encode()):
            COUNTERS.add("receiver.denied")
            self._denied_at = time.monotonic()
            raise _No(HTTPStatus.UNAUTHORIZED, "a bearer token is needed, and this is not the one")
        if encoding not in (JSON, PROTOBUF):
            raise _No(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {PROTOBUF} or {JSON}")
        if headers.get("content-encoding", "identity").lower() not in ("gzip", "identity", ""):
            raise _No(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send it with gzip, or uncompressed")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            raise _too_large()

    async def _read(self, request: Request, held: list[bytes]) -> None:
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._bytes += len(chunk)
                    held.append(chunk)
                    if size > MAX_BODY_BYTES:
                        raise _too_large()
                    if self._bytes > _BYTES_AT_ONCE:
                        raise _No(HTTPStatus.TOO_MANY_REQUESTS, "too much at once", retry_after=_SOON_SECONDS)
        except TimeoutError:
            raise _No(HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {_BODY_SECONDS:.0f} seconds") from None
        except ClientDisconnect:
            raise _No(HTTPStatus.BAD_REQUEST, "the body ended before its end") from None

    @fenced("receive", otherwise=_FAILED)
    def _take(self, body: bytes, encoding: str, is_gzip: bool) -> Taken | _No:
        """Meter a body, in the worker's thread."""
        try:
            taken = self._intake.take(read_body(expand(body) if is_gzip else body, encoding))
        except Malformed as error:
            return _No(HTTPStatus.BAD_REQUEST, str(error))
        except TooLarge:
            return _too_large()
        except Refused as error:
            COUNTERS.add("receiver.refused")
            self._refuses_until = time.monotonic() + _LATER_SECONDS
            return _No(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after=_LATER_SECONDS)
        self._refuses_until = 0.0
        return taken

    async def _health(self, _request: Request) -> Response:
        is_full = self._requests >= _REQUESTS_AT_ONCE or self._bytes > _BYTES_AT_ONCE
        refuses = is_full or time.monotonic() < self._refuses_until
        counts = {name: count for name, count in COUNTERS.snapshot().items() if name.startswith("receiver.")}
        journal = await asyncio.to_thread(self._backlog)
        state = {
            "accepts": not refuses,
            "requests_in_hand": self._requests,
            "denied": {"requests": COUNTERS["receiver.denied"], "last_seconds_ago": _seconds_since(self._denied_at)},
            "journal": journal,
            "counts": counts,
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if refuses else HTTPStatus.OK
        return Response(orjson.dumps(state), status_code=status, media_type=JSON)


def _seconds_since(at: float | None) -> float | None:
    return None if at is None else round(time.monotonic() - at, 1)


def _too_large() -> _No:
    return _No(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"a body has at most {MAX_BODY_BYTES} bytes, also when it is expanded, and at most 500,000 spans: send smaller batches",
    )


def _refusal(no: _No, encoding: str) -> Response:
    headers = {"connection": "close"}  # the rest of a body that nobody wants is not read
    if no.retry_after is not None:
        headers["retry-after"] = str(no.retry_after)
    if no.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(failure(encoding, str(no)), status_code=no.status, media_type=encoding, headers=headers)
