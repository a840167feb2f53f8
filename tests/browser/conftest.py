"""
Real pages in a real Chromium: `otel-llmcost serve` over a demo's ledger, driven by Playwright.

Chromium is the system's own; nothing is downloaded. Where there is none these tests skip, unless LLMCOST_BROWSER is set.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

sync_api = pytest.importorskip("playwright.sync_api") if "LLMCOST_BROWSER" not in os.environ else None
if sync_api is None:
    import playwright.sync_api as sync_api  # type: ignore[no-redef]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRAWS = "LLMCOST_IMAGES" in os.environ
"""Whether this run draws the pictures of the documents, of a demo in full size."""
REQUESTS = 250_000 if DRAWS else 6_000
WIDTHS = (1440, 390)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    '=HYPERLINK("http://evil.example","click")',
    "a&team=growth#x",
    "\N{RIGHT-TO-LEFT OVERRIDE}txet desrever",
    "</title><script>document.title='gone'</script>",
    "n" * 10_240,
)
_RECORD = """
import json, os, sys
from otel_llmcost import ClickHouseSpanExporter, Usage, attributed, record_request

exporter = ClickHouseSpanExporter(os.environ["OTEL_LLMCOST_DSN"])
usage = Usage(input_tokens=1000, output_tokens=100)
for name in json.load(sys.stdin):
    with attributed(team="hostile", feature=name, customer_id=name, action=name):
        record_request(provider="openai", model="gpt-5.4-mini", usage=usage, exporter=exporter)
exporter.shutdown()
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A process that shows pages."""

    url: str
    dsn: str

    def link(self, path: str) -> str:
        """Give the URL of a page."""
        return f"{self.url}{path}"


def command(*words: str, dsn: str = "", stdin: str | None = None) -> str:
    """Run our command as a user does; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "otel_llmcost", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=_environment(dsn),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(dsn: str, *options: str) -> Iterator[Served]:
    """Run `otel-llmcost serve` with a dashboard on a free port for as long as the `with` lasts."""
    words = [sys.executable, "-m", "otel_llmcost", "serve", "--dsn", dsn, "--dashboard", "127.0.0.1:0", *options]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=_environment(dsn)) as process:
        assert process.stderr is not None
        told = ""
        while (found := re.search(r"shows (http://[^ /]+)/", told)) is None:
            line = process.stderr.readline()
            assert line, f"serve ended: {told}"
            told += line
        try:
            yield Served(found[1], dsn)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()


def _environment(dsn: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, **({"OTEL_LLMCOST_DSN": dsn} if dsn else {})}


@pytest.fixture(scope="session")
def demo_dsn(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger with a demo in it and, but for the documents' pictures, customers and features whose names are attacks."""
    import json

    folder = tmp_path_factory.mktemp("browser") / "ledger"
    command("demo", "--no-serve", "--folder", str(folder), "--requests", str(REQUESTS))
    dsn = f"chdb://{folder}"
    subprocess.run(
        [sys.executable, "-c", _RECORD],
        input=json.dumps([] if DRAWS else HOSTILE),
        text=True,
        check=True,
        timeout=120,
        env=_environment(dsn),
    )
    return dsn


@pytest.fixture(scope="session")
def served(demo_dsn: str) -> Iterator[Served]:
    """The demo's pages."""
    with serving(demo_dsn) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    if CHROMIUM is None:
        if "LLMCOST_BROWSER" in os.environ:
            pytest.fail("LLMCOST_BROWSER is set and there is no Chromium: apt-get install chromium")
        pytest.skip("no Chromium here: apt-get install chromium, then `make browser`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


Theme = Literal["light", "dark"]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """
    Open a page of the browser: `open_page(width=390, theme="dark", script=False)`.

    When the test ends, no page may have said anything on its console: that is where violations of the policy are told.
    """
    contexts: list[Any] = []
    said: list[str] = []

    def open_it(*, width: int = 1440, theme: Theme = "light", script: bool = True) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            java_script_enabled=script,
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(f"{page.url}: {message.type} {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: (said.append(f"{page.url}: dialog {dialog.message}"), dialog.dismiss()))
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="session")
def images(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: into the documents, or nowhere that stays, since each run draws other pixels."""
    if not DRAWS:
        return tmp_path_factory.mktemp("images")
    folder = pytestconfig.rootpath / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
