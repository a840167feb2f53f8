"""
What people said to a model, and what opens the ledger, are nowhere in what we keep or say.

Fault P6, S13, S15 and the invariant I10 of the plan: canaries in every place where an instrumentation can put content,
and in the DSN, through the real clients, processor, journal, shipper and engine; then a search of everything we wrote.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any, Final

import anthropic
import openai
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from otel_llmcost import ClickHouseSpanExporter, LLMCostError, LLMCostSpanProcessor, Pricer, Settings, attributed
from otel_llmcost.demo.simulator import Reply, Simulator
from otel_llmcost.demo.traffic import CLAUDE, MINI, instrumented
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import connect, migrations, parse_dsn
from otel_llmcost.ledger.row import encode_row, request_row
from otel_llmcost.metrics import Metrics
from otel_llmcost.model import SpanView
from otel_llmcost.shipper import ship_once
from tests.captures import load, names, views
from tests.clickhouse_double import PASSWORD, ClickHouseDouble
from tests.ledger.samples import a_request
from tests.metrics.collected import collected

CANARY: Final = "canary-7f3a9c-of-what-was-said"
SECRET: Final = "canary-pass-51b2?/#@:word"
"""A password with every letter that breaks a parser."""

CONTENT: Final = (
    *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions"),
    *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.prompt", "gen_ai.completion"),
    *("gen_ai.prompt.0.content", "gen_ai.completion.0.content", "gen_ai.completion.0.tool_calls.0.arguments"),
    *("gen_ai.content.prompt", "gen_ai.content.completion", "traceloop.entity.input", "traceloop.entity.output"),
    *("input.value", "output.value", "llm.prompts", "llm.input_messages.0.message.content"),
    *(
        "llm.output_messages.0.message.content",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments",
    ),
    *("request_data", "response_data", "all_messages_events", "pydantic_ai.all_messages", "logfire.msg", "events"),
    *("ai.prompt", "ai.prompt.messages", "ai.response.text", "ai.response.object", "ai.response.toolCalls"),
    *("tool.parameters", "error.message", "exception.message", "error.stack_trace", "hidden_params", "metadata"),
)
"""Where the dialects that we read keep content: https://opentelemetry.io/docs/specs/semconv/gen-ai/ and each one's own."""
CONTENT_NAME: Final = re.compile(
    r"message|prompt|completion|content|(input|output)(\.value)?$|instructions|arguments|result|parameters|definitions|"
    r"description|stack_trace|logfire\.msg|request_data|response_data|raw_input|events|candidates|choices|metadata|headers"
)
CONTENT_FIELDS: Final = {
    *("content", "text", "arguments", "thinking", "reasoning", "refusal", "instructions", "system", "description"),
    *("input", "output", "result", "prompt", "completion", "transcript", "output_text", "value"),
}


@dataclass
class Kept:
    """Everything that we wrote or said while content and secrets went by."""

    journal: bytes = b""
    files: bytes = b""
    """Of the engine, as they are; what is compressed in them, `tables` has as text."""
    tables: str = ""
    logs: str = ""
    metrics: str = ""
    attributes: str = ""
    """Ours, on the spans."""
    seen: str = ""
    """What instrumentations put on spans: the canaries are really there."""
    placed: int = 0
    rows: int = 0


def laced(name: str, value: object) -> object:
    """Put the canary where a span attribute holds content; counts and names stay, so that the span is still billed."""
    if not isinstance(value, str) or not CONTENT_NAME.search(name):
        return value
    try:
        document = json.loads(value)
    except ValueError:
        return CANARY
    return json.dumps(_laced(document)) if isinstance(document, dict | list) else CANARY


def _laced(document: Any) -> Any:
    if isinstance(document, list):
        return [_laced(each) for each in document]
    if isinstance(document, dict):
        return {
            name: CANARY if name in CONTENT_FIELDS and isinstance(value, str) else _laced(value)
            for name, value in document.items()
        } | {"comment": CANARY}
    return document


def replay(view: SpanView, provider: TracerProvider) -> int:
    """End a captured span again, full of canaries; give how many."""
    attributes = {name: laced(name, value) for name, value in view.attributes.items()}
    for name in CONTENT:
        attributes.setdefault(name, CANARY)
    span = provider.get_tracer(view.scope_name, view.scope_version).start_span(
        view.name,
        attributes=attributes,  # type: ignore[arg-type]  # as they were recorded
        start_time=view.start_unix_ns,
    )
    for name in ("gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt"):
        span.add_event(name, {"content": CANARY, "gen_ai.prompt": CANARY})
    if view.status_code == "error":
        span.record_exception(ValueError(CANARY))
        span.set_status(Status(StatusCode.ERROR, CANARY))
    span.end(view.end_unix_ns)
    return sum(CANARY in str(value) for value in attributes.values())


