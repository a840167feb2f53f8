"""
The ASGI application: who may look, which page, and what the browser may do with it.

A page that cannot be made says why in the same frame. Limits: one question at a time for each page; a page never writes; so
that memory has a bound, four forms are read and worked on at a time, and others wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from otel_llmcost.dashboard.access import Access, Denied
from otel_llmcost.dashboard.forms import read_form
from otel_llmcost.dashboard.memory import Memory
from otel_llmcost.dashboard.page import Asked, Builder, House, Page
from otel_llmcost.dashboard.pages import PAGES, Place
from otel_llmcost.dashboard.rendering import STATIC, render, static_file
from otel_llmcost.dashboard.tables import to_csv
from otel_llmcost.dashboard.view import View
from otel_llmcost.errors import LedgerError, LLMCostError, ReportError
from otel_llmcost.ownership import OwnerHash

__all__ = ["application"]

SECURITY: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
_LOGIN_BYTES: Final = 16 << 10
_FORMS_AT_ONCE: Final = 4
_logger = logging.getLogger("otel_llmcost")


def application(house: House, access: Access) -> Starlette:
    """Make the application that shows the pages of a house to whom `access` lets in."""
    site = _Site(house, access)
    routes = [
        Route("/static/{name}", site.static, methods=["GET"]),
        Route("/favicon.ico", site.icon, methods=["GET"]),
        Route("/health", site.health, methods=["GET"]),
        Route("/login", site.login, methods=["GET", "POST"]),
        *(Route(place.path, site.endpoint(place), methods=list(place.methods)) for place in PAGES),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: site.no_page})
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    return app


class _Site:
    def __init__(self, house: House, access: Access) -> None:
        self._house = house
        self._access = access
        self._stored = OwnerHash.from_settings(house.settings)
        self._memory = Memory()
        self._forms = asyncio.Semaphore(_FORMS_AT_ONCE)

    def endpoint(self, place: Place):  # type: ignore[no-untyped-def]  # Starlette's own protocol
        """Make the endpoint of a page."""

        async def answer(request: Request) -> Response:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            if request.method == "POST":
                return await self._post(request, place)
            return await run_in_threadpool(self._page, request, place.build, {})

        return answer

    async def _post(self, request: Request, place: Place) -> Response:
        async with self._forms:
            try:
                sent = await read_form(request, most_bytes=place.form_bytes)
            except Denied as denied:
                return self._failure(request, denied.status, "Not accepted", str(denied))
            return await run_in_threadpool(self._page, request, place.build, sent)

    async def static(self, request: Request) -> Response:
        """Answer with a static file, which holds nothing of anybody's."""
        name = request.path_params["name"]
        if name not in STATIC:
            return Response(status_code=HTTPStatus.NOT_FOUND)
        return Response(static_file(name), media_type=STATIC[name], headers={**SECURITY, "cache-control": _FOREVER})

    async def icon(self, _request: Request) -> Response:
        """Answer browsers that ask for the icon without being told where it is."""
        return Response(static_file("icon.svg"), media_type=STATIC["icon.svg"], headers=dict(SECURITY))

    async def health(self, _request: Request) -> Response:
        """Say that the process answers; nothing of the ledger."""
        return Response("ok\n", media_type="text/plain", headers=dict(SECURITY))

    async def login(self, request: Request) -> Response:
        """Ask for the token, and let in whoever has it."""
        try:
            self._access.check_host(request.headers.get("host", ""))
        except Denied as denied:
            return self._failure(request, denied.status, "Not here", str(denied))
        if request.method == "GET":
            return self._login_form("")
        try:
            form = await read_form(request, most_bytes=_LOGIN_BYTES)
        except Denied as denied:
            return self._failure(request, denied.status, "Not accepted", str(denied))
        cookie = self._access.login(form.get("token", ""))
        if cookie is None:
            return self._login_form("That is not the token.", HTTPStatus.FORBIDDEN)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        answer.headers.update({**SECURITY, "set-cookie": cookie, "cache-control": "no-store"})
        return answer

    async def no_page(self, request: Request, error: Exception) -> Response:
        """Say that there is no such page, or none that is asked for in this way."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"A page is asked for with GET, and not with {request.method[:20]}."
            answer = self._failure(request, HTTPStatus.METHOD_NOT_ALLOWED, "Not asked for so", message)
            answer.headers.update(error.headers or {})
            return answer
        return self._failure(request, HTTPStatus.NOT_FOUND, "No such page", "There is no page at this address.")

    def _refusal(self, request: Request) -> Response | None:
        try:
            self._access.check_host(request.headers.get("host", ""))
        except Denied as denied:
            return self._failure(request, denied.status, "Not here", str(denied))
        if self._access.admits(request.headers.items()):
            return None
        if self._access.tokens is None:
            message = "The proxy in front of this server did not say who asks."
            return self._failure(request, HTTPStatus.FORBIDDEN, "Not let in", message)
        return self._login_form("", HTTPStatus.UNAUTHORIZED)

    def _login_form(self, message: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        return _html(render("login.html", {"title": "Sign in", "message": message}), status)

    def _page(self, request: Request, build: Builder, sent: Mapping[str, str]) -> Response:
        began = time.perf_counter()
        try:
            parts = {**request.path_params, **sent}
            asked = Asked(house=self._house, view=self._view(request), now=datetime.now(UTC), parts=parts)
            page = build(asked) if sent else self._memory.page(_key(asked), lambda: build(asked))
            if (name := asked.view.words.get("csv")) is not None:
                return _csv(page, name)
            return _html(_framed(page, asked, began))
        except ReportError as error:
            return self._failure(request, HTTPStatus.BAD_REQUEST, "That cannot be shown", str(error))
        except LedgerError as error:
            return self._failure(request, HTTPStatus.SERVICE_UNAVAILABLE, "The ledger does not answer", str(error))
        except LLMCostError as error:
            return self._failure(request, HTTPStatus.INTERNAL_SERVER_ERROR, "That did not work", str(error))
        except Exception:  # fence: one page's defect must not take the server's other pages, and its log has the stack
            _logger.exception("otel-llmcost: the page %s failed", _path(request))
            return self._failure(
                request,
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "This page failed",
                "That is a defect of ours; the log of the server has the stack. The other pages work.",
            )

    def _view(self, request: Request) -> View:
        pairs = request.query_params.multi_items()
        return View.read(_path(request), pairs, fixed=self._house.fixed, stored=self._stored)

    def _failure(self, request: Request, status: HTTPStatus, title: str, message: str) -> Response:
        here = f"/{_path(request).lstrip('/')}"  # never //elsewhere, which a browser takes for a host
        context = {"title": title, "message": message, "path": quote(here), "house": self._house}
        return _html(render("failure.html", context), status)


def _path(request: Request) -> str:
    """Give the path as it was routed: not a part of the URL, in which an id with `?` or a forged host would end it early."""
    return str(request.scope["path"])


def _framed(page: Page, asked: Asked, began: float) -> str:
    frame = {
        "title": page.title,
        "page": page,
        "tables": {table.name: table for table in page.tables},
        "view": asked.view,
        "house": asked.house,
        "now": asked.now,
        "places": [place for place in PAGES if place.title and not (asked.house.fixed and place.needs_all)],
        "milliseconds": lambda: round(1000 * (time.perf_counter() - began)),
    }
    return render(page.template, {**frame, **page.context})


def _key(asked: Asked) -> Hashable:
    """Name what a page is made of; a CSV is made of the same."""
    view = asked.view
    words = tuple(sorted((name, value) for name, value in view.words.items() if name != "csv"))
    return view.path, view.period, tuple(sorted(view.where.items())), words


def _html(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(text, status, {**SECURITY, "cache-control": "no-store"}, "text/html")


def _csv(page: Page, name: str) -> Response:
    table = next((table for table in page.tables if table.name == name), None)
    if table is None:
        raise ReportError(f"this page has no table {name[:40]!r}")
    headers = {"content-disposition": f'attachment; filename="llmcost-{table.name}.csv"', "cache-control": "no-store"}
    return Response(to_csv(table).encode(), headers={**SECURITY, **headers}, media_type="text/csv; charset=utf-8")
