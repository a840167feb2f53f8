"""The audit of what somebody pastes: the command's answer, nothing stored, and nothing that it holds runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.pages.audit import EXAMPLE
from otel_llmcost.ledger import Answers, Ledger
from tests.dashboard.conftest import HOSTILE
from tests.ledger.samples import ask

FROM_HERE = {"origin": "http://127.0.0.1:8321", "sec-fetch-site": "same-origin"}


def words_of(page: str) -> str:
    """Give what a page says."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_example(browser: TestClient) -> None:
    """
    The example that a link shows is priced count by count when it is sent.
    """
    shown = browser.get("/audit?example=1").text
    page = words_of(browser.post("/audit", data={"text": EXAMPLE}, headers=FROM_HERE).text)

    assert "chatcmpl-example" in shown
    assert "$0.01155 for 1 request: 1 priced" in page
    assert "input tokens 8,000 × $0.75 / 1M $0.006 cached input tokens 2,000 × $0.075 / 1M $0.00015" in page
    assert "output tokens 1,200 × $4.50 / 1M $0.0054 Total $0.01155" in page


def test_each_request_once(browser: TestClient) -> None:
    """
    A response that is pasted twice is charged once, and what could not be read is told with its line.
    """
    line = json.dumps(json.loads(EXAMPLE))
    page = words_of(browser.post("/audit", data={"text": f"{line}\n{line}\n{{broken\n"}, headers=FROM_HERE).text)

    assert "$0.01155 for 1 request" in page
    assert "Not charged again" in page
    assert "3 not JSON" in page
    assert "standard error" not in page


def test_what_a_response_leaves_out(browser: TestClient) -> None:
    """
    Provider and model of responses that do not name them are taken from the form, and asked for by its own words.
    """
    body = json.dumps({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 10}})
    asked = words_of(browser.post("/audit", data={"text": body}, headers=FROM_HERE).text)
    told = {"text": body, "provider": "openai", "model": "gpt-5.4-mini"}

    assert "the field Model names it" in asked
    assert "1 priced" in words_of(browser.post("/audit", data=told, headers=FROM_HERE).text)


def test_nothing_is_stored(browser: TestClient, ledger: Ledger) -> None:
    """
    An audit leaves the ledger as it was, and no link leads back to what was pasted.
    """
    rows = ask(ledger, "SELECT count() FROM llm_charges")
    page = browser.post("/audit", data={"text": EXAMPLE}, headers=FROM_HERE)

    assert ask(ledger, "SELECT count() FROM llm_charges") == rows
    assert page.headers["cache-control"] == "no-store"
    assert "chatcmpl-example" not in browser.get("/audit").text
    assert "csv=" not in page.text


def test_it_asks_no_ledger(house: House, open_browser: Callable[..., TestClient]) -> None:
    """
    It works while the ledger does not, and for a team that is served alone.
    """

    class Dead(Answers):
        def query(self, name: str, parameters: object = None) -> list[dict[str, object]]:
            raise AssertionError(name)

    browser = open_browser(replace(house, ledger=Dead(), fixed={"team": "growth"}))

    assert "$0.01155" in browser.post("/audit", data={"text": EXAMPLE}, headers=FROM_HERE).text


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 10_000])
def test_hostile_bodies(browser: TestClient, name: str) -> None:
    """
    Names in what is pasted are text, and short enough to leave the page readable.
    """
    body = {
        "id": name,
        "object": "chat.completion",
        "model": name,
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
    page = browser.post("/audit", data={"text": json.dumps(body, ensure_ascii=False)}, headers=FROM_HERE).text
    answer = page[page.index("<h2>Answer</h2>") :]

    assert "<script>alert" not in page
    assert "onerror=alert(2)>" not in page
    assert name[:3] != "{{ " or "{{ 7 * 7 }}" in answer
    assert len(answer) < 12_000 + 2 * len(name)


def test_another_sites_form(browser: TestClient) -> None:
    """
    A form that another site sends is refused.
    """
    assert browser.post("/audit", data={"text": EXAMPLE}, headers={"origin": "https://evil.example"}).status_code == 403


def test_too_much(browser: TestClient) -> None:
    """
    More than the page takes is refused, with the command that takes it.
    """
    answer = browser.post("/audit", data={"text": "x" * (9 << 20)}, headers=FROM_HERE)

    assert answer.status_code == 400
    assert "otel-llmcost audit FILE" in answer.text


def test_nothing_pasted(browser: TestClient) -> None:
    """
    An empty form is the form again.
    """
    page = browser.post("/audit", data={"text": " "}, headers=FROM_HERE)

    assert page.status_code == 200
    assert "<h2>Answer</h2>" not in page.text
