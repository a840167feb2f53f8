"""`Pricer` never guesses and never raises at bad usage; it loads once, in the background, and survives forks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from otel_llmcost.model import ModelCall, Priced, Unpriced, Usage
from otel_llmcost.pricing import Pricer, arithmetic
from otel_llmcost.pricing.loading import Loading
from otel_llmcost.providers import PROVIDERS, normalise_provider, published_id
from otel_llmcost.settings import Settings

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1000, output_tokens=100)


def price(provider: str, model: str, usage: Usage = USAGE, **context: object) -> Priced | Unpriced:
    """Price with published data and our corrections."""
    return Pricer.default().price(**{"provider": provider, "model": model, "usage": usage, "at": AT, **context})


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("OpenAI", "openai"), ("azure", "azure.ai.openai"), ("azure_openai", "azure.ai.openai"), ("xai", "x_ai"),
        ("google", "gcp.gemini"), ("gemini", "gcp.gemini"), ("vertex_ai", "gcp.vertex_ai"), ("aws", "aws.bedrock"),
        ("bedrock", "aws.bedrock"), ("mistral", "mistral_ai"), ("fireworks_ai", "fireworks"), ("Anthropic", "anthropic"),
        ("moonshot", "moonshot_ai"), ("openai.chat", "openai"), ("google.generative-ai", "gcp.gemini"), (" My LLM ", "my llm"),
    ],
)  # fmt: skip
def test_provider_spellings(spelling, name):
    """
    Every spelling seen in the wild is stored under one name; an unknown one stays as given.
    """
    assert normalise_provider(spelling) == name
    assert normalise_provider(name) == name


def test_every_published_provider_can_be_asked_for():
    """
    No provider of the price data is out of reach, and Azure is never mistaken for OpenAI.
    """
    from genai_prices.data import providers

    assert {provider.published for provider in PROVIDERS} - {""} == {provider.id for provider in providers}
    assert published_id("azure.ai.openai") == "azure"


@pytest.mark.parametrize(
    ("provider", "model", "rule"),
    [
        ("openai", "gpt-5.4-mini-20260317", "snapshot"),
        ("openai", "openai/gpt-5.4-mini", "vendor_prefix"),
        ("anthropic", "claude-sonnet-4-5-20250929", "snapshot"),
        ("vertex_ai", "claude-sonnet-4-5@20250929", "snapshot"),
        ("vertex_ai", "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro", "path"),
        ("google", "models/gemini-2.5-pro", "path"),
        ("google", "publishers/google/models/gemini-2.5-pro-preview-05-06", "path"),
        ("aws", "apac.anthropic.claude-sonnet-4-20250514-v1:0", "snapshot"),
        ("aws", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "region_prefix"),
        ("aws", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-20250514-v1:0", "path"),
        ("azure", "gpt-4.1", "exact"),
        ("litellm", "anthropic/claude-sonnet-4", "alias"),
        ("anthropic", "claude-2.1", "alias"),
    ],
)
def test_names_that_are_known(provider, model, rule):
    """
    Snapshots, paths, ARNs and prefixes meet their model, and the row says how.
    """
    answer = price(provider, model)

    assert isinstance(answer, Priced), answer
    assert answer.match_rule == rule


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        ("google", "gemini-2.5-pro-unknownsuffix", "wildcard_match"),
        ("anthropic", "claude-sonnet-4-50", "wildcard_match"),
        ("anthropic", "claude-haiku-4-5-turbo", "wildcard_match"),
        ("azure", "my-o4-mini-dev", "wildcard_match"),
        ("anthropic", "claude-sonnet-99", "unknown_model"),
        ("azure", "my-gpt4o-deployment", "unknown_model"),
        ("aws", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", "unknown_model"),
        ("openai", "ft:gpt-4-0613:acme::x", "unknown_model"),
        ("openrouter", "openai/gpt-4o:nitro", "unknown_model"),
        ("cerebras", "qwen-3-coder-480b", "unknown_model"),
        ("nobody", "gpt-4o", "unknown_provider"),
        ("openai", "", "unknown_model"),
    ],
)
def test_names_that_are_not_known(provider, model, reason):
    """
    A name that merely looks like a known one has no price, and says so; never the price of its neighbour.
    """
    answer = price(provider, model)

    assert isinstance(answer, Unpriced)
    assert answer.reason == reason
    assert answer.detail


def test_free_must_be_explicit():
    """
    `:free` costs 0 and says so; tools beside it are still unknown.
    """
    name = next(m for m in _openrouter() if m.endswith(":free"))
    answer = price("openrouter", name)
    with_tool = price("openrouter", name, Usage(input_tokens=1, web_search_calls=1))

    assert (answer.status, answer.cost_picousd) == ("priced", 0)
    assert (with_tool.status, with_tool.missing_rates) == ("partial", ("web_search_calls",))


def _openrouter() -> list[str]:
    from genai_prices.data import providers

    return [model.id for provider in providers if provider.id == "openrouter" for model in provider.models]


@pytest.mark.parametrize(
    "value", [-1, 1.0, 1.5, float("nan"), float("inf"), True, False, 0.0, "5", "", 2**53, 10**30, Decimal(1), [], b"1"]
)
@pytest.mark.parametrize("model", ["gpt-5.4-mini", "gpt-5.4", "nothing"])
@pytest.mark.parametrize("field", ["input_tokens", "web_search_calls", "reasoning_tokens"])
def test_bad_usage_is_a_value(value, model, field):
    """
    A count that is not a count makes the request unpriced, naming field and value, whatever the model; it never raises.
    """
    answer = price("openai", model, Usage(**{"output_tokens": 5, field: value}))

    assert isinstance(answer, Unpriced)
    assert answer.reason == "invalid_usage"
    assert field in answer.detail
    assert repr(value) in answer.detail


@pytest.mark.parametrize(
    ("usage", "outcome"),
    [
        (Usage(), "no_usage"),
        (Usage(reasoning_tokens=3), "no_usage"),
        (Usage(web_search_calls=0), "no_usage"),
        (Usage(web_search_calls=2), "priced"),
        (Usage(input_tokens=0), "priced"),
        (Usage(cache_write_12h_tokens=5), "no_component_rate"),
        (Usage(code_execution_calls=5), "no_tool_rate"),
        (Usage(input_tokens=1, cache_write_12h_tokens=5), "partial"),
        (Usage(input_tokens=2**53 - 1), "invalid_usage"),
    ],
)
def test_unknown_is_not_zero(usage, outcome):
    """
    No usage has no cost, zero usage costs 0, a lone tool call is usage, and a cost beyond reason is a wrong count.
    """
    answer = price("openai", "gpt-5.4-mini", usage)

    assert outcome in (answer.status, answer.reason)


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-5.4-mini"), ("perplexity", "sonar-deep-research")])
def test_reasoning_without_its_output_is_a_lower_bound(provider, model):
    """
    Reasoning whose output nobody reported makes the price a lower bound, and its arithmetic the sum of what is known.
    """
    usage = Usage(input_tokens=8_000, reasoning_tokens=400)
    answer = price(provider, model, usage)

    assert (answer.status, answer.reason, answer.missing_rates) == ("partial", "output_unknown", ())
    assert answer.cost_usd == price(provider, model, Usage(input_tokens=8_000)).cost_usd
    assert answer.cost_usd == sum(line.cost_usd for line in arithmetic(answer.rate.content, usage))


@pytest.mark.parametrize("model", ["gpt-5.4-mini", "nothing"])
def test_reasoning_above_its_output_is_a_wrong_count(model):
    """
    More reasoning than the output that contains it is invalid usage with both counts named, whatever the model.
    """
    answer = price("openai", model, Usage(input_tokens=8_000, output_tokens=300, reasoning_tokens=400))

    assert isinstance(answer, Unpriced)
    assert answer.reason == "invalid_usage"
    assert answer.detail == "reasoning_tokens=400 is more than output_tokens=300, which contains it."


@pytest.mark.parametrize("usage", [Usage(input_tokens=8_000), Usage(output_tokens=5), Usage(web_search_calls=1)])
def test_a_count_that_is_not_given_is_not_billed(usage):
    """
    Usage that a caller states is all that is billed: an embedding has no output, and its price is exact.
    """
    assert price("openai", "gpt-5.4-mini", usage).status == "priced"


@pytest.mark.parametrize("value", [10**5000, [10**5000], "x" * 10_000], ids=["integer", "list", "text"])
def test_a_message_about_a_wrong_count_is_bounded(value):
    """
    A count that no message can hold is refused like any other, in a message of bounded length.
    """
    answer = price("openai", "gpt-5.4-mini", Usage(input_tokens=value))

    assert isinstance(answer, Unpriced)
    assert answer.reason == "invalid_usage"
    assert len(answer.detail) < 200


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-20250514-v1:0", "0.042"),
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0", None),
    ],
)
def test_an_arn_costs_what_its_model_costs(model, usd):
    """
    The ARN of a foundation model or of a system inference profile is priced as the name at its end.
    """
    usage = Usage(input_tokens=8_000, output_tokens=1_200)
    answer = price("bedrock", model, usage)

    assert isinstance(answer, Priced)
    assert answer.cost_usd == price("bedrock", model.rpartition("/")[2], usage).cost_usd
    assert usd is None or answer.cost_usd == Decimal(usd)


def test_messages_name_the_provider_as_rows_do():
    """
    Who has no such model is named as rows name it, whatever the price data calls it.
    """
    assert "'aws.bedrock'" in price("bedrock", "nothing").detail
    assert "'gcp.vertex_ai'" in price("vertex", "nothing").detail
    assert "deployments" in price("azure", "nothing").detail


def test_tier_that_served_is_priced_or_named():
    """
    Another tier has its own price or none; a standard one, in any spelling, is the list price.
    """
    standard = price("openai", "gpt-5.4-mini").cost_usd

    assert {
        price("openai", "gpt-5.4-mini", service_tier=t).cost_usd for t in ("default", "auto", "", "Standard", None)
    } == {standard}
    assert price("openai", "gpt-5.4-mini", service_tier="flex").cost_usd == standard / 2
    assert price("anthropic", "claude-sonnet-4-5", service_tier="batch").rate.content["context"] == {"batch": "true"}
    unheard = price("openai", "gpt-5.4-mini", service_tier="flexx")
    assert (unheard.reason, "flexx" in unheard.detail) == ("no_tier_rate", True)
    both = price("openai", "gpt-5.4-mini", service_tier="flex", batch=True)
    assert both.reason == "no_tier_rate"


def test_batch_before_its_first_verification():
    """
    Batches cost half long before the data says so, but only for the counts that its batch price discounts.
    """
    at, usage = datetime(2025, 9, 1, tzinfo=UTC), Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000)
    answer = price("openai", "o3", usage, batch=True, at=at)

    assert answer.cost_usd == Decimal("1.5")  # 2.00 halved, 0.50 not
    assert answer.rate.source == "otel-llmcost"


@pytest.mark.parametrize(
    ("at", "usd"),
    [
        ("2026-08-16T15:59:59", "0.435"),
        ("2026-08-16T16:00:00", "0.66"),
        ("2026-08-17T03:59:59", "1.32"),
        ("2026-08-17T04:00:00", "0.66"),
        ("2026-08-22T02:00:00", "1.32"),  # a Saturday, before weekends became off-peak
        ("2026-08-29T02:00:00", "0.66"),
        ("2026-08-31T02:00:00", "1.32"),
        ("2026-05-01T02:00:00", "0.435"),
    ],
)
def test_hours_of_the_week(at, usd):
    """
    Peak hours hold on the days and from the instant that the vendor announced.
    """
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    answer = price("deepseek", "deepseek-v4-pro", Usage(input_tokens=1_000_000), at=moment)

    assert answer.cost_usd == Decimal(usd)


def test_regional_uplift_is_published_and_limited():
    """
    Data residency costs 10 % more on the models that the vendor lists, and is part of the list price.
    """
    eu = price("openai", "gpt-5.4-mini", attributes={"server.address": "eu.api.openai.com"})
    old = price("openai", "gpt-4o", attributes={"server.address": "eu.api.openai.com"})
    us = price("anthropic", "claude-opus-5", region="us")

    assert eu.cost_usd == price("openai", "gpt-5.4-mini").cost_usd * Decimal("1.1")
    assert eu.list_cost_picousd == eu.cost_picousd
    assert old.cost_usd == price("openai", "gpt-4o").cost_usd
    assert us.cost_usd == price("anthropic", "claude-opus-5").cost_usd * Decimal("1.1")


def test_naive_time_is_refused():
    """
    A time without a zone raises: rates change at UTC instants, and a guess would be hours off.
    """
    with pytest.raises(ValueError, match="time zone"):
        price("openai", "gpt-5.4-mini", at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_price_call_equals_price():
    """
    What the meter asks is what anybody can ask: the same request has the same price.
    """
    call = ModelCall(
        dialect="t", kind="request", operation="chat", provider="openai", model="gpt-5.4-mini", usage=USAGE,
        service_tier="flex", price_attributes={"server.address": "eu.api.openai.com"},
    )  # fmt: skip
    nanoseconds = int(AT.timestamp()) * 10**9
    told = ModelCall(
        dialect="t", kind="request", operation="chat", provider="openai", model="x", invalid_usage=("a=-1",)
    )

    answer = Pricer.default().price_call(call, nanoseconds)

    assert answer == price(
        "openai", "gpt-5.4-mini", service_tier="flex", attributes={"server.address": "eu.api.openai.com"}
    )
    assert Pricer.default().price_call(told, nanoseconds).reason == "invalid_usage"


def test_tables_are_bounded():
    """
    Names from the wild cannot fill the memory: the table of prices starts over when it is full.
    """
    pricer = Pricer()
    pricer._timelines = dict.fromkeys(
        ((str(n), "", None, False, None, None, ()) for n in range(4096)), pricer.timeline("openai", "x")
    )
    pricer.price(provider="openai", model="gpt-5.4-mini", usage=USAGE, at=AT)

    assert len(pricer._timelines) == 1


def test_listing_explains():
    """
    A listing shows every context with a price of its own, or why a name has none.
    """
    rows = Pricer.default().rates("openai", "gpt-5.4-mini", AT)
    unknown = Pricer.default().rates("openai", "gpt-99", AT)

    assert [row.context for row in rows] == [
        "standard", "service_tier=flex", "service_tier=priority", "service_tier=fast", "batch",
    ]  # fmt: skip
    assert [(row.rate, row.reason) for row in unknown] == [(None, "unknown_model")]


def test_settings_without_cards_share_the_default():
    """
    Without rate cards there is one pricer per process.
    """
    assert Pricer.from_settings(Settings()) is Pricer.default()


def test_prices_that_do_not_load_are_said(monkeypatch):
    """
    A request that waits too long is unpriced, waits once only, and is not remembered as unknown.
    """
    slow = Loading.__new__(Loading)
    slow.__dict__.update(Loading.shared().__dict__, _loaded=None, _waited=False, failure="They are still loading.")
    slow._done = type(Loading.shared()._done)()
    monkeypatch.setattr(Loading, "_shared", slow)
    monkeypatch.setattr("otel_llmcost.pricing.loading.WAIT_SECONDS", 0.05)
    pricer, begin = Pricer(), time.monotonic()

    answers = [pricer.price(provider="openai", model="gpt-5.4-mini", usage=USAGE, at=AT) for _ in range(50)]

    assert {answer.reason for answer in answers} == {"prices_not_loaded"}
    assert time.monotonic() - begin < 1
    monkeypatch.undo()
    assert pricer.price(provider="openai", model="gpt-5.4-mini", usage=USAGE, at=AT).status == "priced"


def run(script: str) -> str:
    """Run a script in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing():
    """
    Importing the package imports neither the price data nor pydantic nor YAML: they load in the background.
    """
    script = "import sys, otel_llmcost.pricing; print({'genai_prices', 'pydantic', 'yaml', 'rich'} & set(sys.modules))"

    assert run(script) == "set()"


FORK = """
import os, sys, datetime as d
from otel_llmcost.model import Usage
from otel_llmcost.pricing import Pricer
from otel_llmcost.pricing import loading
{before}
pricer = Pricer()
pid = os.fork()
(pid or {wait}) and pricer.wait()
answer = pricer.price(provider="openai", model="gpt-5.4-mini", usage=Usage(input_tokens=1), at=d.datetime.now(d.UTC))
if pid:
    sys.exit(os.waitpid(pid, 0)[1] or answer.status != "priced")
os._exit({child})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("before", "wait", "child"),
    [
        ("", True, "answer.status != 'priced'"),
        # A fork that does not wait: the child may find the import locked for ever, and must not hang.
        ("loading._FORK_WAIT_SECONDS = 0", False, "getattr(answer, 'reason', None) not in (None, 'prices_not_loaded')"),
    ],
    ids=["waits", "does-not-wait"],
)
def test_fork_while_loading(before, wait, child):
    """
    A child that is forked while prices load prices too, and never hangs.
    """
    run(FORK.format(before=before, wait=wait, child=child))
