"""Owner values hashed at the source: stable, everywhere, and by a key that nobody else can read."""

from __future__ import annotations

import hashlib
import hmac
import os
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed, record_outcome, record_request
from otel_llmcost.cli._options import where_of
from otel_llmcost.errors import SettingsError
from otel_llmcost.journal import waiting
from otel_llmcost.model import Usage
from otel_llmcost.ownership import OwnerHash, OwnerReader
from otel_llmcost.settings import Settings

KEY = b"0123456789abcdef0123456789abcdef"
ACME = "h_" + hmac.new(KEY, b"acme", hashlib.sha256).hexdigest()[:32]
"""As anyone with the key computes it: `printf acme | openssl dgst -sha256 -hmac "$KEY"`."""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key as `openssl rand -hex 16` leaves it, for its owner's eyes."""
    file = tmp_path / "hash.key"
    file.write_bytes(KEY + b"\n")
    file.chmod(0o600)
    return file


def owned(**names: str) -> Context:
    """A context with baggage `llmcost.<name>`."""
    context = Context()
    for name, value in names.items():
        context = set_baggage(f"llmcost.{name}", value, context)
    return context


def test_only_the_hashed_keys_change(key_file: Path) -> None:
    """
    With a key file the customer is its HMAC, the same each time; all other fields stay as they are.
    """
    reader = OwnerReader(Settings(hash_key_file=key_file))
    first = reader.read(owned(customer_id="acme", team="search", action_id="a-1", user_id="jo"), {})

    assert (first.customer_id, first.team, first.action_id) == (ACME, "search", "a-1")
    assert first.extra == {"user_id": "jo"}
    assert first == reader.read(owned(customer_id="acme", team="search", action_id="a-1", user_id="jo"), {})


@pytest.mark.parametrize(
    ("resource", "attributes"), [({}, {"llmcost.customer_id": "acme"}), ({"llmcost.customer_id": "acme"}, {})]
)
def test_every_source_is_hashed(key_file: Path, resource: dict[str, str], attributes: dict[str, str]) -> None:
    """
    A customer on the span or the resource is hashed as one in baggage is, and one that arrives hashed stays.
    """
    reader = OwnerReader(Settings(hash_key_file=key_file))

    assert reader.read(Context(), resource, attributes).customer_id == ACME
    assert reader.read(owned(customer_id=ACME), {}).customer_id == ACME


def test_keys_of_your_own_can_be_hashed(key_file: Path) -> None:
    """
    `hash_keys` names the fields: extra owner keys and baggage keys that are mapped to one are hashed too.
    """
    settings = Settings(
        hash_key_file=key_file, hash_keys=("user_id", "action_id"), baggage_keys={"enduser.id": "user_id"}
    )
    owner = OwnerReader(settings).read(
        set_baggage("enduser.id", "acme", owned(customer_id="acme", action_id="acme")), {}
    )

    assert (owner.customer_id, owner.action_id, owner.extra) == ("acme", ACME, {"user_id": ACME})


def test_the_plain_value_is_nowhere(key_file: Path, tmp_path: Path) -> None:
    """
    A span, its row, a request without a span and an outcome carry the hash alone: the plain id is in no attribute and no
    journal file.
    """
    settings = Settings(
        dsn=f"chdb://{tmp_path / 'ledger'}", hash_key_file=key_file, hash_keys=("customer_id", "action_id")
    )
    exporter = ClickHouseSpanExporter(settings=settings)
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(LLMCostSpanProcessor(exporter))
    provider.add_span_processor(SimpleSpanProcessor(finished))
    with (
        attributed(customer_id="plain-customer", action_id="plain-action"),
        provider.get_tracer("t").start_as_current_span("chat") as span,
    ):
        span.set_attributes(
            {
                "llmcost.customer_id": "plain-customer",  # as a processor that copies baggage leaves it
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.response.model": "gpt-5.4-mini",
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.output_tokens": 1,
            }
        )
        record_request(provider="openai", model="gpt-5.4-mini", usage=Usage(input_tokens=1), exporter=exporter)
    record_outcome(
        action="reply",
        action_id="plain-action",
        value_usd=Decimal(1),
        customer_id="plain-customer",
        exporter=exporter,
    )
    provider.shutdown()

    attributes = finished.get_finished_spans()[0].attributes or {}
    assert str(attributes["llmcost.customer_id"]).startswith("h_")
    assert "plain-" not in repr(attributes)
    rows = [
        orjson.loads(line)
        for segment in waiting(exporter.journal_dir, exporter.fingerprint)
        for line in segment.payload().splitlines()
    ]
    customers = {row["customer_id"] for row in rows if "customer_id" in row}
    assert customers == {attributes["llmcost.customer_id"]}
    assert len([row for row in rows if "customer_id" in row]) == 3
    files = [file.read_bytes() for file in exporter.journal_dir.rglob("*") if file.is_file()]
    assert files
    assert not any(b"plain-" in content for content in files)


