"""The public tables: each row is about something that is seen, in a capture or in a documented example."""

from __future__ import annotations

import functools

import pytest

from otel_llmcost.dialects import (
    DIALECTS,
    claude_code,
    haystack,
    litellm,
    openinference,
    openllmetry,
    read,
    vercel_legacy,
)
from otel_llmcost.dialects.emitters import ALL_GAPS, EMITTERS, emitter
from otel_llmcost.dialects.forms import FORMS
from otel_llmcost.dialects.sellers import FRAMEWORKS, HOST_PROVIDERS, ID_SELLERS, MAKERS, SOLD, answerer, seller, sold
from otel_llmcost.model import SpanView
from otel_llmcost.providers import normalise_provider
from tests import captures
from tests.dialects.documented import EXAMPLES as SOME
from tests.dialects.documented_more import MORE

EXAMPLES = SOME | MORE

VOCABULARY = {*ALL_GAPS, "cache_write_ttl", "output"}


@functools.cache
def seen() -> list[SpanView]:
    """Give all spans that are seen anywhere."""
    recorded = [span for name in captures.names("") for span in captures.views(captures.load(name))]
    return recorded + [example[0] for example in EXAMPLES.values()]


@functools.cache
def rows_seen() -> set[int]:
    """Give the rows of `EMITTERS` that a span is read by."""
    found = set()
    for span in seen():
        if (call := read(span)) is not None:
            found.add(EMITTERS.index(emitter(span.scope_name, span.scope_version, call.provider)))
    return found


@pytest.mark.parametrize("index", range(len(EMITTERS)))
def test_every_emitter_is_seen(index):
    """
    No row about an instrumentation is unreachable, or about nothing.
    """
    assert index in rows_seen(), EMITTERS[index]


@pytest.mark.parametrize("index", range(len(EMITTERS)))
def test_gaps_are_in_the_vocabulary(index):
    """
    A gap is one of the words that rows and reports know.
    """
    row = EMITTERS[index]

    assert {*row.gaps, *row.always} <= VOCABULARY


@pytest.mark.parametrize("name", sorted({dialect.name for dialect in DIALECTS}))
def test_every_dialect_reads_something(name):
    """
    No dialect is dead: each reads a capture or a documented example.
    """
    assert name in {call.dialect for span in seen() if (call := read(span)) is not None}


@pytest.mark.parametrize("form", [form for _, form in FORMS], ids=lambda form: form.dialect)
def test_every_form_is_asked_for_its_own_scopes(form):
    """
    A form's spans come from the scopes that it is listed under.
    """
    scopes = next(scopes for scopes, each in FORMS if each is form)

    assert any(
        span.scope_name.startswith(scopes) and read(span).dialect == form.dialect for span in seen() if read(span)
    )


@pytest.mark.parametrize(
    ("table", "attribute"),
    [
        (openinference.SPAN_KINDS, "openinference.span.kind"),
        (openllmetry.REQUEST_TYPES, "llm.request.type"),
        (vercel_legacy.OPERATION_IDS, "ai.operationId"),
        (litellm.OPERATIONS, "gen_ai.operation.name"),
    ],
)
def test_every_operation_reads_as_its_table_says(table, attribute):
    """
    What a table calls a request, an aggregate or free reads as that; what it does not name is no call.
    """
    fixed = {"gen_ai.operation.name": {"litellm.call_id": "c"}}.get(attribute, {})
    base = EXAMPLES["Semantic Kernel"][0]
    for value, (kind, operation) in table.items():
        call = read(_with(base, {**fixed, attribute: value}))
        assert call is not None
        assert (kind, operation) == (call.kind, call.operation)
    assert read(_with(base, {**fixed, attribute: "something else"})) is None


@pytest.mark.parametrize(("component", "provider"), haystack.COMPONENTS)
def test_every_haystack_component_names_its_seller(component, provider):
    """
    The component's type says who bills.
    """
    attributes = {"haystack.component.type": f"{component}ChatGenerator"}
    call = read(_with(EXAMPLES["Semantic Kernel"][0], attributes))

    assert call is not None
    assert (provider, None) == (call.provider, call.usage)


@pytest.mark.parametrize(("host", "provider"), HOST_PROVIDERS)
def test_every_host_is_the_sellers(host, provider):
    """
    A client of many providers that was pointed elsewhere is billed there.
    """
    assert provider == seller("openai", f"x{host}" if host.startswith(".") else host, "m")
    assert seller("openai", "127.0.0.1", "m") == "openai"


@pytest.mark.parametrize(("prefix", "provider"), ID_SELLERS)
def test_a_response_id_can_show_who_answered(prefix, provider):
    """
    OpenAI's client at a gateway: the id and the vendor in the model's name tell; either alone does not.
    """
    assert provider == answerer("openai", f"{prefix}1", "anthropic/claude-sonnet-4.5")
    assert {"openai"} == {answerer("openai", f"{prefix}1", "gpt-5.4"), answerer("openai", "chatcmpl-1", "a/b")}
    assert answerer("groq", f"{prefix}1", "a/b") == "groq"


@pytest.mark.parametrize(("prefix", "provider"), MAKERS)
def test_a_framework_is_billed_by_the_models_maker(prefix, provider):
    """
    Where only software is named, the model's name decides; a provider that is named is believed.
    """
    assert provider == seller("langchain", "", f"{prefix}x")
    assert seller("groq", "", f"{prefix}x") == "groq"


def test_a_model_that_nobody_knows_has_no_maker():
    """
    Nothing is guessed for a name that means nothing; a vendor in front of a name is believed if it is one.
    """
    assert (
        seller("langchain", "", "my-model"),
        seller("", "", "azure/my-deployment"),
        seller("litellm", "", "acme/my-model"),
    ) == ("langchain", "azure.ai.openai", "litellm")


def test_sellers_and_frameworks_are_two_things():
    """
    What is sold is known of names that providers are stored under, and of no framework.
    """
    assert all(normalise_provider(provider) == provider for provider in SOLD)
    assert not FRAMEWORKS & SOLD.keys()
    assert all(quantities <= VOCABULARY for quantities in SOLD.values())


def test_embeddings_and_chat_completions_have_fewer_gaps():
    """
    What an operation cannot have cannot be missing from it.
    """
    assert sold("openai", "embeddings", "") == {"service_tier", "images"}
    assert "tool_calls" in sold("openai", "chat", "responses")
    assert "tool_calls" not in sold("openai", "chat", "chat_completions")


def test_claude_code_is_known_by_its_name():
    """
    The span's name gates: its attributes are too plain to.
    """
    assert claude_code.claims(EXAMPLES["Claude Code"][0])
    assert read(_with(EXAMPLES["Claude Code"][0], {"span.type": "tool"}, name="claude_code.tool")) is None


def _with(span: SpanView, attributes: dict[str, object], **rest: object) -> SpanView:
    held = {name: getattr(span, name) for name in span.__slots__} | {"scope_name": "", "attributes": attributes}
    return SpanView(**{**held, **rest})
