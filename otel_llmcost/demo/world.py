"""
The company of the demo's history, as data: what it asks models for, who for, and what happened to it lately.

Days count from today, which is 0; all times are UTC. Nothing here draws a number: `days` does, and `sending` makes spans
of it. Change a line and the history changes; the models' prices are the published ones, but for `CONTRACT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

__all__ = [
    "CACHE_BREAK",
    "CONTRACT",
    "CUSTOMERS",
    "DAYS",
    "GROWTH",
    "HOUSE",
    "LONG_CONTEXT",
    "NIGHT",
    "OFFICE",
    "RETRY_STORM",
    "RISING",
    "ROUND_THE_CLOCK",
    "STAGING_SHARE",
    "WORKLOADS",
    "Action",
    "CacheBreak",
    "Contract",
    "Fallback",
    "LongContext",
    "Model",
    "RetryStorm",
    "Rhythm",
    "RisingCustomer",
    "Workload",
]

DAYS: Final = 62
"""Whole days before today, which is one more day, up to now."""
GROWTH: Final = 2.2
"""How many times as many requests the last day has as the first, weekdays apart."""
STAGING_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When in a week requests come: the weight of each hour of a day, and of a weekend's day against a working day."""

    hours: tuple[int, ...]
    weekend: float


OFFICE: Final = Rhythm((1, 1, 1, 1, 1, 2, 5, 12, 22, 28, 30, 27, 22, 26, 29, 28, 25, 20, 13, 9, 6, 4, 2, 1), 0.3)
ROUND_THE_CLOCK: Final = Rhythm((4, 3, 3, 3, 3, 4, 6, 8, 10, 11, 12, 12, 11, 11, 12, 12, 11, 10, 9, 9, 8, 7, 6, 5), 0.8)
NIGHT: Final = Rhythm((5, 30, 40, 25, 5, *[0] * 18, 1), 1.0)


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: it is part of keys
class Model:
    """A model as its provider sells it, and the host that answers for it."""

    provider: str
    name: str
    host: str = ""


MINI: Final = Model("openai", "gpt-5.4-mini", "api.openai.com")
NANO: Final = Model("openai", "gpt-5.4-nano", "api.openai.com")
LARGE: Final = Model("openai", "gpt-5.4", "api.openai.com")
SMALL: Final = Model("openai", "gpt-5-mini", "api.openai.com")
EMBEDDER: Final = Model("openai", "text-embedding-3-small", "api.openai.com")
AZURE: Final = Model("azure.ai.openai", "gpt-4.1-mini", "contoso.openai.azure.com")
SONNET_4: Final = Model("anthropic", "claude-sonnet-4", "api.anthropic.com")
SONNET: Final = Model("anthropic", "claude-sonnet-4-5", "api.anthropic.com")
OPUS: Final = Model("anthropic", "claude-opus-4-6", "api.anthropic.com")
HAIKU: Final = Model("anthropic", "claude-haiku-4-5", "api.anthropic.com")
BEDROCK: Final = Model(
    "aws.bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock-runtime.us-east-1.amazonaws.com"
)
PRO: Final = Model("gcp.gemini", "gemini-2.5-pro", "generativelanguage.googleapis.com")
FLASH: Final = Model("gcp.gemini", "gemini-2.5-flash", "generativelanguage.googleapis.com")
MISTRAL: Final = Model("mistral_ai", "mistral-large-latest", "api.mistral.ai")
DEEPSEEK: Final = Model("deepseek", "deepseek-chat", "api.deepseek.com")
HOUSE: Final = Model("openai", "house-model-7b", "models.internal")


@dataclass(frozen=True, slots=True)
class Fallback:
    """Who is asked when a model does not answer, and by which instrumentation that is seen."""

    model: Model
    instrumentation: str


@dataclass(frozen=True, slots=True)
class Action:
    """A business action that some requests serve, and what one is worth where it succeeds."""

    name: str
    requests: int
    """Of one action, on average."""
    value_usd: Decimal
    succeeds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """What one feature asks one model for."""

    team: str = ""
    """Empty, with the feature and the customer: nobody says who owns it."""
    feature: str = ""
    service: str
    model: Model
    instrumentation: str
    """A name in `instrumentations.INSTRUMENTATIONS`; empty: no span, but a batch file of the provider that is recorded."""
    share: float
    """Of all requests on a working day, in percent, more or less."""
    input_tokens: int
    """On average, with those that come from the provider's cache."""
    output_tokens: int = 0
    cached: float = 0.0
    """Part of the input that comes from the provider's cache."""
    reasoning: float = 0.0
    """Part of the output that is reasoning."""
    rhythm: Rhythm = OFFICE
    customer: str = ""
    """Empty: any of `CUSTOMERS`."""
    action: Action | None = None
    service_tier: str = "default"
    fallback: Fallback | None = None
    fails: float = 0.008
    """Part of the requests that fail before anything is billed, and are tried again."""
    asked_again: float = 0.0
    """Part of the answers that the application cannot use, pays for, and asks for again."""
    without_usage: float = 0.0
    """Part of the streams whose client did not ask for their usage."""
    launched: int | None = None


