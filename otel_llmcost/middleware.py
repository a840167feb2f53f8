"""
The owner of everything that an incoming request causes, for any ASGI or WSGI application.

    app = ASGIOwnerMiddleware(app, resolver=lambda scope: {"customer_id": scope["state"]["tenant"]})

The resolver sees the request after the middlewares outside ours, authentication for instance, and names the owner from
what the application knows to be true. Owners that arrive in baggage count only with `OTEL_LLMCOST_TRUST_INBOUND`; others
are dropped and counted (`owner.inbound_ignored`). Where a server instrumentation has read the headers already, its
baggage, which the guard has judged, is taken as it is; where there is none, ours reads the baggage.

No failure of a resolver reaches the request: it is counted (`fence.resolver`), logged once, and nobody owns the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, Final, TypeAlias

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import get_current_span

from otel_llmcost.fence import fenced
from otel_llmcost.ownership import Attribution, attributed
from otel_llmcost.propagation import OwnerGuard
from otel_llmcost.settings import Settings

__all__ = ["ASGIOwnerMiddleware", "WSGIOwnerMiddleware"]

Owner: TypeAlias = Attribution | Mapping[str, str | int | None] | None
Scope: TypeAlias = MutableMapping[str, Any]
Environ: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_NOBODY: Final[AbstractContextManager[None]] = nullcontext()


class ASGIOwnerMiddleware:
    """
    Around an ASGI application: HTTP and websocket requests run inside their owner.

    Args:
        app: the application.
        resolver: gives the owner of a request from its ASGI scope: owner fields by name, an `attributed(...)`, or None.
        settings: whom to trust; default: the environment's.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        resolver: Callable[[Scope], Owner] | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        self._app = app
        self._resolver = resolver
        self._baggage = OwnerGuard(W3CBaggagePropagator(), settings or Settings.from_env())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request, inside its owner."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        outer = get_current()
        try:
            attach(_arrived(self._baggage, _header_of(scope)))
            with _owner(self._resolver, scope):
                await self._app(scope, receive, send)
        finally:
            attach(outer)


class WSGIOwnerMiddleware:
    """
    Around a WSGI application: requests run inside their owner.

    Args:
        app: the application.
        resolver: gives the owner of a request from its WSGI environ: owner fields by name, an `attributed(...)`, or None.
        settings: whom to trust; default: the environment's.

    The application and its answer's iterator run in a copy of the context variables, so that an answer that is made
    while it is sent has its owner too, in whichever thread the server sends it.
    """

    def __init__(
        self,
        app: Callable[[Environ, Any], Iterable[bytes]],
        resolver: Callable[[Environ], Owner] | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        self._app = app
        self._resolver = resolver
        self._baggage = OwnerGuard(W3CBaggagePropagator(), settings or Settings.from_env())

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Run the application for one request, inside its owner."""
        variables = copy_context()
        body = variables.run(self._start, environ, start_response)
        if isinstance(body, (list, tuple)) or _is_file(body, environ):
            return body  # it is made already, and servers have a faster way for it
        return _Body(body, variables)

    def _start(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        attach(_arrived(self._baggage, environ.get("HTTP_BAGGAGE")))
        _owner(self._resolver, environ).__enter__()  # never left: these variables are this request's alone
        return self._app(environ, start_response)


class _Body:
    """An answer, each part of which is made in `variables`."""

    def __init__(self, parts: Iterable[bytes], variables: Variables) -> None:
        self._parts = parts
        self._variables = variables
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._variables.run(iter, self._parts)
        return self._variables.run(next, self._iterator)

    def close(self) -> None:
        if (close := getattr(self._parts, "close", None)) is not None:
            self._variables.run(close)


def _arrived(baggage: OwnerGuard, header: object) -> Context:
    """Give the context with what arrived in the header, where no server instrumentation has read it before us."""
    current = get_current()
    if not isinstance(header, str) or get_current_span(current).get_span_context().is_valid:
        return current
    return baggage.extract({"baggage": header}, current)


def _header_of(scope: Scope) -> str | None:
    values = [value for name, value in scope.get("headers") or () if bytes(name).lower() == b"baggage"]
    return b",".join(values).decode("latin-1") if values else None


@fenced("resolver", otherwise=_NOBODY)
def _owner(resolver: Callable[[Any], Owner] | None, request: Any) -> AbstractContextManager[None]:
    owner = resolver(request) if resolver else None
    if owner is None:
        return _NOBODY
    return owner if isinstance(owner, Attribution) else attributed(**owner)  # type: ignore[arg-type]


def _is_file(body: object, environ: Environ) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)