def talk(provider: TracerProvider) -> None:
    """Let the real clients say and hear the canary: a chat with tools, a stream, a refusal, a message."""
    tool: Any = {
        "type": "function",
        "function": {"name": "look_up", "description": CANARY, "parameters": {"type": "object", "properties": {}}},
    }
    said: Any = [{"role": "system", "content": CANARY}, {"role": "user", "content": CANARY}]
    with (
        Simulator() as simulator,
        instrumented(provider),
        openai.OpenAI(base_url=simulator.openai_base_url, api_key=SECRET, max_retries=0) as chat,
        anthropic.Anthropic(base_url=simulator.anthropic_base_url, api_key=SECRET, max_retries=0) as claude,
        attributed(team="support", customer_id="acme"),
    ):
        simulator.script(*[Reply(text=CANARY)] * 2, Reply(status=400, text=CANARY), *[Reply(text=CANARY)] * 2)
        chat.chat.completions.create(model=MINI, messages=said, tools=[tool])
        for _ in chat.chat.completions.create(model=MINI, messages=said, stream=True):
            pass
        with suppress(openai.APIStatusError):
            chat.chat.completions.create(model=MINI, messages=said)
        chat.responses.create(model=MINI, instructions=CANARY, input=CANARY)
        claude.messages.create(model=CLAUDE, max_tokens=100, system=CANARY, messages=said[1:])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Send all of it through the real parts, once."""
    folder = tmp_path_factory.mktemp("privacy")
    kept, log = Kept(), folder / "log"
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_and_event")
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
        patch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(folder / "journal"))
        stack.enter_context(logged(log))
        server = stack.enter_context(ClickHouseDouble(folder / "engine"))
        dsn = server.dsn("privacy")
        pricer = Pricer.default()
        assert pricer.wait()
        exporter = ClickHouseSpanExporter(f"chdb://{folder / 'here'}", pricer=pricer)
        finished = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(LLMCostSpanProcessor(exporter))
        provider.add_span_processor(SimpleSpanProcessor(finished))
        talk(provider)
        for name in names(""):
            kept.placed += sum(replay(view, provider) for view in views(load(name)))
        provider.shutdown()
        kept.journal = contents(exporter.journal_dir)
        reader = InMemoryMetricReader()
        with connect(dsn) as ledger:
            migrations.apply(ledger)
            shipped = ship_once(
                ledger,
                exporter.journal_dir,
                fingerprint=exporter.fingerprint,
                on_shipped=Metrics(MeterProvider([reader])).add_shipped,
            )
            assert (shipped.left, shipped.refused) == (0, 0)
            kept.rows = int(str(ledger.command("SELECT count() FROM llm_requests", what="count")))
            kept.tables = "\n".join(dumped(ledger.command, table) for table in tables(ledger.command))
        kept.metrics = repr(collected(reader))
        for span in finished.get_finished_spans():
            for name, value in (span.attributes or {}).items():
                is_ours = name.startswith(("llmcost.", "gen_ai.usage.cost."))
                kept.attributes += f"{name}={value}\n" if is_ours else ""
                kept.seen += "" if is_ours else f"{name}={value}\n"
        kept.files = contents(folder / "engine")
    kept.logs = log.read_text()
    return kept


@pytest.fixture
def logged_here(tmp_path: Path) -> Iterator[Path]:
    """Our log of one test, at DEBUG."""
    with logged(tmp_path / "log"):
        yield tmp_path / "log"


class logged:  # noqa: N801  # reads as a verb
    """Write our logger's records, stacks included, to a file, at DEBUG."""

    def __init__(self, file: Path) -> None:
        self._handler = logging.FileHandler(file)

    def __enter__(self) -> None:
        logger = logging.getLogger("otel_llmcost")
        self._level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self._handler)

    def __exit__(self, *_error: object) -> None:
        logger = logging.getLogger("otel_llmcost")
        logger.removeHandler(self._handler)
        logger.setLevel(self._level)
        self._handler.close()