WORKLOADS: Final = (
    Workload(
        team="support", feature="reply-draft", service="support-api", model=MINI, instrumentation="openai", share=16,
        input_tokens=3_000, output_tokens=420, cached=0.45, reasoning=0.2, without_usage=0.025,
        action=Action("ticket-resolved", 3, Decimal("0.90"), 0.8),
    ),
    Workload(
        team="support", feature="ticket-triage", service="support-api", model=NANO, instrumentation="openllmetry-openai",
        share=17, input_tokens=900, output_tokens=40, rhythm=ROUND_THE_CLOCK,
    ),
    Workload(
        team="support", feature="escalation-review", service="support-api", model=SONNET, instrumentation="anthropic",
        share=2.4, input_tokens=7_000, output_tokens=700, cached=0.6, fallback=Fallback(LARGE, "openai"), fails=0.03,
    ),
    Workload(
        team="support", feature="call-notes", service="support-api", model=FLASH, instrumentation="google-genai",
        share=3, input_tokens=9_000, output_tokens=600, reasoning=0.3,
    ),
    Workload(
        team="docs", feature="summarise", service="docs-worker", model=SONNET_4, instrumentation="anthropic", share=4,
        input_tokens=6_000, output_tokens=800, action=Action("document-summarised", 2, Decimal("0.35"), 0.95),
    ),
    Workload(
        team="docs", feature="contract-review", service="docs-worker", model=PRO, instrumentation="google-genai",
        share=1.2, input_tokens=26_000, output_tokens=1_500, reasoning=0.4,
        action=Action("contract-reviewed", 2, Decimal("4.50"), 0.9),
    ),
    Workload(
        team="docs", feature="translate", service="docs-worker", model=MISTRAL, instrumentation="openllmetry-mistral",
        share=5, input_tokens=1_500, output_tokens=1_500,
    ),
    Workload(
        team="search", feature="answers", service="search-api", model=LARGE, instrumentation="openai", share=9,
        input_tokens=5_000, output_tokens=600, cached=0.2, reasoning=0.25, rhythm=ROUND_THE_CLOCK,
    ),
    Workload(
        team="search", feature="index", service="search-api", model=EMBEDDER, instrumentation="openllmetry-embeddings",
        share=11, input_tokens=700, rhythm=ROUND_THE_CLOCK, customer="internal",
    ),
    Workload(
        team="search", feature="query-rewrite", service="search-api", model=SMALL, instrumentation="openinference",
        share=9, input_tokens=400, output_tokens=60, rhythm=ROUND_THE_CLOCK,
    ),
    Workload(
        team="search", feature="deep-research", service="search-api", model=SONNET, instrumentation="anthropic", share=1.6,
        input_tokens=15_000, output_tokens=2_400, cached=0.4, launched=-6,
    ),
    Workload(
        team="growth", feature="campaign", service="growth-jobs", model=LARGE, instrumentation="openai", share=3,
        input_tokens=2_500, output_tokens=900, cached=0.1,
    ),
    Workload(
        team="growth", feature="lead-scoring", service="growth-jobs", model=DEEPSEEK, instrumentation="openai", share=4,
        input_tokens=1_200, output_tokens=80, fails=0.02, fallback=Fallback(NANO, "openai"),
    ),
    Workload(
        team="growth", feature="landing-page", service="growth-web", model=LARGE, instrumentation="vercel", share=1.6,
        input_tokens=1_500, output_tokens=1_600, action=Action("page-published", 4, Decimal("0.08"), 0.7),
    ),
    Workload(
        team="growth", feature="newsletter", service="growth-web", model=MINI, instrumentation="vercel", share=1,
        input_tokens=2_000, output_tokens=1_200,
    ),
    Workload(
        team="engineering", feature="code-review", service="dev-tools", model=OPUS, instrumentation="anthropic", share=1.8,
        input_tokens=22_000, output_tokens=900, cached=0.8, customer="internal",
    ),
    Workload(
        team="engineering", feature="test-writer", service="dev-tools", model=SONNET, instrumentation="anthropic",
        share=1.2, input_tokens=8_000, output_tokens=1_800, cached=0.3, asked_again=0.04, customer="internal",
    ),
    Workload(
        team="engineering", feature="incident-notes", service="dev-tools", model=BEDROCK, instrumentation="bedrock",
        share=1, input_tokens=6_000, output_tokens=500, cached=0.3, customer="internal", rhythm=ROUND_THE_CLOCK,
    ),
    Workload(
        team="engineering", feature="autocomplete", service="dev-tools", model=HOUSE, instrumentation="openai", share=0.35,
        input_tokens=2_000, output_tokens=120, customer="internal",
    ),
    Workload(
        team="risk", feature="fraud-check", service="risk-api", model=SMALL, instrumentation="openai", share=6,
        input_tokens=2_200, output_tokens=150, rhythm=ROUND_THE_CLOCK, reasoning=0.3,
    ),
    Workload(  # before that the flex tier has no published price
        team="risk", feature="fraud-replay", service="risk-api", model=SMALL, instrumentation="openai", share=1.5,
        input_tokens=2_200, output_tokens=150, service_tier="flex", rhythm=NIGHT, reasoning=0.3, launched=-34,
    ),
    Workload(
        team="risk", feature="identity-check", service="risk-api", model=AZURE, instrumentation="openai", share=2.5,
        input_tokens=4_000, output_tokens=300, asked_again=0.03,
        action=Action("customer-verified", 2, Decimal("0.60"), 0.9),
    ),
    Workload(
        team="risk", feature="claim-audit", service="risk-batch", model=HAIKU, instrumentation="", share=3,
        input_tokens=3_000, output_tokens=400, rhythm=NIGHT,
    ),
    Workload(
        service="nightly-export", model=LARGE, instrumentation="openllmetry-openai", share=2.1, input_tokens=2_600,
        output_tokens=550, rhythm=NIGHT,
    ),
)  # fmt: skip

