"""The pages, in the order of the navigation: one module each, a function from what is asked to a `Page`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

import otel_llmcost.dashboard.pages.overview as overview
from otel_llmcost.dashboard.page import Builder

__all__ = ["PAGES", "Place"]


async def _no_form(_request: Request) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is. `title`: its name in the navigation; "" for one that others lead to."""

    path: str
    build: Builder
    title: str = ""
    needs_all: bool = False
    """It shows what belongs to no team: not there where one team alone is served."""
    methods: tuple[str, ...] = ("GET",)
    read_form: Callable[[Request], Awaitable[Mapping[str, str]]] = _no_form


PAGES: Final = (Place(path="/", build=overview.build, title="Overview"),)
