"""
HTTP to a server as a ledger needs it: every call has an end, no redirect is followed, and only ClickHouse is believed.

The client's own time-out is between two bytes: an answer of one byte a second would hold the shipper for hours. And its
time-out for a connection, 3 s, is all that Python gives to the sending of a whole body, too little for a large segment
over a slow line. Limits: a name that nobody resolves is the resolver's to give up on.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from otel_llmcost.errors import forget_frames
from otel_llmcost.ledger.calls import Call

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer
    from urllib3.response import BaseHTTPResponse

__all__ = ["connections"]

_PIECE_BYTES: Final = 1 << 16
_PIECE_SECONDS: Final = 10.0


class _Arriving(io.RawIOBase):
    """The bytes of an answer, each read with what is left of the call's time."""

    def __init__(self, connected: socket.socket, arriving: io.RawIOBase) -> None:
        self._socket, self._arriving = connected, arriving
        self._idle_seconds = connected.gettimeout()
        self._call = Call.current()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self._idle_seconds is None:
            return self._arriving.readinto(buffer)
        self._socket.settimeout(self._call.patience(self._idle_seconds))
        with suppress(TimeoutError):  # it only says "timed out"
            return self._arriving.readinto(buffer)
        self._call.patience(self._idle_seconds)  # raises, if it was the call's time that ended
        raise TimeoutError(f"the server said nothing for {self._idle_seconds:g} s")

    def close(self) -> None:
        self._arriving.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that comes in time or not at all."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Arriving(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    """Sends in pieces: each has its time, all together have that of the call."""

    response_class = _Answer

    def send(self, data: Any) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            patience = Call.current().patience(_PIECE_SECONDS)
            if self.sock is not None:
                self.sock.settimeout(patience)
            super().send(view[start : start + _PIECE_BYTES])


class _SecureConnection(_Connection, HTTPSConnection):
    """The same in TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class NotClickHouse(HTTPError):
    """Something else answered: a proxy, a captive portal, another query."""


class _Connections(PoolManager):
    """Takes a redirect as an error: rows must not follow one to another host. Believes no answer but ClickHouse's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> BaseHTTPResponse:  # type: ignore[override]
        options["retries"] = 0  # whoever calls tries again, and says so once: urllib3 would warn each time
        try:
            answer = super().urlopen(method, url, redirect=False, **options)
        except (HTTPError, OSError) as error:  # the client may try again, and this one is seen by nobody
            forget_frames(error)
            raise
        Call.current().retry_after_seconds = _seconds(answer.headers.get("Retry-After"))
        if 200 <= answer.status < 300 and not _is_from_clickhouse(answer, url):
            answer.close()
            parts = urlsplit(url)
            raise NotClickHouse(f"the answer was not ClickHouse's: does {parts.scheme}://{parts.netloc} lead to it?")
        return answer


def _is_from_clickhouse(answer: BaseHTTPResponse, url: str) -> bool:
    """Tell whether an answer names the query that was asked, or is ClickHouse's error. Its 200 alone says nothing."""
    asked = parse_qs(urlsplit(url).query).get("query_id")
    said = answer.headers
    return "X-ClickHouse-Exception-Code" in said or [said.get("X-ClickHouse-Query-Id")] == asked


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else float(Retry().parse_retry_after(retry_after))
    except InvalidHeader:
        return None


class _ProxiedConnections(_Connections, ProxyManager):
    """The same through a proxy, which sees where they lead and no more: a DSN with a proxy is `https://`."""


def connections(options: Mapping[str, str]) -> PoolManager:
    """Make the connections of a ledger with a DSN's options. Proxies of the environment play no part."""
    from clickhouse_connect.driver.httputil import get_pool_manager_options

    chosen = get_pool_manager_options(ca_cert=options.get("ca_cert"))
    if "proxy" in options:
        return _ProxiedConnections(proxy_url=options["proxy"], **chosen)
    return _Connections(**chosen)
