"""What every page owes whoever opens it: it loads clean, says true figures, leads to the rows, and harms nobody."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from otel_llmcost.dashboard.pages import PAGES
from tests.browser.conftest import HOSTILE, WIDTHS, Served, Theme, command, serving

PATHS = [place.path for place in PAGES if "{" not in place.path]
MOST_PIXELS = 1400
"""Of a page's height on its picture: below that there are more rows."""
Open = Callable[..., Any]


def _name(path: str) -> str:
    return path.strip("/") or "overview"


@pytest.mark.parametrize("path", PATHS)
def test_every_page_loads_without_a_word_on_the_console(served: Served, open_page: Open, path: str) -> None:
    """Every page loads with 0 console errors and 0 violations of its policy; `open_page` looks at the console."""
    page = open_page()
    answer = page.goto(served.link(path))
    assert answer.status == 200
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(served: Served, open_page: Open, path: str, theme: Theme) -> None:
    """People who cannot see the page, or who see it dark, can use it: axe reports 0 violations."""
    page = open_page(theme=theme)
    page.goto(served.link(path))
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_screen(served: Served, open_page: Open, images: Path, path: str, width: int) -> None:
    """A desk's and a phone's screen hold every page without scrolling sideways; the screenshots are for the documents."""
    page = open_page(width=width)
    page.goto(served.link(path))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelector('footer').remove()")  # it names the folder of this run's ledger
    height = min(page.evaluate("document.documentElement.scrollHeight"), MOST_PIXELS)
    clip = {"x": 0, "y": 0, "width": width, "height": height}
    page.screenshot(path=images / f"{_name(path)}-{width}.png", full_page=True, clip=clip)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_readmes_picture_shows_the_whole_story(served: Served, open_page: Open, images: Path, theme: Theme) -> None:
    """The first screen of the overview has the total, the chart with its marks, and what changed."""
    page = open_page(width=1280, theme=theme)
    page.goto(served.link("/"))
    for part in (".tile .figure", "svg.bars.wide .bar", ".changes li"):
        assert page.locator(part).first.is_visible()
    page.screenshot(path=images / f"overview-{theme}.png")


def test_the_total_is_that_of_the_report_and_of_the_raw_rows(served: Served, open_page: Open) -> None:
    """What the page says is what `report --format json` says, by team and in total, to the digit of the CSV."""
    page = open_page()
    page.goto(served.link("/?since=90d&by=team"))
    told = json.loads(command("report", "--by", "team", "--since", "90d", "--format", "json", dsn=served.dsn))
    with page.expect_download() as download:
        page.locator("#by .csv").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    expected = {row["team"]: Decimal(row["cost_usd"]) for row in told["rows"]}
    assert {row["team"].removeprefix("'"): Decimal(row["cost_usd"] or 0) for row in rows} == expected
    total = page.locator("#by tfoot td").nth(1).inner_text()
    assert total.removeprefix("≥").strip() == f"${Decimal(told['total']['cost_usd']):,.2f}"
    assert page.locator(".tile .figure").first.inner_text() == total
    by_request = command("report", "--by", "service", "--since", "90d", "--format", "json", dsn=served.dsn)
    assert json.loads(by_request)["total"]["cost_usd"] == told["total"]["cost_usd"]  # no rollup has services: raw rows


def test_from_the_total_to_a_request_in_clicks_and_back(served: Served, open_page: Open) -> None:
    """Team, feature, customer, model, requests, one request: each is a link, and back leads where one was."""
    page = open_page()
    page.goto(served.link("/?since=90d"))
    visited = []
    for _ in range(3):
        visited.append(page.url)
        page.locator("#by tbody td.name a").first.click()
        page.wait_for_load_state()
    assert {"team", "feature", "customer"} <= {pair.partition("=")[0] for pair in page.url.partition("?")[2].split("&")}
    for url in reversed(visited):
        page.go_back()
        assert page.url == url


def test_everything_works_without_script(served: Served, open_page: Open) -> None:
    """Links, forms and figures need no JavaScript."""
    page = open_page(script=False)
    page.goto(served.link("/"))
    page.locator("#by tbody td.name a").first.click()
    assert "team=" in page.url
    page.locator(".chip").first.click()
    assert "team=" not in page.url


@pytest.mark.parametrize(
    "path", ["/?by=customer&since=7d", "/?by=feature&team=hostile&since=7d", "/?team=hostile&by=customer"]
)
def test_hostile_names_are_words(served: Served, open_page: Open, path: str) -> None:
    """A name that is a script, a formula, a page's end or 10 kB is shown as itself, and breaks nothing."""
    page = open_page(width=390)
    page.goto(served.link(path))
    assert page.title().endswith("LLM cost")
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_formula_is_text_in_the_csv(served: Served, open_page: Open) -> None:
    """No cell of a download begins as a spreadsheet's formula does."""
    page = open_page()
    page.goto(served.link("/?team=hostile&by=customer&since=7d"))
    with page.expect_download() as download:
        page.locator("#by .csv").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))
    assert f"'{HOSTILE[2]}" in {row[0] for row in rows}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))]


def test_what_a_browser_loads_is_small(served: Served, open_page: Open) -> None:
    """The heaviest page, with everything that it needs, is at most 150 KB as it is sent."""
    page = open_page()
    sizes: dict[str, int] = {}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    for path in PATHS:
        sizes.clear()
        page.goto(served.link(path))
        page.wait_for_load_state("networkidle")
        assert sum(sizes.values()) <= 150_000, path


def test_a_page_prints(served: Served, open_page: Open) -> None:
    """On paper the navigation is gone and the figures are there."""
    page = open_page()
    page.goto(served.link("/"))
    page.emulate_media(media="print")
    assert not page.locator(".top nav").is_visible()
    assert page.locator(".tile .figure").first.is_visible()


def test_the_keyboard_reaches_the_chart_and_the_table(served: Served, open_page: Open) -> None:
    """The first key press offers to skip the navigation; bars are links with names."""
    page = open_page()
    page.goto(served.link("/"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert "$" in page.locator("svg.bars.wide a.bar").first.get_attribute("aria-label")


def test_an_empty_ledger_says_how_to_send_the_first_request(tmp_path: Path, open_page: Open) -> None:
    """Every page of a new ledger makes sense."""
    with serving(f"chdb://{tmp_path / 'new'}") as empty:
        page = open_page()
        for path in PATHS:
            assert page.goto(empty.link(path)).status == 200
        page.goto(empty.link("/"))
        assert "LLMCostSpanProcessor" in page.locator("pre").inner_text()
