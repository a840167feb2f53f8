"""What a reader finds on a page: its links, its words, the rows of its CSV."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

from starlette.testclient import TestClient

__all__ = ["links", "rows", "text"]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def links(page: str) -> set[str]:
    """Give where a page leads to on its own server."""
    return {link for link in _read(page).links if link.startswith("/")}


def text(page: str) -> str:
    """Give what a page says, in one line."""
    return " ".join(_read(page).words)


def rows(browser: TestClient, address: str, table: str) -> list[dict[str, str]]:
    """Download a table of a page."""
    answer = browser.get(f"{address}{'&' if '?' in address else '?'}csv={table}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))
