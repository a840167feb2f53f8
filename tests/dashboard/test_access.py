"""Who may look at the dashboard, and what a browser may do with what it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.access import Access
from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.pages import PAGES
from otel_llmcost.errors import LedgerUnavailable, SettingsError
from otel_llmcost.http.tokens import Tokens

Open = Callable[..., TestClient]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8321",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil.example",
        "localhost:80/waste#",
        "[::1]evil.example",
        "localhost/waste?",
    ],
)
def test_a_foreign_name_that_leads_to_this_machine_sees_nothing(browser: TestClient, host: str) -> None:
    """A foreign name that leads to this machine sees nothing."""
    for place in PAGES:
        answer = browser.get(place.path, headers={"host": host})
        assert answer.status_code == 421
        assert "growth" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:1", "[::1]:8321", "10.0.0.7", "LOCALHOST"])
def test_addresses_and_localhost_are_this_server(browser: TestClient, host: str) -> None:
    """Addresses and localhost are this server."""
    assert browser.get("/", headers={"host": host}).status_code == 200


def test_a_name_that_the_server_was_given_is_this_server(house: House, open_browser: Open) -> None:
    """A name that the server was given is this server."""
    browser = open_browser(house, Access(hosts=frozenset({"cost.internal"})))
    assert browser.get("/", headers={"host": "Cost.internal:8321"}).status_code == 200


def test_beyond_this_machine_a_token_or_a_proxy_is_needed(token_file: Path) -> None:
    """Beyond this machine a token or a proxy is needed."""
    with pytest.raises(SettingsError, match="--token-file"):
        Access().check_address("0.0.0.0:8321", is_loopback=False)
    Access(tokens=Tokens(token_file)).check_address("0.0.0.0:8321", is_loopback=False)
    Access(proxy_header="x-user").check_address("0.0.0.0:8321", is_loopback=False)


def test_without_the_token_every_page_asks_for_it_and_shows_no_figure(
    house: House, open_browser: Open, token_file: Path
) -> None:
    """Without the token every page asks for it and shows no figure."""
    browser = open_browser(house, Access(tokens=Tokens(token_file)))
    for path in [*(place.path for place in PAGES), "/nothing-here", "/?csv=by"]:
        answer = browser.get(path)
        assert answer.status_code == 401
        assert "growth" not in answer.text
        assert "Token" in answer.text


def test_the_token_signs_in_by_a_cookie_that_does_not_hold_it(
    house: House, open_browser: Open, token_file: Path
) -> None:
    """The token signs in by a cookie that does not hold it."""
    browser = open_browser(house, Access(tokens=Tokens(token_file)))
    assert browser.post("/login", data={"token": "another-token-of-some-length"}).status_code == 403
    answer = browser.post("/login", data={"token": "a-token-of-some-length"}, follow_redirects=False)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "a-token" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert browser.get("/").status_code == 200


def test_cookies_of_other_servers_of_this_host_do_not_sign_anyone_out(
    house: House, open_browser: Open, token_file: Path
) -> None:
    """Cookies of other servers of this host, which browsers send to every port, do not sign anyone out."""
    browser = open_browser(house, Access(tokens=Tokens(token_file)))
    answer = browser.post("/login", data={"token": "a-token-of-some-length"}, follow_redirects=False)
    ours = answer.headers["set-cookie"].partition(";")[0]
    browser.cookies.clear()
    assert browser.get("/", headers={"cookie": f'their[x]={{"a": 1}}; {ours}; b'}).status_code == 200


def test_a_bearer_token_lets_programs_in(house: House, open_browser: Open, token_file: Path) -> None:
    """A bearer token lets programs in."""
    browser = open_browser(house, Access(tokens=Tokens(token_file)))
    assert browser.get("/", headers={"authorization": "Bearer a-token-of-some-length"}).status_code == 200
    assert browser.get("/", headers={"authorization": "Bearer a-token-of-another-length"}).status_code == 401


@pytest.mark.parametrize(
    "cookie",
    ["llmcost=", "llmcost=é", 'other={"a":1}; llmcost=no', "llmcost=a-token-of-some-length", ";;;=", "llmcost=\x01"],
)
def test_a_wrong_or_broken_cookie_asks_for_the_token(
    house: House, open_browser: Open, token_file: Path, cookie: str
) -> None:
    """A wrong or broken cookie asks for the token."""
    browser = open_browser(house, Access(tokens=Tokens(token_file)))
    assert browser.get("/", headers={b"cookie": cookie.encode("latin-1")}).status_code == 401


def test_a_trusted_proxy_says_who_asks(house: House, open_browser: Open) -> None:
    """A trusted proxy says who asks."""
    browser = open_browser(house, Access(proxy_header="X-Forwarded-User"))
    assert browser.get("/").status_code == 403
    assert browser.get("/", headers={"X-Forwarded-User": "ann"}).status_code == 200


def test_every_answer_forbids_scripts_frames_and_requests_that_are_not_ours(browser: TestClient) -> None:
    """Every answer forbids scripts frames and requests that are not ours."""
    for path in [
        *(place.path for place in PAGES if "{" not in place.path),
        "/nothing-here",
        "/login",
        "/static/quick.js",
        "PUT /",
    ]:
        method, _, address = path.rpartition(" ")
        policy = browser.request(method or "GET", address).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_another_sites_form_is_not_taken(browser: TestClient) -> None:
    """Another sites form is not taken."""
    for place in PAGES:
        if "POST" in place.methods:
            for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
                assert browser.post(place.path, data={"text": "{}"}, headers=headers).status_code == 403


def test_our_form_is_taken_behind_a_proxy_that_names_another_host(browser: TestClient) -> None:
    """Our form is taken behind a proxy that names another host: the browser says itself whose form it is."""
    headers = {"origin": "https://cost.example", "sec-fetch-site": "same-origin"}
    assert browser.post("/audit", data={"text": ""}, headers=headers).status_code == 200


def test_a_page_is_not_asked_for_by_another_method(browser: TestClient) -> None:
    """A page is not asked for by another method, and says by which."""
    answer = browser.put("/explore")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "with GET" in answer.text


def test_one_team_sees_its_own_requests_only(house: House, open_browser: Open) -> None:
    """One team sees its own requests only."""
    browser = open_browser(replace(house, fixed={"team": "search"}))
    answer = browser.get("/?since=2020-01-01&until=2030-01-01")
    assert answer.status_code == 200
    assert "search" in answer.text
    assert "growth" not in answer.text
    assert browser.get("/?team=growth").status_code == 400


class _Down:
    def query(self, name: str, parameters: object = None) -> list[dict[str, object]]:
        raise LedgerUnavailable("could not run the query: nobody answers at https://db:8443; start it")


def test_a_ledger_that_is_down_is_said_with_its_reason_on_every_page(house: House, open_browser: Open) -> None:
    """A ledger that is down is said with its reason on every page."""
    browser = open_browser(replace(house, ledger=_Down()))
    for place in PAGES:
        if "{" not in place.path and place.path != "/audit":
            answer = browser.get(place.path)
            assert answer.status_code == 503
            assert "nobody answers at https://db:8443; start it" in answer.text


@pytest.mark.parametrize(
    "words", ["since=yesterday", "month=2026-13", "by=nothing", "since=7d&since=8d", "csv=nothing"]
)
def test_an_address_that_means_nothing_is_said_in_words(browser: TestClient, words: str) -> None:
    """An address that means nothing is said in words."""
    answer = browser.get(f"/?{words}")
    assert answer.status_code == 400
    assert "That cannot be shown" in answer.text


def test_no_answer_leads_elsewhere(browser: TestClient) -> None:
    """An address that begins as a foreign host's is linked as a path of this server."""
    answer = browser.get("http://127.0.0.1:8321//evil.example/x?y=1")
    assert answer.status_code == 404
    assert 'href="/evil.example/x"' in answer.text
    assert 'href="//' not in answer.text
