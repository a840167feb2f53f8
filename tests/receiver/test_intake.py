"""Each request once: what was recorded elsewhere, set aside, priced at its source, sent again, or refused."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.charging import Ancestry
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalFull
from otel_llmcost.receiver.intake import Refused
from tests.receiver.conftest import Journaling
from tests.receiver.otlp import CALL, a_span, batch, joined

STAMP = {
    **CALL,
    "llmcost.price_status": "priced",
    "llmcost.cost_usd": "0.5",
    "llmcost.rate_id": "openai/gpt-5.4-mini#1",
    "llmcost.cost.breakdown": "input=0.3 output=0.2",
    "llmcost.usage": "input_tokens=10000 output_tokens=1200",
    "llmcost.team": "search",
}
"""What a processor without a journal writes on a span."""
COST = "0.0129"


def from_python(number: int, response: str, **stamped: object) -> dict[str, Any]:
    """Give a request whose span a processor of ours has seen."""
    attributes = {**STAMP, "gen_ai.response.id": response, **stamped}
    return batch(a_span(number, trace=number, attributes=attributes), scope="opentelemetry.instrumentation.openai")


def from_gateway(number: int, response: str) -> dict[str, Any]:
    """Give a request as a gateway in another language shows it."""
    return batch(a_span(number, trace=number, attributes={**CALL, "gen_ai.response.id": response}), scope="gateway.js")


def costs(intake: Journaling) -> list[str]:
    """Give the cost of each journaled request."""
    return sorted(row["cost_usd"] for row in intake.rows())


def test_owners_come_with_the_span(journaling: Callable[..., Journaling]) -> None:
    """
    `llmcost.*` and mapped keys on the span win over the resource's; a key of one's own is kept, and so is an attempt.
    """
    intake = journaling(baggage_keys={"tenant.id": "customer_id", "squad": "team"})
    own = {"llmcost.feature": "reply", "tenant.id": "acme", "llmcost.user": "u-1", "llmcost.attempt": "retry"}
    resource = {
        "squad": "support",
        "llmcost.feature": "none",
        "deployment.environment.name": "prod",
        "service.name": "web",
    }
    intake.take(batch(a_span(1, attributes={**CALL, **own}), resource=resource))
    (row,) = intake.rows()
    names = (
        "team",
        "feature",
        "customer_id",
        "environment",
        "owner_extra",
        "owner_source",
        "attempt_kind",
        "service_name",
    )

    assert [row[name] for name in names] == [
        *("support", "reply", "acme", "prod", {"user": "u-1"}, "attributes+resource", "retry", "web")
    ]
    assert row["cost_usd"] == COST


def test_what_was_priced_at_its_source_keeps_that_price(intake: Journaling) -> None:
    """
    A stamped span that no journal has is stored with the cost, counts and owner on it, once.
    """
    for _ in range(2):
        intake.take(from_python(1, "r-1"))
    (row,) = intake.rows()

    assert (row["cost_usd"], row["team"], row["rate_id"]) == ("0.5", "search", "openai/gpt-5.4-mini#1")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_journal_has_is_not_charged_again(intake: Journaling, order: tuple[int, int]) -> None:
    """
    A span that says `llmcost.recorded` is nobody's to charge here, nor is another span of its request, before or after.
    """
    sent = from_python(1, "r-1", **{"llmcost.recorded": True}), from_gateway(2, "r-1")
    for index in order:
        intake.take(sent[index])
    intake.take(from_gateway(3, "r-3"))

    assert [Decimal(row.split(b'"cost_usd":"')[1].split(b'"')[0].decode()) for row in intake.bill()] == [Decimal(COST)]


def test_a_gateways_request_is_the_gateways(intake: Journaling) -> None:
    """
    A recorded span of a client that left its request to the gateway does not hide the gateway's own.
    """
    attributes = {**CALL, "gen_ai.response.id": "r-1", "llmcost.recorded": True}
    intake.take(batch(a_span(1, attributes=attributes), scope="opentelemetry.instrumentation.openai"))
    intake.take(from_gateway(2, "r-1"))

    assert costs(intake) == [COST]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_duplicate_of_its_source_is_never_charged(intake: Journaling, order: tuple[int, ...]) -> None:
    """
    A span that its source set aside is no row, whether its carrier comes before or after it.
    """
    aside = {**CALL, "gen_ai.response.id": "r-1", "llmcost.duplicate_of": f"{2:016x}"}
    sent = (
        batch(a_span(1, attributes=aside), scope="outer"),
        batch(a_span(2, parent=1, attributes={**STAMP, "gen_ai.response.id": "r-1"}), scope="inner"),
    )
    for index in order:
        intake.take(sent[index])

    assert costs(intake) == ["0.5"]


def test_a_late_better_span_becomes_an_adjustment(intake: Journaling) -> None:
    """
    The outer span is charged when it comes alone; when the inner one comes, in another batch, the bill is the inner one's.
    """
    outer = {**CALL, "gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
    intake.take(batch(a_span(1, attributes=outer), scope="outer"))
    intake.take(batch(a_span(2, parent=1), scope="inner"))
    signs = [(row["sign"], row["of_span_id"]) for row in intake.rows("llm_adjustments")]

    assert signs == [(-1, f"{1:016x}"), (1, f"{1:016x}")]
    (billed,) = intake.bill()
    assert f'"cost_usd":"{COST}"'.encode() in billed


def test_an_ancestor_in_between_may_come_last(intake: Journaling) -> None:
    """
    An agent's total is taken back when the link between it and the request below it arrives at last.
    """
    agent = {**CALL, "gen_ai.operation.name": "invoke_agent"}
    intake.take(batch(a_span(1, attributes=agent), a_span(3, parent=2)))
    assert len(intake.bill()) == 2
    intake.take(batch(a_span(2, parent=1, attributes={"http.method": "POST"})))
    (billed,) = intake.bill()

    assert b'"operation":"chat"' in billed


def test_a_batch_that_is_sent_again_is_not_billed_again(
    intake: Journaling, journaling: Callable[..., Journaling]
) -> None:
    """
    Sent again to the same process, and to one that starts on the same journal: each request once, with outer and inner
    spans, in any order.
    """
    outer = {**CALL, "gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
    spans = [batch(a_span(1, attributes=outer), scope="outer"), batch(a_span(2, parent=1), scope="inner")]
    spans += [batch(a_span(number)) for number in range(10, 30)]
    intake.take(joined(spans))
    first = intake.bill()
    intake.take(joined(spans))
    assert intake.bill() == first
    assert COUNTERS["receiver.known"] == 22

    again = journaling("ledger-0")
    for each in reversed(spans):
        again.take(each)

    assert again.bill() == first
    assert sum(first.values()) == 21


def refusing(intake: Journaling, at: int, patched: pytest.MonkeyPatch) -> None:
    """Let one write to the journal be refused: this one, counted from 1."""
    writes = itertools.count(1)
    append = intake.exporter._journal.append

    def append_or_refuse(*row: Any) -> None:
        if next(writes) == at:
            raise JournalFull("the journal is full")
        append(*row)

    patched.setattr(intake.exporter._journal, "append", append_or_refuse)


@pytest.mark.parametrize("together", [False, True])
def test_a_refused_batch_is_taken_when_it_comes_again(
    intake: Journaling, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """
    Wherever in a batch the journal refuses: sent again, each request is billed once, and what it moved is moved; also
    where one body has all of it, and requests of another month.
    """
    outer = {**CALL, "gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
    agent = {**CALL, "gen_ai.operation.name": "invoke_agent"}
    for trace, refuses_at in enumerate(range(1, 9), start=1):
        requests = [
            batch(a_span(9, trace=trace, attributes=agent, endTimeUnixNano="1793534401000000000"), scope="agents"),
            batch(a_span(1, trace=trace, parent=9, attributes=outer), scope="outer"),
            batch(a_span(2, trace=trace, parent=1), scope="inner"),
            batch(a_span(7, trace=trace + 1000, startTimeUnixNano="1790000000000000000"), scope="of another month"),
        ]
        with monkeypatch.context() as patched:
            refusing(intake, refuses_at, patched)
            for request in [joined(requests)] if together else requests:
                try:
                    intake.take(request)
                except Refused:
                    intake.take(request)
        assert sum(intake.bill().values()) == 2 * trace, refuses_at

    assert {row.split(b'"operation":"')[1][:4] for row in intake.bill()} == {b"chat"}


def test_what_was_written_of_a_refused_body_is_known(intake: Journaling, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A body is written some hundred rows at a time: what was, when the journal is full, is not written again.
    """
    body = batch(*(a_span(number, trace=number) for number in range(1, 1_201)))
    with monkeypatch.context() as patched:
        refusing(intake, 3, patched)  # the first is the rate's
        with pytest.raises(Refused):
            intake.take(body)
    assert len(intake.rows()) == 500
    intake.take(body)

    assert (len(intake.rows()), COUNTERS["receiver.known"]) == (1_200, 500)


