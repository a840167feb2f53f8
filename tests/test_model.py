"""The nouns: what makes them fast must make the same."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from otel_llmcost.figures import reported_counts
from otel_llmcost.model import COUNTS, Attempt, ModelCall, Owner, SpanView, Usage, changer, maker

CALL = {"dialect": "d", "kind": "request", "operation": "chat", "provider": "openai", "model": "m"}


def test_a_maker_makes_what_the_constructor_makes():
    """
    Given values, defaults and default factories are those of the class, for every noun.
    """
    usage = Usage(input_tokens=1)

    assert ModelCall(**CALL, usage=usage) == maker(ModelCall)(**CALL, usage=usage)
    assert Owner(team="t") == maker(Owner)(team="t")
    assert Attempt() == maker(Attempt)()
    assert hash(Usage(output_tokens=2)) == hash(maker(Usage)(output_tokens=2))


def test_what_a_maker_makes_is_of_the_class_and_frozen():
    """
    The twin is never seen: type, `replace`, `fields` and the guard are those of the noun.
    """
    made = maker(ModelCall)(**CALL)

    with pytest.raises(FrozenInstanceError):
        made.model = "other"
    assert ModelCall is type(made)
    assert replace(made, model="other").model == "other"
    assert [each.name for each in fields(ModelCall)] == [each.name for each in fields(made)]


def test_counts_are_in_the_order_of_their_names():
    """
    Everything that pairs the two relies on it.
    """
    given = {name: number for number, name in enumerate(COUNTS)}

    assert tuple(given.values()) == Usage(**given).counts
    assert tuple(given.items()) == reported_counts(Usage(**given))


def test_a_changer_changes_what_it_was_made_for():
    """
    The copy differs in the named fields alone, and is frozen; each of them must be given.
    """
    call = ModelCall(**CALL, response_id="r")
    change = changer(ModelCall, "model", "usage")

    assert replace(call, model="other", usage=Usage()) == change(call, model="other", usage=Usage())
    with pytest.raises(FrozenInstanceError):
        change(call, model="other", usage=None).model = "third"
    with pytest.raises(TypeError, match="usage"):
        change(call, model="other")


def test_default_factories_are_called_for_each():
    """
    Two owners never share the mapping of a default.
    """
    make = maker(Owner)

    assert make().extra is not make().extra


def test_a_maker_asks_for_what_the_constructor_asks_for():
    """
    A missing or unknown field is a TypeError, as with the constructor.
    """
    with pytest.raises(TypeError, match="span_id"):
        maker(SpanView)(trace_id="1")
    with pytest.raises(TypeError, match="unknown"):
        maker(Attempt)(unknown=1)
