"""Every panel of every dashboard is asked of the real engine, as Grafana and its ClickHouse plugin would ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from grafana.build import DASHBOARDS, files
from grafana.panels import VARIABLES, unit_of
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Owner
from otel_llmcost.reports import spend
from tests.ledger.samples import MINI, RATE, a_request, adjust, adjusted, segment, store
from tests.reports.conftest import charges

HOSTILE = "a\\' OR 1=1 -- $__all ${team:raw} {x:String} %27\"`"
"""A backslash before the quote is what Grafana's `singlequote` and `sqlstring` let through: tried, it chose every row."""
FROM, TO = datetime(2026, 10, 25, 10, 30, tzinfo=UTC), datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC)
EMPTY_IS_RIGHT = {"Batches marked for repair", "Charges in the future", "Charges whose rate's content is missing"}
DOCUMENTS = {name: json.loads(content) for name, content in files().items()}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    if panel["type"] != "text"
]
MACROS = {
    r"\$__timeInterval\(([\w.]+)\)": r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)",
    r"\$__fromTime": f"toDateTime({int(FROM.timestamp())})",
    r"\$__toTime": f"toDateTime({int(TO.timestamp())})",
}
"""As in pkg/macros/macros.go of the plugin."""


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    """A month of charges, one corrected, one whose owner is hostile in every part."""
    made = charges()
    hostile = Owner(team=HOSTILE, feature=HOSTILE, customer_id=HOSTILE, environment=HOSTILE)
    with connect("chdb://memory") as opened:
        migrations.apply(opened)
        store(opened, [*made, a_request(98, owner=hostile, model=HOSTILE)])
        better = a_request(99, owner=Owner(team="growth", customer_id="acme"))
        adjust(opened, [adjusted(made[0], -1, of=made[0]), adjusted(better, 1, of=made[0])])
        opened.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
        yield opened


def expand(sql: str, values: Mapping[str, str]) -> str:
    """First what the plugin does in the browser, then Grafana's variables, then the plugin's macros in the server."""
    for name in VARIABLES:
        whole = rf"\$__conditionalAll\(([^$]*\$\{{{name}:percentencode\}}'\)), \${name}\)"
        sql = re.sub(whole, r"\1" if name in values else "1=1", sql)
    for name, value in values.items():
        sql = sql.replace(f"${{{name}:percentencode}}", quote(value, safe="-_.~"))
    for macro, expansion in MACROS.items():
        sql = re.sub(macro, expansion, sql)
    assert "$" not in sql
    return sql


def ask(ledger: Ledger, panel: Mapping[str, Any], **values: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Give the names of a panel's columns, and its rows."""
    sql = expand(panel["targets"][0]["rawSql"], values)
    rows = [tuple(row) for row in ledger._client.query(sql).result_rows]
    return tuple(str(row[0]) for row in ledger._client.query(f"DESCRIBE TABLE ({sql})").result_rows), rows


def cost(ledger: Ledger, dashboard: str, **values: str) -> float:
    """Give the cost that the first panel of a dashboard shows."""
    columns, rows = ask(ledger, DOCUMENTS[dashboard]["panels"][0], **values)
    return float(rows[0][columns.index("cost_usd")])


def test_the_files_are_what_the_generator_makes() -> None:
    """Who changes a query of the ledger runs `make grafana`."""
    assert {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")} == files()


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_is_answered_with_the_columns_that_it_names(ledger: Ledger, panel: dict[str, Any]) -> None:
    """With all variables on All."""
    columns, rows = ask(ledger, panel)
    named = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
    assert set(named) <= set(columns)
    assert rows or panel["title"] in EMPTY_IS_RIGHT
    assert not any(isinstance(value, Decimal) for row in rows for value in row)
    if panel["type"] == "timeseries":
        assert columns[0] == "time"
        assert all(isinstance(row[0], datetime) for row in rows)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_is_answered_for_chosen_and_for_hostile_values(ledger: Ledger, panel: dict[str, Any]) -> None:
    """No value of a variable can end the text that it stands in."""
    all_rows = ask(ledger, panel)[1]
    chosen = {"team": "growth", "feature": "feature-1", "customer": "acme", "environment": "production"}
    assert len(ask(ledger, panel, **chosen)[1]) <= len(all_rows)
    ask(ledger, panel, **dict.fromkeys(VARIABLES, HOSTILE))
    for name in VARIABLES:
        ask(ledger, panel, **{name: HOSTILE})


def test_a_hostile_name_selects_its_own_rows_alone(ledger: Ledger) -> None:
    """One charge has it, in every column."""
    for name in VARIABLES:
        assert cost(ledger, "owners.json", **{name: HOSTILE}) == float(MINI.cost_usd)


def test_the_sums_are_those_of_the_reports(ledger: Ledger) -> None:
    """The same query answers both."""
    days = {"since": date(2026, 10, 25), "until": date(2026, 11, 20)}
    assert cost(ledger, "overview.json") == float(spend(ledger, ["team"], **days).total.cost_usd)
    growth = spend(ledger, ["team"], where={"team": "growth", "customer": "acme"}, **days).total
    assert cost(ledger, "owners.json", team="growth", customer="acme") == float(growth.cost_usd)


def test_a_lower_bound_says_so(ledger: Ledger) -> None:
    """In the headline, and in each row that is one and in no other."""
    panels = {panel["title"]: panel for panel in DOCUMENTS["overview.json"]["panels"]}
    columns, rows = ask(ledger, panels["Period"])
    assert rows[0][columns.index("completeness")] == "lower bound"
    columns, rows = ask(ledger, panels["Teams"])
    marks = {row[columns.index("bound")] for row in rows}
    assert marks == {"", "≥"}
    for row in map(dict, (zip(columns, row, strict=True) for row in rows)):
        assert (row["bound"] == "≥") == (row["unpriced_requests"] + row["partial_requests"] > 0)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_dashboard_holds_together(ledger: Ledger, name: str) -> None:
    """Its panels do not overlap, money has its unit, and the lists of its variables are answered."""
    document = DOCUMENTS[name]
    cells: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        area = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in area) < 24
        assert not cells & area
        cells |= area
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            column, properties = override["matcher"]["options"], {each["id"]: each for each in override["properties"]}
            if column.endswith("_usd"):
                assert properties["unit"]["value"] == "currencyUSD" == unit_of(column)
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))
    declared = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+):percentencode\}", json.dumps([p.get("targets") for p in document["panels"]])))
    assert used <= declared
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            ledger._client.query(variable["query"])


def test_links_lead_to_dashboards_that_exist_and_set_variables_that_they_have() -> None:
    """A click on a team, feature or customer opens it."""
    links = {
        link["url"]
        for document in DOCUMENTS.values()
        for panel in document["panels"]
        for override in panel.get("fieldConfig", {}).get("overrides", ())
        for each in override["properties"]
        if each["id"] == "links"
        for link in each["value"]
    }
    assert len(links) >= 4
    for link in links:
        found = re.match(r"/d/([\w-]+)\?", link)
        assert found is not None
        document = DOCUMENTS[f"{found[1].removeprefix('llmcost-')}.json"]
        declared = {variable["name"] for variable in document["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", link)) <= declared
        assert set(re.findall(r"\$\{(\w+):queryparam\}", link)) <= declared
