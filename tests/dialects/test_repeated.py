"""What is remembered between spans: it never changes what a span reads as, and never grows without end."""

from __future__ import annotations

import random

import pytest

from otel_llmcost.dialects import callsite, read
from otel_llmcost.model import SpanView
from tests import captures
from tests.dialects.spans import span

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 2,
}
TEXT = ("gen_ai.request.model", "gen_ai.provider.name", "server.address", "openai.response.service_tier")


def cold(view: SpanView) -> object:
    """Read as the first span of a process."""
    callsite._sites.clear()
    callsite._shapes.clear()
    callsite._shape.cache_clear()
    return read(view)


def test_every_capture_reads_the_same_whatever_was_read_before():
    """
    The spans of all emitters, in any order and again: each reads as it does alone.
    """
    views = [view for name in captures.names("") for view in captures.views(captures.load(name))]
    alone = [cold(view) for view in views]
    order = list(range(len(views))) * 2
    random.Random(7).shuffle(order)

    for index in order:
        assert read(views[index]) == alone[index]


@pytest.mark.parametrize("name", TEXT)
def test_values_that_are_equal_but_of_another_type_do_not_meet(name: str):
    """
    True, 1 and 1.0 are one key of a dictionary, and none of them is text; a list is no key at all.
    """
    values = (True, 1, 1.0, "1", b"1", ["1"], ("1",), None, "True", " 1 ")
    views = [span(CALL | {name: value}) for value in values]
    alone = [cold(view) for view in views]

    for _ in range(2):
        assert [read(view) for view in views] == alone


def test_the_resource_counts_where_the_span_says_nothing():
    """
    A region of one service's resource never reaches the requests of another.
    """
    spans = [span(CALL, resource={"cloud.region": region} if region else {}) for region in ("eu", "us", "", "eu")]

    assert [dict(read(view).price_attributes).get("cloud.region", "") for view in spans] == ["eu", "us", "", "eu"]


def test_an_id_that_names_another_seller_is_not_forgotten():
    """
    The same texts with another kind of response id are another call site.
    """
    named = CALL | {"gen_ai.request.model": "openai/gpt-5.4-mini"}
    ids = ("chatcmpl-1", "gen-1", "resp_1", "", "gen-2")

    providers = [read(span(named | {"gen_ai.response.id": each})).provider for each in ids]

    assert providers == ["openai", "openrouter", "openai", "openai", "openrouter"]


def test_memory_is_bounded():
    """
    Models that are never seen again do not pile up, and very long ones are not kept at all.
    """
    callsite._sites.clear()
    for number in range(3 * callsite._SITES_KEPT):
        assert read(span(CALL | {"gen_ai.request.model": f"model-{number}"})).model == f"model-{number}"
    kept = len(callsite._sites)
    read(span(CALL | {"gen_ai.request.model": "x" * 1_000_000}))

    assert 0 < kept <= callsite._SITES_KEPT
    assert len(callsite._sites) == kept


def test_names_of_attributes_do_not_pile_up():
    """
    Spans that each have an attribute of their own are read as well as others, and are not all remembered.
    """
    callsite._shapes.clear()
    for number in range(2 * callsite._SHAPES_KEPT):
        assert read(span(CALL | {f"own.{number}": 1})).usage.input_tokens == 10
    kept = len(callsite._shapes)
    read(span(CALL | {"x" * 1_000_000: 1}))
    read(span(CALL | {f"message.{number}": "" for number in range(1000)}))

    assert 0 < kept <= callsite._SHAPES_KEPT
    assert len(callsite._shapes) == kept