CUSTOMERS: Final = (
    "acme", "globex", "initech", "umbrella", "stark", "wayne", "soylent", "cyberdyne", "tyrell", "wonka", "oscorp",
    "vandelay", "pied-piper", "dunder", "gringotts", "monsters", "sirius", "weyland", "massive", "aperture", "black-mesa",
    "blue-sun", "bluth", "buy-n-large", "choam", "dinoco", "duff", "ecorp", "entertainment-720", "frobozz", "gekko",
    "genco", "hanso", "hudsucker", "ingen", "kaibab", "krusty", "lexcorp", "los-pollos", "lumon", "mooby", "nakatomi",
    "nerv", "octan", "omni", "parallax", "planet-express", "prestige", "primatech", "rekall", "roxxon", "sabre", "spectre",
    "sterling", "strickland", "tricell", "veridian", "virtucon", "yoyodyne", "zorg",
)  # fmt: skip
"""From the one that asks most to a long tail."""


@dataclass(frozen=True, slots=True)
class RisingCustomer:
    """A customer that grows fast: its weight on the first day and on the last, where the first customer's is 1."""

    name: str
    first: float
    last: float


RISING: Final = RisingCustomer("lumon", 0.04, 1.6)


@dataclass(frozen=True, slots=True)
class RetryStorm:
    """A change of a prompt, so that one customer's answers could not be read, and were asked for again and again."""

    feature: str
    customer: str
    days: tuple[int, ...]
    volume: float
    """How many times the feature's ordinary requests were made on top of them."""
    tries: tuple[int, int]
    """Of each, at least and at most."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A discount that was agreed: the one price that is not the published one."""

    name: str
    model: Model
    percent_off: int
    day: int


@dataclass(frozen=True, slots=True)
class LongContext:
    """A day on which a feature sent whole folders instead of files, beyond the tier where tokens cost twice as much."""

    feature: str
    day: int
    factor: int


@dataclass(frozen=True, slots=True)
class CacheBreak:
    """A deploy that put the date and time in front of the prompt, so that nothing came from the cache any more."""

    feature: str
    day: int
    hour: int


RETRY_STORM: Final = RetryStorm("campaign", "initech", (-13, -12), 14.0, (4, 7))
CONTRACT: Final = Contract("sonnet-volume", SONNET, 20, -18)
LONG_CONTEXT: Final = LongContext("contract-review", -4, 12)
CACHE_BREAK: Final = CacheBreak("code-review", -9, 14)
