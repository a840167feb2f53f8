"""Pages over a small month of charges, hostile names among them: the pages in this process, the engine in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.access import Access
from otel_llmcost.dashboard.app import application
from otel_llmcost.dashboard.page import House
from otel_llmcost.journal import Backlog
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Owner
from otel_llmcost.pricing import Pricer
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, RATE, START_NS, a_request, adjust, adjusted, segment, store
from tests.reports.conftest import charges

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    '=HYPERLINK("http://evil.example","click")',
    "a&team=growth#x",
    "\N{RIGHT-TO-LEFT OVERRIDE}txet desrever",
    "{{ 7 * 7 }}",
    "n" * 1000,
)
START = datetime.fromtimestamp(START_NS // 10**9, UTC)
"""When the newest of `charges` began; the month before it holds all of them."""
PERIOD = f"since={(START - timedelta(days=25)).date()}&until={(START + timedelta(days=1)).date()}"


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(scope="session")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """The month, one charge that was corrected, and customers and features whose names are attacks."""
    all_ = charges()
    hostile = [
        a_request(1000 + number, price=MINI, owner=Owner(team="growth", feature=name, customer_id=name))
        for number, name in enumerate(HOSTILE)
    ]
    with connect(server.dsn("dashboard")) as opened:
        migrations.apply(opened)
        store(opened, [*all_, *hostile])
        adjust(opened, [adjusted(all_[0], -1, of=all_[0]), adjusted(a_request(99, price=MINI), 1, of=all_[0])])
        opened.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
        yield opened


@pytest.fixture(scope="session")
def empty_ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """Tables, and no row."""
    with connect(server.dsn("empty")) as opened:
        migrations.apply(opened)
        yield opened


@pytest.fixture
def house(ledger: Ledger) -> House:
    """What the pages of one server share."""
    return House(
        ledger=ledger,
        settings=Settings(),
        place="chdb:///var/lib/ledger",
        backlog=lambda: Backlog(segments=0, bytes=0, oldest_seconds=0.0, quarantined=0),
        pricer=Pricer.default,
    )


@pytest.fixture
def open_browser() -> Callable[..., TestClient]:
    """Open the pages of a house; who may look is everybody on this machine, unless said otherwise."""

    def open_it(house: House, access: Access | None = None) -> TestClient:
        return TestClient(
            application(house, access or Access()), base_url="http://127.0.0.1:8321", raise_server_exceptions=True
        )

    return open_it


@pytest.fixture
def browser(house: House, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at the pages of the month."""
    return open_browser(house)


@pytest.fixture
def empty_browser(house: House, empty_ledger: Ledger, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at a ledger that has tables and nothing else."""
    return open_browser(replace(house, ledger=empty_ledger))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a token that nobody else can read."""
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length\n")
    file.chmod(0o600)
    return file