def test_a_stamp_of_another_service_is_hashed(key_file: Path, tmp_path: Path) -> None:
    """
    A span that a service without the key has priced gets its row with the hash.
    """
    finished = InMemorySpanExporter()
    elsewhere = TracerProvider()
    elsewhere.add_span_processor(LLMCostSpanProcessor(settings=Settings()))
    elsewhere.add_span_processor(SimpleSpanProcessor(finished))
    with (
        attributed(customer_id="acme"),
        elsewhere.get_tracer("t").start_as_current_span("chat") as span,
    ):
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.response.model": "gpt-5.4-mini",
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.output_tokens": 1,
            }
        )
    exporter = ClickHouseSpanExporter(settings=Settings(dsn=f"chdb://{tmp_path / 'ledger'}", hash_key_file=key_file))
    exporter.export(finished.get_finished_spans())
    exporter.shutdown()

    rows = [
        orjson.loads(segment.payload())
        for segment in waiting(exporter.journal_dir, exporter.fingerprint)
        if segment.table == "llm_requests"
    ]
    assert [row["customer_id"] for row in rows] == [ACME]


def test_reports_ask_for_the_hash(key_file: Path) -> None:
    """
    `--where customer=acme` finds what is stored for acme; words of ours and other fields are asked for as they are.
    """
    settings = Settings(hash_key_file=key_file)

    assert where_of(("customer=acme", "team=acme"), settings) == {"customer": ACME, "team": "acme"}
    assert where_of(("customer_id=(unattributed)",), settings) == {"customer_id": "(unattributed)"}
    assert where_of(("customer=acme",), Settings()) == {"customer": "acme"}


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602])
def test_a_key_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    """
    A key that is no secret, or that others can replace, protects nobody.
    """
    key_file.chmod(mode)

    with pytest.raises(SettingsError, match=r"OTEL_LLMCOST_HASH_KEY_FILE names .*hash\.key.*: chmod 600 it"):
        OwnerHash.from_settings(Settings(hash_key_file=key_file))


@pytest.mark.parametrize("content", [b"", b"secret\n", b" " * 100, b"x" * 5000])
def test_a_weak_key_is_refused(key_file: Path, content: bytes) -> None:
    """
    A key that is short, once its white space is gone, could be guessed; the sentence says how to make one.
    """
    key_file.write_bytes(content)

    with pytest.raises(SettingsError, match="openssl rand -hex 32") as refused:
        OwnerHash.from_settings(Settings(hash_key_file=key_file))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("make", [lambda file: None, os.mkdir, os.mkfifo])
def test_a_key_that_is_no_file_is_refused(tmp_path: Path, make: object) -> None:
    """
    A missing file, a folder or a pipe is an error at start, and never a wait.
    """
    make(tmp_path / "key")  # type: ignore[operator]

    with pytest.raises(SettingsError, match="OTEL_LLMCOST_HASH_KEY_FILE"):
        OwnerHash.from_settings(Settings(hash_key_file=tmp_path / "key"))


@pytest.mark.parametrize("name", ["team", "feature", "request_id", "Customer", "cost_usd"])
def test_names_that_are_not_hashed(key_file: Path, name: str) -> None:
    """
    Names of one's own organisation, and what is no owner key, are refused.
    """
    with pytest.raises(SettingsError, match=f"HASH_KEYS names '{name}'"):
        OwnerReader(Settings(hash_key_file=key_file, hash_keys=(name,)))


def test_names_without_a_key_are_refused() -> None:
    """
    Who names fields to hash and gives no key does not want them stored as they are.
    """
    with pytest.raises(SettingsError, match="HASH_KEYS needs OTEL_LLMCOST_HASH_KEY_FILE"):
        Settings.from_env({"OTEL_LLMCOST_HASH_KEYS": "customer_id"})


def test_the_key_is_never_printed(key_file: Path) -> None:
    """
    Neither the settings nor the hash show the key.
    """
    settings = Settings(hash_key_file=key_file)

    assert KEY.decode() not in repr(settings) + repr(OwnerHash.from_settings(settings))


def test_the_table_of_known_hashes_is_bounded(key_file: Path) -> None:
    """
    However many customers there are, memory stays where it is.
    """
    hashed = OwnerHash.from_settings(Settings(hash_key_file=key_file))
    values = {hashed.of("customer_id", f"customer-{number}") for number in range(10_000)}

    assert len(values) == 10_000
    assert len(hashed._known) <= 4096
