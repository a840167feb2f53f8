"""Reading owners back: which source wins, what is trusted, what is bounded."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.baggage import set_baggage
from opentelemetry.context.context import Context

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import SettingsError
from otel_llmcost.model import NO_OWNER, Owner
from otel_llmcost.ownership import OVERFLOW, OwnerReader, mark_inbound
from otel_llmcost.settings import Settings

EMPTY = Context()


def carrying(**entries: object) -> Context:
    """Give a context with baggage `llmcost.<name>`."""
    return carry({f"llmcost.{name}": value for name, value in entries.items()})


def carry(entries: dict[Any, object]) -> Context:
    """Give a context with this baggage."""
    context = EMPTY
    for key, value in entries.items():
        context = set_baggage(key, value, context)
    return context


def test_no_owner():
    """
    Where nobody said anything there is no owner, and no source.
    """
    assert OwnerReader(Settings()).read(EMPTY, {"service.name": "x"}, {"gen_ai.request.model": "m"}) == NO_OWNER


def test_each_name_is_taken_from_the_best_source():
    """
    Baggage wins over attributes, attributes over the resource, name by name; the source names those that were used.
    """
    owner = OwnerReader(Settings()).read(
        carrying(team="from baggage"),
        {"llmcost.team": "r", "llmcost.feature": "r", "llmcost.action": "from resource"},
        {"llmcost.team": "a", "llmcost.feature": "from attributes"},
    )

    expected = Owner(
        team="from baggage",
        feature="from attributes",
        action="from resource",
        source="baggage+attributes+resource",
    )
    assert expected == owner


@pytest.mark.parametrize(
    ("resource", "environment"),
    [
        ({"deployment.environment.name": "new", "deployment.environment": "old"}, "new"),
        ({"deployment.environment": "old"}, "old"),
        ({"llmcost.environment": "ours", "deployment.environment.name": "new"}, "ours"),
        ({"deployment.environment.name": " "}, None),
    ],
)
def test_the_environment_comes_from_the_resource(resource: dict[str, object], environment: str | None):
    """
    Where nobody set an environment, the resource's deployment environment is it.
    """
    assert environment == OwnerReader(Settings()).read(EMPTY, resource).environment


def test_keys_an_organisation_already_has():
    """
    Mapped keys feed owner fields and extra keys; `llmcost.*` wins over them.
    """
    reader = OwnerReader(Settings(baggage_keys={"tenant.id": "customer_id", "squad": "team", "plan": "tier_name"}))

    owner = reader.read(carry({"squad": "s", "tenant.id": "t", "plan": "gold", "llmcost.team": "ours"}), {})

    assert Owner(team="ours", customer_id="t", extra={"tier_name": "gold"}, source="baggage") == owner


@pytest.mark.parametrize("name", ["Team", "attempt", "cost_usd", "", "a-b"])
def test_a_map_to_nothing_is_refused(name: str):
    """
    A mapped key must lead to an owner: the error names the variable.
    """
    with pytest.raises(SettingsError, match=r"OTEL_LLMCOST_BAGGAGE_KEYS maps 'tenant.id'"):
        OwnerReader(Settings(baggage_keys={"tenant.id": name}))


def test_inbound_marks_hide_a_value_until_the_process_sets_its_own():
    """
    A mapped entry marked as a stranger's is no owner; the same text set by the process itself is one.
    """
    reader = OwnerReader(Settings(baggage_keys={"tenant.id": "customer_id"}))
    arrived = "".join(["ac", "me"])
    context = mark_inbound(set_baggage("tenant.id", arrived, EMPTY), {"tenant.id": arrived})

    assert reader.read(context, {}).customer_id is None
    assert reader.read(set_baggage("tenant.id", "".join(["acm", "e"]), context), {}).customer_id == "acme"


def test_at_most_eight_extra_keys():
    """
    Eight extra keys are kept, further ones counted; names that we write ourselves are none.
    """
    context = carrying(**{f"extra_{number}": number for number in range(10)}, cost_usd="0", **{"a-b": "x", "": "y"})

    owner = OwnerReader(Settings()).read(context, {})

    assert {f"extra_{number}": str(number) for number in range(8)} == owner.extra
    assert COUNTERS["owner.extra_dropped"] == 2


def test_extra_keys_of_the_resource_are_defaults():
    """
    Keys of one's own on the resource, mapped ones too, count where the span says nothing: cleaned, and named as a source.
    """
    reader = OwnerReader(Settings(baggage_keys={"plan": "tier_name", "squad": "team"}))
    resource = {"llmcost.project": " apollo ", "llmcost.cost_usd": "0", "llmcost.x": True, "plan": "gold", "squad": "s"}

    for _ in range(2):
        owner = reader.read(EMPTY, resource)
        assert Owner(team="s", extra={"project": "apollo", "tier_name": "gold"}, source="resource") == owner
    assert reader.read_copied(resource, {}) == owner
    owner = reader.read(carrying(project="zeus", team="t", tier_name="free"), resource)
    assert Owner(team="t", extra={"project": "zeus", "tier_name": "free"}, source="baggage") == owner


def test_extra_keys_of_the_resource_give_way():
    """
    The span's own extra keys come first in the eight, then the resource's; the rest is counted on every span.
    """
    reader = OwnerReader(Settings())
    resource = {f"llmcost.default_{number}": "r" for number in range(4)}
    for own, source, names in ((6, "baggage+resource", ["default_0", "default_1"]), (8, "baggage", [])):
        context = carrying(**{f"extra_{number}": "b" for number in range(own)})
        for _ in range(3):
            owner = reader.read(context, resource)
        assert ([*owner.extra][own:], len(owner.extra), owner.source) == (names, 8, source)

    assert COUNTERS["owner.extra_dropped"] == 3 * 2 + 3 * 4


def test_distinct_values_are_capped_and_ids_are_not():
    """
    Beyond the cap a team is the overflow value, counted on every request; customers are kept, all of them.
    """
    reader = OwnerReader(Settings(max_owner_values=3))
    owners = [
        reader.read(carrying(team=f"t{number}", customer_id=f"c{number}", action_id=number, request_id=number), {})
        for number in range(10)
    ] * 2

    assert {"t0", "t1", "t2", OVERFLOW} == {owner.team for owner in owners}
    assert len({(owner.customer_id, owner.action_id, owner.request_id) for owner in owners}) == 10
    assert COUNTERS["owner.overflow"] == 7
    reader.read(carrying(team="t9", customer_id="c9", action_id=9, request_id=9), {})
    assert COUNTERS["owner.overflow"] == 8
    assert reader.read(carrying(team="t1"), {}).team == "t1"


def test_the_tables_are_bounded():
    """
    A hundred thousand customers do not make the reader grow.
    """
    reader = OwnerReader(Settings())
    for number in range(20_000):
        reader.read(carrying(customer_id=number), {"host.id": number})

    sizes = [len(table) for table in vars(reader).values() if isinstance(table, dict)]
    assert max(sizes) <= 4096


def test_many_threads_read_the_same():
    """
    Threads that share a reader get the owner of their own context.
    """
    reader = OwnerReader(Settings())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            wrong = list(
                pool.map(
                    lambda number: (
                        reader.read(carrying(team=number % 50, customer_id=number), {}).customer_id != str(number)
                    ),
                    range(5_000),
                )
            )
    finally:
        sys.setswitchinterval(interval)

    assert not any(wrong)


def test_values_of_a_wrong_type_are_ignored():
    """
    Numbers are read as text; what is neither number nor text is ignored and counted.
    """
    owner = OwnerReader(Settings()).read(
        carrying(team=7, feature=True, action=["a"], customer_id=b"x"), {}, {"llmcost.request_id": 1.5}
    )

    assert Owner(team="7", source="baggage") == owner
    assert COUNTERS["owner.ignored"] == 4


def test_values_that_are_equal_but_of_another_type_do_not_meet():
    """
    True, 1 and 1.0 are one key of a dictionary, but not one team; what is remembered of one is not given to another.
    """
    reader = OwnerReader(Settings())
    values = (1, True, "1", 1.0, "True", ["1"])
    alone = [OwnerReader(Settings()).read(carrying(team=value), {}).team for value in values]

    for _ in range(2):
        assert alone == [reader.read(carrying(team=value), {}).team for value in values]


def test_what_is_counted_is_counted_on_every_span():
    """
    A value that is ignored, and an extra key that is dropped, count each time, although the owner is the same.
    """
    reader = OwnerReader(Settings())
    entries = {"llmcost.team": "a", **{f"llmcost.extra{number}": "x" for number in range(9)}}
    for _ in range(3):
        reader.read(carry(entries), {})
        reader.read(carrying(team=b"x"), {})

    assert COUNTERS["owner.extra_dropped"] == 3
    assert COUNTERS["owner.ignored"] == 3


HOSTILE = st.one_of(
    st.text(st.characters(categories=None)),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.binary(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
KEYS = st.one_of(
    st.sampled_from(["llmcost.team", "llmcost.customer_id", "llmcost.attempt", "llmcost.", "llmcost.x", "tenant.id"]),
    st.text(st.characters(categories=None)).map(lambda text: "llmcost." + text),
    st.integers(),
    st.none(),
)
READER = OwnerReader(Settings(baggage_keys={"tenant.id": "customer_id"}, max_owner_values=5))


@given(st.dictionaries(KEYS, HOSTILE, max_size=12), st.dictionaries(KEYS, HOSTILE, max_size=5))
def test_hostile_baggage_never_raises(entries: dict[Any, object], attributes: dict[Any, object]):
    """
    Whatever baggage, attributes and resource hold, reading gives an owner of clean text, twice the same.
    """
    context = carry(entries)

    owner = READER.read(context, attributes, attributes)
    attempt = READER.declared_attempt(context)

    assert owner == READER.read(context, attributes, attributes)
    assert attempt in (None, "initial", "retry", "fallback")
    values = [owner.team, owner.feature, owner.customer_id, owner.environment, *owner.extra.values()]
    assert all(value is None or 1 <= len(value.encode()) <= 4 * 128 for value in values)
