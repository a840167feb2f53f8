"""Templates to HTML. Every value is escaped by the template engine; no template marks anything safe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from otel_llmcost.dashboard import wording
from otel_llmcost.dashboard.view import PERIODS
from otel_llmcost.reports.money import exact_usd, usd

__all__ = ["STATIC", "render", "static_version"]

STATIC: Final[Mapping[str, str]] = {
    "style.css": "text/css",
    "quick.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Everything that a browser loads beside a page -> its media type."""


def render(template: str, context: Mapping[str, object]) -> str:
    """Fill a template."""
    return _environment().get_template(template).render(context)


@cache
def static_file(name: str) -> bytes:
    """Read one of `STATIC`."""
    return files("otel_llmcost.dashboard").joinpath("static", name).read_bytes()


@cache
def static_version() -> str:
    """Name the state of the static files, so that a browser may keep them for ever."""
    return sha256(b"".join(static_file(name) for name in STATIC)).hexdigest()[:12]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("otel_llmcost.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "usd": usd,
        "exact_usd": _exact,
        "count": wording.count,
        "price": wording.price,
        "percent": wording.percent,
        "instant": _instant,
    }
    environment.globals |= {"static_version": static_version(), "periods": PERIODS}
    return environment


def _exact(amount: Decimal) -> str:
    text = exact_usd(amount)
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
