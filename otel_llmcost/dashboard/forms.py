"""Forms that a browser posts: `application/x-www-form-urlencoded`, of bounded size. Files are read by the browser's script."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from otel_llmcost.dashboard.access import Denied

__all__ = ["read_form"]

_ENCODING = "application/x-www-form-urlencoded"
_FIELDS = 16
_SECONDS = 30.0


async def read_form(request: Request, *, most_bytes: int) -> dict[str, str]:
    """
    Read the fields of a form that this site has sent.

    Raises `Denied`: another site's form (403), another encoding (415), more than `most_bytes` (413), not sent within
    half a minute (408), or not whole (400).
    """
    if not _is_ours(request):
        raise Denied(HTTPStatus.FORBIDDEN, "This form was sent by another site.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _ENCODING:
        raise Denied(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {_ENCODING}.")
    try:
        async with asyncio.timeout(_SECONDS):
            body = await _body(request, most_bytes)
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS))
    except TimeoutError:
        raise Denied(HTTPStatus.REQUEST_TIMEOUT, f"The form did not arrive within {_SECONDS:.0f} seconds.") from None
    except (ClientDisconnect, ValueError):
        raise Denied(HTTPStatus.BAD_REQUEST, "The form is not whole.") from None


def _is_ours(request: Request) -> bool:
    """Ask the browser whose form it is; an old one says its origin only, which a proxy that changes the host makes foreign."""
    if site := request.headers.get("sec-fetch-site", ""):
        return site in ("same-origin", "none")
    origin = request.headers.get("origin", "")
    try:
        return not origin or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:
        return False


async def _body(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise Denied(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"That is more than {most_bytes >> 10:,} KiB: use `otel-llmcost audit` for larger files.",
            )
    return bytes(body)
