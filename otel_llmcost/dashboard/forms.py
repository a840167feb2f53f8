"""Forms that a browser posts: `application/x-www-form-urlencoded`, of bounded size. Files are read by the browser's script."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from otel_llmcost.dashboard.access import Denied

__all__ = ["read_form"]

_ENCODING = "application/x-www-form-urlencoded"
_FIELDS = 16


async def read_form(request: Request, *, most_bytes: int) -> dict[str, str]:
    """
    Read the fields of a form that this site has sent.

    Raises `Denied`: another site's form (403), another encoding (415), more than `most_bytes` (413), or not whole (400).
    """
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
    if site not in ("", "same-origin", "none") or (origin and urlsplit(origin).netloc != request.headers.get("host")):
        raise Denied(HTTPStatus.FORBIDDEN, "This form was sent by another site.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _ENCODING:
        raise Denied(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {_ENCODING}.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise Denied(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"That is more than {most_bytes >> 10:,} KiB: use `otel-llmcost audit` for larger files.",
                )
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS))
    except (ClientDisconnect, ValueError):
        raise Denied(HTTPStatus.BAD_REQUEST, "The form is not whole.") from None
