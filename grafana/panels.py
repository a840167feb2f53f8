"""
The parts of a Grafana dashboard as plain data: queries of the ledger with Grafana's macros in them, panels, variables.

A variable's value goes into SQL percent-encoded and is decoded there: Grafana's own `sqlstring` and `singlequote` formats
leave a backslash as it is, which ends a ClickHouse string wherever the value's author likes. Limits: variables hold one
value or all; `$__conditionalAll` is expanded in the browser, so these queries do not fit alert rules as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["VARIABLES", "condition", "dashboard", "headline", "ledger_query", "series", "spend", "table", "text"]

QUERIES: Final = Path(__file__).resolve().parent.parent / "otel_llmcost" / "ledger" / "sql" / "queries"
PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.20.0"
SOURCE: Final = {"type": PLUGIN, "uid": "${datasource}"}
VARIABLES: Final[Mapping[str, str]] = {
    "team": "team",
    "feature": "feature",
    "customer": "customer_id",
    "environment": "environment",
    "model": "model",
}
"""Variable -> column."""
HAS: Final[Mapping[str, tuple[str, ...]]] = {
    "spend_by_hour": ("team", "feature", "environment", "model"),
    "spend_by_customer_day": ("team", "feature", "customer", "environment", "model"),
}
"""Which rollup can be asked by which variable."""
FROM_DAY: Final = "toDate($__fromTime, 'UTC')"
UNTIL_DAY: Final = "toDate($__toTime, 'UTC') + 1"
_HOURS: Final = "s.hour >= toStartOfHour($__fromTime, 'UTC') AND s.hour <= $__toTime"
_PERIODS: Final[Mapping[str, str]] = {
    "timestamp >= {since:Date} AND timestamp < {until:Date}": "timestamp >= $__fromTime AND timestamp <= $__toTime",
}
"""Where a query looks at single rows, to the second as Grafana asks."""
_SLOTS: Final = re.compile(r"(\n +)AND \(\{value_1.*(?:\n +AND \(\{value_\d.*)*")
_PARAMETER: Final = re.compile(r"(?<!\$)\{(\w+):[^{}]+\}")
_UNITS: Final = (
    ("_usd", "currencyUSD"),
    ("_share", "percentunit"),
    ("_seconds", "s"),
    ("_bytes", "bytes"),
    ("_tokens", "short"),
    ("requests", "short"),
)


def condition(variable: str, table_alias: str = "") -> str:
    """Write what a variable asks of a row: nothing while it says All."""
    column = table_alias + VARIABLES[variable]
    return f"$__conditionalAll({column} = decodeURLComponent('${{{variable}:percentencode}}'), ${variable})"


def ledger_query(name: str, fill: Mapping[str, str], conditions: Sequence[str] = ()) -> str:
    """
    Give a query of the ledger, its parameters replaced by SQL, and its slots for filters by `conditions`.

    Raises `KeyError` when a parameter is forgotten.
    """
    sql = (QUERIES / f"{name}.sql").read_text()
    sql = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    sql = _SLOTS.sub(lambda slots: "".join(f"{slots[1]}AND {each}" for each in conditions), sql)
    for by_day, exactly in _PERIODS.items():
        sql = sql.replace(by_day, exactly)
    values = {"since": FROM_DAY, "until": UNTIL_DAY, **fill}
    return _PARAMETER.sub(lambda found: values[found[1]], sql)


def spend(by: str, beside: str = "", *, source: str = "spend_by_hour", top: int = 0, where: Sequence[str] = ()) -> str:
    """Give the query behind every report, of the period and the variables `where` that its rollup has."""
    fill = {
        "top": str(top),
        "pair": "true" if beside else "false",
        "folded": f"s.{by}",
        "beside": beside or f"s.{by}",
        "source": source,
    }
    sql = ledger_query("spend", fill, [condition(name, "s.") for name in where if name in HAS[source]])
    return sql.replace(f"s.day >= {FROM_DAY} AND s.day < {UNTIL_DAY}", _HOURS) if source == "spend_by_hour" else sql


def _target(sql: str, *, over_time: bool) -> dict[str, Any]:
    return {
        "refId": "A",
        "datasource": SOURCE,
        "editorType": "sql",
        "queryType": "timeseries" if over_time else "table",
        "format": 0 if over_time else 1,
        "pluginVersion": PLUGIN_VERSION,
        "rawSql": sql,
    }


def unit_of(column: str) -> str:
    """Give Grafana's unit of a column by its name; `none` for texts and plain numbers."""
    return next((unit for ending, unit in _UNITS if column.endswith(ending)), "none")