def test_a_body_leaves_no_cycles(intake: Journaling) -> None:
    """
    While a body is metered nobody looks for cycles, so it must make none that would grow the process.
    """
    intake.take(batch(a_span(1)))
    gc.collect()
    intake.take(batch(*(a_span(number, trace=number, parent=number - 1) for number in range(2, 300))))

    assert gc.isenabled()
    assert gc.collect() < 100


def test_rows_in_memory_are_not_acknowledged(intake: Journaling) -> None:
    """
    While the journal's folder cannot be used, a kill would lose what waits in memory: so nothing is acknowledged.
    """
    intake.take(batch(a_span(1)))
    intake.exporter.force_flush()
    intake.exporter.journal_dir.chmod(0o755)
    intake.exporter._journal.standby.begin("open to other users")
    with pytest.raises(Refused):
        intake.take(batch(a_span(2)))
    intake.exporter.journal_dir.chmod(0o700)
    intake.exporter.force_flush()
    intake.take(batch(a_span(2)))

    assert costs(intake) == [COST, COST]


def test_unusable_spans_do_not_stop_the_others(intake: Journaling) -> None:
    """
    A span without an id or a start is rejected with a reason, and the rest of its batch is billed.
    """
    taken = intake.take(batch(a_span(1), a_span(2, spanId=""), a_span(3, startTimeUnixNano="0"), a_span(4)))

    assert (taken.spans, taken.rejected) == (2, 2)
    assert taken.message == "a span has no valid trace_id and span_id"
    assert costs(intake) == [COST, COST]


def test_links_are_forgotten_in_bulk() -> None:
    """
    At its bound, what remembers parents forgets the oldest links, and goes on at the same speed.
    """
    ancestry = Ancestry(max_spans=100)
    for number in range(1, 1000):
        ancestry.add(("t", str(number)), ("t", str(number - 1)))

    assert ancestry.chain(("t", "999"))[:3] == (("t", "998"), ("t", "997"), ("t", "996"))
    assert ancestry.chain(("t", "1")) == ()
