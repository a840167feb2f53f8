"""The view over a table of traces: the rows that a journal would have had, and nothing that fails the insert of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.attributes import RATE
from otel_llmcost.errors import SchemaError, SettingsError
from otel_llmcost.ledger import Ledger
from otel_llmcost.ledger.otel_traces import TracesTable, apply_views
from otel_llmcost.ledger.row import encode_row, rate_row
from otel_llmcost.model import Request
from tests.ledger.samples import RATE as A_RATE
from tests.ledger.samples import a_request, ask, store
from tests.otel_traces.conftest import export, new_ledger, new_table, rollups_of, rows_of, stamped
from tests.otel_traces.requests import captured, random_requests

MEGABYTE = "x" * 1_000_000
HOSTILE: dict[str, tuple[Any, ...]] = {
    "llmcost.price_status": ("free", " ", 7, True, [1], {"deep": {"er": 1}}, MEGABYTE),
    "llmcost.cost_usd": (
        "NaN",
        "inf",
        "-1",
        "1e5",
        "1000000",
        "0.0000000000001",
        "0.01 ",
        "0x1",
        "",
        ["1"],
        MEGABYTE,
    ),
    "llmcost.cost.breakdown": (
        "input=1 " * 2000,
        "input=1e3",
        "input=0.01155 output=1",
        "input",
        "=",
        "input=-0.1",
        3,
        "input=1=2",
        'input="1',
    ),
    "llmcost.usage": (
        "input_tokens=9007199254740992",
        "input_tokens=-1",
        "input_tokens=1.5",
        "input_tokens=99999999999999999999",
        "tokens=1",
        'input_tokens="1',
        "input_tokens",
        "input_tokens=1\noutput_tokens=2",
        [1, 2],
        "input_tokens=1 " * 2000,
        MEGABYTE,
    ),
}
HARMLESS: dict[str, tuple[Any, ...]] = {
    "llmcost.attempt": ("many", -1, 2**62, 1.5, [], "99999999999999999999999"),
    "llmcost.attempt_kind": ("third", 1, None),
    "llmcost.status": ("ok?", 3, MEGABYTE),
    "llmcost.team": (MEGABYTE, 5, ["a"], "\x00\x1b[31m", "a'b\\"),
    "llmcost.customer_id": (MEGABYTE, {"a": 1}, "'; DROP TABLE llm_requests --"),
    "llmcost.call": (
        "{",
        "[]",
        "null",
        '{"dialect": 1, "usage_gaps": "x", "resend_count": -5, "owner_extra": [1]}',
        5,
        MEGABYTE,
    ),
    "llmcost.missing_rates": (MEGABYTE, 5),
    "llmcost.rate": ("{", '{"rate_id": {"a": 1}}', 5, MEGABYTE),
    "gen_ai.response.id": (MEGABYTE, 5, ["x"]),
}


def with_attribute(request: Request, name: str, value: Any) -> dict[str, Any]:
    """Give a stamped span with one attribute that nobody of ours wrote."""
    span = stamped(request)
    span["SpanAttributes"][name] = value
    return span


@pytest.mark.parametrize("draw", [captured, lambda: random_requests(7, 1000)], ids=["captures", "random"])
def test_same_rows_as_a_journal(ledger: Ledger, source: TracesTable, kind: str, draw: Callable[[], Iterable[Request]]):
    """
    Every column of every row, and every rollup, is what the same request has on the direct way, to the last digit.
    """
    requests = list(draw())
    assert len(requests) > 100
    with new_ledger() as direct:
        store(direct, requests)
        export(ledger, source, kind, map(stamped, requests))

        for ours, theirs in zip(rows_of(ledger), rows_of(direct), strict=True):
            assert ours == theirs
        assert rollups_of(ledger) == rollups_of(direct)


def test_what_is_counted_elsewhere(ledger: Ledger, source: TracesTable, kind: str):
    """
    No row for a span that a journal accounts for, that another span carries, that nobody priced, or that has no ids.
    """
    duplicate = with_attribute(a_request(2), "llmcost.duplicate_of", f"{1:016x}")
    plain = {**stamped(a_request(3)), "SpanAttributes": {"gen_ai.operation.name": "chat"}}
    export(
        ledger,
        source,
        kind,
        [stamped(a_request(1), recorded=True), duplicate, plain, {**stamped(a_request(4)), "TraceId": ""}],
    )

    assert rows_of(ledger) == []


def test_hostile_values(ledger: Ledger, source: TracesTable, kind: str):
    """
    Whatever attributes hold, the insert that they came with succeeds and the others' rows are right; a value that would
    have made a number leaves its row unpriced, with the reason, and never a made-up cost.
    """
    damaging = [(name, value) for name, values in HOSTILE.items() for value in values]
    harmless = [(name, value) for name, values in HARMLESS.items() for value in values]
    spans = [with_attribute(a_request(number), *each) for number, each in enumerate([*harmless, *damaging], 1)]
    export(ledger, source, kind, spans)
    rows = rows_of(ledger)
    others = rows[len(harmless) :]

    for said, row in zip(harmless, rows, strict=False):
        assert (row["cost_usd"], row["price_status"], row["rate_id"]) == (
            Decimal("0.01155"),
            "priced",
            A_RATE.rate_id,
        ), said
        assert max(len(row[column]) for column in ("team", "customer_id", "response_id", "status")) <= 512
    assert {(row["price_status"], row["reason"], row["cost_usd"]) for row in others} == {
        ("unpriced", "invalid_usage", None)
    }
    assert {row["detail"].partition(" ")[0] for row in others} == {
        "llmcost.price_status",
        "llmcost.cost_usd",
        "llmcost.usage",
    }
    assert (
        len(others) >= len(damaging) - 2
    )  # what is no text at all leaves a span that nobody priced, where attributes are JSON
    assert ask(ledger, "SELECT sum(requests), sum(cost_usd) FROM spend_by_hour") == ask(
        ledger, "SELECT count(), toDecimal128(sum(cost_usd), 12) FROM llm_requests"
    )


def test_without_the_call(ledger: Ledger, source: TracesTable, kind: str):
    """
    A span that lost llmcost.call on its way keeps its cost and owner, under the names that OpenTelemetry has for the rest.
    """
    span = stamped(a_request(1))
    del span["SpanAttributes"]["llmcost.call"]
    span["SpanAttributes"] |= {
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-5.4-mini",
        "gen_ai.response.id": "r-7",
    }
    export(ledger, source, kind, [span])
    (row,) = rows_of(ledger)

    assert (row["provider"], row["model"], row["response_id"], row["team"], row["cost_usd"]) == (
        "openai",
        "gpt-5.4-mini",
        "r-7",
        "search",
        Decimal("0.01155"),
    )


def test_rates(ledger: Ledger, source: TracesTable, kind: str):
    """
    The content of a rate that a span tells is in llm_rates, so that its rows are explained.
    """
    export(ledger, source, kind, [with_attribute(a_request(1), RATE, encode_row(rate_row(A_RATE)).decode())])

    assert ledger._client.query("SELECT * EXCEPT (batch_id) FROM llm_rates").result_rows == [
        tuple(rate_row(A_RATE).values())
    ]


def test_spans_of_one_cell_all_count(ledger: Ledger, source: TracesTable, kind: str):
    """
    Two inserts that add the same to a rollup are two requests, whether the engine recognises repeated blocks or not.
    """
    for number, recognises in enumerate((0, 0, 1, 1)):
        setting = {"deduplicate_blocks_in_dependent_materialized_views": recognises}
        export(ledger, source, kind, [stamped(a_request(number + 1))], **setting)

    assert ask(ledger, "SELECT sum(requests), sum(cost_usd) FROM spend_by_hour") == ["4", "0.0462"]


def test_views_of_an_older_version(ledger: Ledger, source: TracesTable, kind: str):
    """
    Applied again, views take the SELECT of this version; rows stay, and what arrives next is counted once.
    """
    name = source.view("llm_requests")
    described = f"SELECT as_select FROM system.tables WHERE name = '{name}' AND database = currentDatabase()"  # noqa: S608
    current = ask(ledger, described)
    older = f"SELECT TraceId AS trace_id, SpanId AS span_id FROM {source}"  # noqa: S608
    ledger.command(f"ALTER TABLE {name} MODIFY QUERY {older}", what="go back to an older version")
    assert apply_views(ledger, source) == [name, source.view("llm_rates")]
    export(ledger, source, kind, [stamped(a_request(1))])

    assert ask(ledger, described) == current
    assert [row["team"] for row in rows_of(ledger)] == ["search"]


def test_a_table_with_columns_of_its_own(ledger: Ledger):
    """
    A table of ClickStack's kind, with materialized columns and another key, takes the view as it is.
    """
    source = new_table(ledger, "map")
    ledger.command(
        f"ALTER TABLE {source} ADD COLUMN `__hdx_materialized_rum.sessionId` String MATERIALIZED ResourceAttributes['rum.sessionId']",
        what="add a column",
    )
    apply_views(ledger, source)
    export(ledger, source, "map", [stamped(a_request(1))])

    assert len(rows_of(ledger)) == 1


def test_what_is_no_table_of_traces(ledger: Ledger):
    """
    A table that is not there, is something else or is no name at all is refused by a sentence that says so.
    """
    ledger.command(
        "CREATE TABLE else (Timestamp DateTime64(9), SpanAttributes String) ENGINE = Memory", what="make a table"
    )
    with pytest.raises(SchemaError, match=r"there is no table otel_0\.otel_traces on the server"):
        apply_views(ledger, TracesTable("otel_0", "otel_traces"))
    with pytest.raises(SchemaError, match="has no column Duration, ParentSpanId"):
        apply_views(ledger, TracesTable(ledger.dsn.database, "else"))
    with pytest.raises(SettingsError, match="'otel_traces' is no table of traces: name it with its database"):
        TracesTable.parse("otel_traces")
