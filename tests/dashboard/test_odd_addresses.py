"""Addresses and headers that nobody writes by hand get a sentence, never a page that failed."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.testclient import TestClient

from otel_llmcost.dashboard.view import FILTERS


def test_a_filter_by_everything_is_refused_in_words(browser: TestClient) -> None:
    """More filters than work together are counted, also where no dimension is left to break a total down by."""
    answer = browser.get(f"/?{urlencode(dict.fromkeys(FILTERS, 'a'))}")
    assert answer.status_code == 400
    assert "work together" in answer.text


def test_an_origin_that_is_no_address_is_another_site(browser: TestClient) -> None:
    """What cannot be read is not this server."""
    answer = browser.post("/audit", data={"text": "{}"}, headers={"origin": "http://["})
    assert answer.status_code == 403