def contents(folder: Path) -> bytes:
    """All bytes of all files in a folder."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def tables(command: Any) -> list[str]:
    """Every table of the ledger that holds rows."""
    sql = "SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    return re.findall(r"\w+", str(command(sql, what="list")))


def dumped(command: Any, table: str) -> str:
    """Every row of a table as text."""
    return str(command(f"SELECT toString(groupArray(tuple(*))) FROM {table}", what="dump"))  # noqa: S608  # a name of ours


def test_the_canaries_went_by(kept: Kept) -> None:
    """
    The test tests something: the clients' own spans and the captures were full of content, and they were billed.
    """
    assert kept.placed > 5_000
    assert kept.rows > 150
    assert kept.seen.count(CANARY) > 5_000
    for name in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"):
        assert re.search(rf"^{re.escape(name)}=\[.*{CANARY}", kept.seen, re.MULTILINE), name
    assert "support" in kept.tables
    assert "acme" in kept.tables
    assert b"gpt-5.4-mini" in kept.journal
    assert b"gpt-5.4-mini" in kept.files


@pytest.mark.parametrize("where", ["journal", "files", "tables", "logs", "metrics", "attributes"])
def test_nothing_that_was_said_is_kept(kept: Kept, where: str) -> None:
    """
    No journal file, table, engine file, log line, metric or attribute of ours has a word of a prompt, an answer, an
    instruction or a tool's argument.
    """
    found = getattr(kept, where)
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    assert text.count(CANARY) == 0
    assert "what-was-said" not in text, "not even a part of it"
    assert SECRET not in text


# ---------------------------------------------------------------- secrets


def say(error: BaseException) -> str:
    """All that a log or a crash report would show of an error, its causes included."""
    return "".join(format_exception(error)) + repr(error) + repr(error.args)


@pytest.mark.parametrize(
    "dsn",
    [
        f"https://writer:{SECRET}@",
        f"https://writer:{SECRET}@host:port/db",
        f"https://writer:{SECRET}@host:99999/db",
        f"https://writer:{SECRET}@host/db?unknown=1",
        f"http://writer:{SECRET}@ledger.example.com/db",
        f"clickhouse://writer:{SECRET}@host/db",
        f"writer:{SECRET}@host",
        f"chdb://writer:{SECRET}@host",
    ],
)
def test_a_wrong_dsn_repeats_no_password(dsn: str, logged_here: Path) -> None:
    """
    Whatever is wrong with a DSN, neither the error nor a log has the password.
    """
    with pytest.raises(LLMCostError) as wrong:
        ClickHouseSpanExporter(dsn)

    assert "canary-pass" not in say(wrong.value)
    assert "canary-pass" not in logged_here.read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseDouble]:
    """A ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


def test_a_ledger_that_does_not_open_says_no_password(
    server: ClickHouseDouble, logged_here: Path, tmp_path: Path
) -> None:
    """
    A refused password, a server that is away and a missing table: errors, logs and quarantine name none of them.
    """
    secret = "canary-pass-51b2"
    said = ""
    for dsn in (
        f"http://writer:{secret}@127.0.0.1:{server.port}/x",
        f"http://writer:{secret}@127.0.0.1:1/x",
        f"https://writer:{secret}@127.0.0.1:{server.port}/x",
    ):
        with pytest.raises(LLMCostError) as failed:
            connect(dsn)
        said += say(failed.value)
    place = parse_dsn(server.dsn("missing"))
    journal = Journal(tmp_path / "journal", ledger=place.fingerprint)
    journal.append("llm_requests", "202611", encode_row(request_row(a_request())))
    journal.close()
    with connect(place) as ledger:
        shipped = ship_once(ledger, tmp_path / "journal", fingerprint=place.fingerprint)
        said += say(shipped.stopped) if shipped.stopped else ""
        said += repr(ledger) + str(ledger.dsn) + repr(ledger.dsn) + repr(ledger.__dict__)
    assert shipped.stopped is not None
    said += logged_here.read_text() + contents(tmp_path / "journal").decode("utf-8", "replace")

    for word in (secret, PASSWORD, "s3cret"):
        assert word not in said


def test_no_repr_shows_a_password(server: ClickHouseDouble, tmp_path: Path) -> None:
    """
    Settings, exporter, processor and their parts can be printed.
    """
    settings = Settings(dsn=server.dsn("printed"), journal_dir=tmp_path)
    exporter = ClickHouseSpanExporter(settings=settings)
    processor = LLMCostSpanProcessor(exporter)
    printed = "".join(map(repr, (settings, exporter, processor, exporter.__dict__, processor.__dict__)))
    exporter.shutdown()

    assert "s3cret" not in printed


APPLICATION = """
import os, sys
from pathlib import Path
from otel_llmcost import ClickHouseSpanExporter, record_request, Usage
exporter = ClickHouseSpanExporter()
record_request(provider="openai", model="gpt-5.4-mini", usage=Usage(input_tokens=1), exporter=exporter)
assert exporter.force_flush(10_000)
me = Path("/proc/self")
print((me / "cmdline").read_bytes() + b" ".join(task.read_bytes() for task in me.glob("task/*/comm")))
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="a process list to look at")
def test_the_process_list_shows_no_password(server: ClickHouseDouble, tmp_path: Path) -> None:
    """
    An application that has its DSN in the environment shows it to nobody who lists processes and threads.
    """
    with connect(server.dsn("listed")) as ledger:
        migrations.apply(ledger)
    listed = subprocess.run(
        [sys.executable, "-c", APPLICATION],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "OTEL_LLMCOST_DSN": server.dsn("listed"),
            "OTEL_LLMCOST_JOURNAL_DIR": str(tmp_path / "journal"),
        },
    )

    assert "python" in listed.stdout
    assert "s3cret" not in listed.stdout + listed.stderr