def _override(column: str, link: str | None) -> dict[str, Any]:
    properties: list[dict[str, Any]] = [{"id": "displayName", "value": _title(column)}]
    if (unit := unit_of(column)) != "none":
        properties.append({"id": "unit", "value": unit})
    if link:
        target = {"title": f"Look into this {_title(column).lower()}", "url": link, "targetBlank": False}
        properties.append({"id": "links", "value": [target]})
    return {"matcher": {"id": "byName", "options": column}, "properties": properties}


def _title(column: str) -> str:
    words = re.sub(r"_usd$|_share$|_seconds$|_bytes$", "", column).replace("_", " ")
    return words[:1].upper() + words[1:] + (" (USD)" if column.endswith("_usd") else "")


def _panel(kind: str, title: str, about: str, sql: str, size: tuple[int, int], **rest: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": [_target(sql, over_time=kind == "timeseries")],
        **rest,
    }


def headline(title: str, sql: str, columns: Sequence[str], about: str = "") -> dict[str, Any]:
    """Make a row of single numbers, one for each column."""
    return _panel(
        "stat",
        title,
        about,
        sql,
        (24, 4),
        fieldConfig={"defaults": {}, "overrides": [_override(column, None) for column in columns]},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False},
            "colorMode": "none",
            "graphMode": "none",
            "textMode": "value_and_name",
        },
    )


def table(
    title: str,
    sql: str,
    columns: Sequence[str],
    *,
    about: str = "",
    links: Mapping[str, str] | None = None,
    size: tuple[int, int] = (12, 9),
) -> dict[str, Any]:
    """Make a table; `links`: column -> where a click on its value leads."""
    overrides = [_override(column, (links or {}).get(column)) for column in columns]
    return _panel("table", title, about, sql, size, fieldConfig={"defaults": {}, "overrides": overrides})


def series(
    title: str, sql: str, unit: str, *, about: str = "", stacked: bool = True, interval: str = "1h"
) -> dict[str, Any]:
    """Make bars over time: the query gives `time`, a label or none, and one number."""
    custom = {"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal" if stacked else "none"}}
    defaults = {"unit": unit, "min": 0, "custom": custom}
    return _panel(
        "timeseries",
        title,
        about,
        sql,
        (24, 8),
        interval=interval,
        fieldConfig={"defaults": defaults, "overrides": []},
        options={"legend": {"displayMode": "table", "placement": "right", "calcs": ["sum"]}},
    )


def text(words: str, height: int = 3) -> dict[str, Any]:
    """Make a note; markdown, no HTML."""
    return {
        "type": "text",
        "title": "",
        "gridPos": {"w": 24, "h": height},
        "options": {"mode": "markdown", "content": words},
    }


def _variable(name: str) -> dict[str, Any]:
    column = VARIABLES[name]
    table_ = "spend_by_customer_day" if name == "customer" else "spend_by_hour"
    sql = (
        f"SELECT s.{column} FROM {table_} AS s WHERE s.day >= today() - 90 AND s.{column} != '' "  # noqa: S608  # constants
        f"GROUP BY s.{column} ORDER BY sum(s.cost_usd) DESC, s.{column} LIMIT 1000"
    )
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": sql,
        "definition": sql,
        "refresh": 1,
        "sort": 0,
        "multi": False,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(
    uid: str, title: str, about: str, panels: Sequence[dict[str, Any]], variables: Sequence[str] = ()
) -> dict[str, Any]:
    """Put panels from left to right and from top to bottom, as they come."""
    x = y = row_height = 0
    for number, panel in enumerate(panels, start=1):
        place = panel["gridPos"]
        if x + place["w"] > 24:
            x, y, row_height = 0, y + row_height, 0
        place.update(x=x, y=y)
        x, row_height = x + place["w"], max(row_height, place["h"])
        panel["id"] = number
    source = {"name": "datasource", "label": "Ledger", "type": "datasource", "query": PLUGIN, "refresh": 1}
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["llmcost"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "time": {"from": "now-30d", "to": "now"},
        "refresh": "",
        "links": [
            {"type": "dashboards", "tags": ["llmcost"], "title": "LLM cost", "asDropdown": True, "keepTime": True}
        ],
        "templating": {"list": [source, *map(_variable, variables)]},
        "panels": list(panels),
    }
