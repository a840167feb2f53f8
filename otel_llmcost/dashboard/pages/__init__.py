"""The pages, in the order of the navigation: one module each, a function from what is asked to a `Page`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import otel_llmcost.dashboard.pages.audit as audit
import otel_llmcost.dashboard.pages.cache as cache
import otel_llmcost.dashboard.pages.customers as customers
import otel_llmcost.dashboard.pages.explore as explore
import otel_llmcost.dashboard.pages.margin as margin
import otel_llmcost.dashboard.pages.overview as overview
import otel_llmcost.dashboard.pages.quality as quality
import otel_llmcost.dashboard.pages.rates as rates
import otel_llmcost.dashboard.pages.request as request
import otel_llmcost.dashboard.pages.requests as requests
import otel_llmcost.dashboard.pages.waste as waste
from otel_llmcost.dashboard.page import Builder

__all__ = ["PAGES", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is. `title`: its name in the navigation; "" for one that others lead to."""

    path: str
    build: Builder
    title: str = ""
    needs_all: bool = False
    """It shows what belongs to no team: not there where one team alone is served."""
    methods: tuple[str, ...] = ("GET",)
    form_bytes: int = 0
    """The most that its form may hold, where it has one."""


PAGES: Final = (
    Place(path="/", build=overview.build, title="Overview"),
    Place(path="/explore", build=explore.build, title="Explore"),
    Place(path="/requests", build=requests.build, title="Requests"),
    Place(path="/requests/{id:path}", build=request.build),
    Place(path="/customers", build=customers.build, title="Customers"),
    Place(path="/margin", build=margin.build, title="Margin"),
    Place(path="/waste", build=waste.build, title="Retries & waste"),
    Place(path="/cache", build=cache.build, title="Cache"),
    Place(path="/rates", build=rates.build, title="Rates"),
    Place(path="/quality", build=quality.build, title="Data quality", needs_all=True),
    Place(path="/audit", build=audit.build, title="Audit", methods=("GET", "POST"), form_bytes=audit.FORM_BYTES),
)
