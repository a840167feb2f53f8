"""The attributes that we write on spans, and the way back."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.attributes import COST_AMOUNT, duplicate_attributes, from_attributes, to_attributes
from otel_llmcost.model import (
    COMPONENTS,
    COUNTS,
    PICO,
    Attempt,
    Duplicate,
    ModelCall,
    Owner,
    Priced,
    RateContent,
    Request,
    SpanView,
    Unpriced,
    Usage,
)

SPAN = SpanView(
    trace_id="0" * 31 + "1",
    span_id="0" * 15 + "1",
    parent_span_id=None,
    name="chat",
    kind="client",
    start_unix_ns=0,
    end_unix_ns=0,
    attributes={},
    resource={},
    scope_name="s",
    scope_version="",
    status_code="unset",
)
RATE = RateContent(
    rate_id="p/m#1", provider="p", model="m", source="span", version="", effective_from="", effective_to="", content={}
)
usages = st.builds(Usage, **{name: st.none() | st.integers(0, 2**53 - 1) for name in COUNTS})
texts = st.none() | st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)
owners = st.builds(
    Owner, team=texts, feature=texts, customer_id=texts, environment=texts, action=texts, request_id=texts
)
attempts = st.just(Attempt()) | st.builds(
    Attempt, kind=st.sampled_from(["retry", "fallback"]), number=st.integers(2, 9)
)


@st.composite
def prices(draw) -> Priced:
    """Any price whose parts sum to it."""
    components = draw(
        st.dictionaries(st.sampled_from(COMPONENTS), st.integers(1, 10**5 * PICO), max_size=len(COMPONENTS))
    )
    cost = sum(components.values())
    missing = draw(st.lists(st.sampled_from(COUNTS), max_size=2, unique=True))
    return Priced(
        status="partial" if missing else "priced",
        cost_picousd=cost,
        list_cost_picousd=draw(st.just(cost) | st.integers(0, 10**5 * PICO)),
        components=tuple(components.items()),
        cache_savings_picousd=draw(st.integers(-(10**15), 10**15)),
        rate=RATE,
        match_rule="",
        missing_rates=tuple(missing),
        reason="no_component_rate" if missing else None,
    )


def request(price, usage=None, owner=None, attempt=None) -> Request:
    """A request with this price."""
    call = ModelCall(dialect="d", kind="request", operation="chat", provider="p", model="m", usage=usage)
    return Request(span=SPAN, call=call, owner=owner or Owner(), price=price, attempt=attempt or Attempt())


@given(price=prices(), usage=usages, owner=owners, attempt=attempts)
def test_a_stamp_reads_back_what_was_written(price, usage, owner, attempt):
    """
    Cost, usage, owner and attempt survive the way over span attributes, to the picodollar.
    """
    attributes = to_attributes(request(price, usage, owner, attempt), recorded=True)
    stamp = from_attributes(attributes, provider="p", model="m")

    assert stamp is not None
    assert (price, usage, attempt, True) == (stamp.price, stamp.usage, stamp.attempt, stamp.recorded)
    assert [owner.team, owner.customer_id, owner.request_id] == [
        stamp.owner.team,
        stamp.owner.customer_id,
        stamp.owner.request_id,
    ]


@given(price=prices())
def test_the_double_for_other_tools_is_written_for_whole_costs_only(price):
    """
    A lower bound is never published as an amount.
    """
    attributes = to_attributes(request(price), recorded=False)

    assert (price.status == "priced") == (COST_AMOUNT in attributes)
    assert Decimal(str(attributes["llmcost.cost_usd"])) == price.cost_usd


def test_an_unpriced_request_has_a_reason_and_no_cost():
    """
    Unknown is a status with a reason on the span: no cost attribute of any kind.
    """
    attributes = to_attributes(request(Unpriced(reason="unknown_model")), recorded=False)

    assert attributes == {
        "llmcost.price_status": "unpriced",
        "llmcost.reason": "unknown_model",
        "llmcost.status": "success",
    }


def test_a_duplicate_carries_no_cost():
    """
    A span that another one carries names it and shows no amount, so that no tool counts it twice.
    """
    call = request(Unpriced(reason="x")).call
    duplicate = Duplicate(span=SPAN, call=call, of_trace_id="t", of_span_id="s1", reason="ancestry")

    assert duplicate_attributes(duplicate, recorded=True) == {"llmcost.duplicate_of": "s1", "llmcost.recorded": True}


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "llmcost.price_status",
                "llmcost.cost_usd",
                "llmcost.usage",
                "llmcost.cost.breakdown",
                "llmcost.attempt",
                "llmcost.attempt_kind",
                "llmcost.team",
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.sampled_from(["priced", "partial", "1e999", "NaN", "-1", "input=1", "input_tokens=²", "0.1"]),
    )
)
def test_a_damaged_stamp_is_no_stamp(attributes):
    """
    Whatever stands in our attributes, reading them never raises and never gives a cost that its parts contradict.
    """
    stamp = from_attributes(attributes, provider="p", model="m")

    if stamp is not None and isinstance(stamp.price, Priced):
        assert stamp.price.cost_picousd == sum(cost for _, cost in stamp.price.components)


def test_a_stamp_is_read_exactly_in_any_decimal_context():
    """
    The application's own decimal context, however short, changes no cost that is read back.
    """
    price = Priced(
        status="priced",
        cost_picousd=123_456_789_012_345,
        list_cost_picousd=123_456_789_012_345,
        components=(("input", 123_456_789_012_345),),
        cache_savings_picousd=0,
        rate=RATE,
        match_rule="",
    )
    attributes = to_attributes(request(price), recorded=False)
    with localcontext(prec=3):
        stamp = from_attributes(attributes, provider="p", model="m")

    assert stamp is not None
    assert stamp.price == price
