"""`otel-llmcost price` and `rates`: arithmetic that a person can follow, JSON lines that a program can."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from otel_llmcost.cli import cli

REQUEST = ("--provider", "openai", "--model", "gpt-5.4-mini", "--at", "2026-11-01T12:00:00Z")


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Run the command line as a user would."""
    return CliRunner().invoke(cli, list(arguments), input=stdin)


def test_price_shows_its_arithmetic():
    """
    Every count, its unit price, the total, and where the price is from are on the screen, within 80 columns.
    """
    result = run("price", *REQUEST, "--input", "8000", "--cached-input", "2000", "--output", "1200")

    assert result.exit_code == 0
    assert "0.01155" in result.output
    for words in ("8,000", "0.075", "per 1M tokens", "openai/gpt-5.4-mini#", "genai-prices", "since 2026-03-17"):
        assert words in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_unpriced_says_why_and_fails():
    """
    Without a price the command says why and what to do, prints no number, and exits 1.
    """
    result = run("price", "--provider", "openai", "--model", "gpt-99", "--input", "5")

    assert result.exit_code == 1
    assert "unknown_model" in result.output
    assert "rate card" in result.output


def test_partial_is_a_lower_bound():
    """
    A cost with a part missing is printed as "at least".
    """
    result = run("price", *REQUEST, "--input", "1000", "--code-execution", "1")

    assert "at least 0.00075" in result.output
    assert "no_tool_rate" in result.output
    assert "output_unknown" in run("price", *REQUEST, "--input", "1000", "--reasoning", "400").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("price",),
        ("price", *REQUEST, "--input", "-1"),
        ("price", *REQUEST, "--at", "noon"),
        ("rates",),
        ("rates", "check"),
    ],
)
def test_wrong_usage_exits_2(arguments):
    """
    Wrong usage is told apart from a failure.
    """
    assert run(*arguments).exit_code == 2


def line(**changes: object) -> str:
    """One request as a JSON line."""
    request = {
        "id": "a", "provider": "openai", "model": "gpt-5.4-mini", "timestamp": "2026-11-01T00:00:00Z",
        "usage": {"input_tokens": 8000, "cached_input_tokens": 2000, "output_tokens": 1200},
    }  # fmt: skip
    return json.dumps({**request, **changes})


def test_json_lines_keep_order_and_go_on():
    """
    Every line gets its answer in order; a broken one says so and fails the run, the others are priced.
    """
    stdin = "\n".join(
        [
            line(), "{broken", "", line(id=3, usage={"input_tokens": 1, "batch": True}), line(id=4, model="gpt-99"),
            line(id=5, usage={"input_tokens": "7"}), line(id=6, timestamp="2026-11-01T00:00:00"), line(id=7, usage={"tokens": 1}),
            "[1]", '{"id": 9, "provider": "openai", "model": "m", "timestamp": "x", "usage": {"input_tokens": NaN}}',
            "[" * 100_000, line(id=11, usage=None), line(id=12, attributes={"discount_percent": "50"}),
        ]
    )  # fmt: skip
    result = run("price", "-", stdin=stdin)
    answers = [json.loads(text) for text in result.stdout.splitlines()]

    assert result.exit_code == 1
    assert [answer["id"] for answer in answers] == ["a", None, 3, 4, 5, 6, 7, None, None, None, 11, 12]
    assert [answer["cost_usd"] for answer in answers] == [
        "0.01155", None, "0.000000375", None, None, None, None, None, None, None, None, "0.005775",
    ]  # fmt: skip
    assert [i for i, answer in enumerate(answers) if "error" in answer] == [1, 5, 6, 7, 8, 9]
    assert sum(Decimal(part["cost_usd"]) for part in answers[0]["breakdown"]) == Decimal("0.01155")
    assert (answers[3]["reason"], answers[4]["reason"], answers[10]["reason"]) == (
        "unknown_model",
        "invalid_usage",
        "no_usage",
    )


def test_json_lines_all_good_exit_0():
    """
    Unpriced lines are answers, not failures.
    """
    assert run("price", "-", stdin=line() + "\n" + line(model="gpt-99")).exit_code == 0


def answer_to(*lines: str) -> list[dict[str, object]]:
    """What `price -` prints for these lines."""
    return [json.loads(text) for text in run("price", "-", stdin="\n".join(lines)).stdout.splitlines()]


def test_text_that_utf8_cannot_hold_stops_nobody():
    """
    Half a surrogate pair in an id is replaced in its answer, and every line is priced.
    """
    half = line(id="HALF").replace("HALF", "\\ud800")
    odd, good = answer_to(half, line(id="b"))

    assert (odd["id"], odd["cost_usd"]) == ("\ufffd", "0.01155")
    assert (good["id"], good["cost_usd"]) == ("b", "0.01155")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (line(usage=0), "usage is 0: not an object"),
        (line(usage=[]), "usage is []: not an object"),
        (line(attributes=""), 'attributes is "": not an object'),
        (line(id={"a": 1}), "id is not a text or a number"),
        (line(timestamp="2026-11-01T00:00:00"), "has no time zone; write 2026-11-01T00:00:00Z"),
        (line(timestamp="noon"), "is not an instant"),
        (line(usage={"batch": "yes"}), 'usage.batch is "yes": not true or false'),
        (line(usage={"speed": 1.5}), "usage.speed is 1.5: not a text"),
        (line(usage={"tokens": 1}), 'unknown usage "tokens"'),
        (line().replace('"provider"', '"id"'), '"id" is written twice'),
        (line().replace('"output_tokens"', '"input_tokens"'), '"input_tokens" is written twice'),
        (line().replace("8000", "8" * 500), "500 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("{broken", "the line is not JSON"),
    ],
    ids=range(14),
)
def test_a_line_that_cannot_be_read_says_so_in_plain_words(text, words):
    """
    What is wrong with a line is said in the words of JSON, and the next line is priced.
    """
    wrong, good = answer_to(text, line(id="b"))

    assert words in wrong["error"]
    assert (good["id"], good["cost_usd"]) == ("b", "0.01155")


@pytest.mark.parametrize(("count", "words"), [(8000.0, "8000.0"), (True, "true"), ("7", '"7"'), ([1], "[1]")])
def test_a_wrong_count_is_shown_as_the_line_wrote_it(count, words):
    """
    A count that is none is unpriced, and shown as JSON writes it, not as Python does.
    """
    (answer,) = answer_to(line(usage={"input_tokens": count}))

    assert answer["reason"] == "invalid_usage"
    assert answer["detail"].startswith(f"input_tokens is {words}: ")


@pytest.mark.parametrize(
    ("text", "code"), [("2026-11-01", 0), ("2026-11-01T00:00:00+02:00", 0), ("2026-11-01T00:00:00", 2)]
)
def test_times_follow_one_rule(text, code):
    """
    On the command line as in JSON lines a date is its midnight in UTC, and a time without an offset is refused.
    """
    assert run("price", *REQUEST, "--input", "1", "--at", text).exit_code == code
    assert run("rates", *REQUEST, "--at", text).exit_code == code
    assert ("error" in answer_to(line(timestamp=text))[0]) == (code == 2)


def test_numbers_are_read_exactly():
    """
    A count that is no whole number is refused with its own digits, never rounded through a float.
    """
    result = run(
        "price", "-", stdin=line(usage={}).replace('"usage": {}', '"usage": {"input_tokens": 9007199254740993.1}')
    )

    assert "9007199254740993.1" in json.loads(result.stdout)["detail"]


def test_rate_card_wins(tmp_path):
    """
    A rate card on the command line changes the price, and the output names it.
    """
    card = tmp_path / "mine.yaml"
    card.write_text(
        "rate_card: mine\nprovider: openai\nmodels: [{match: gpt-5.4-mini, rates: [{usd_per_million: {input_tokens: 7}}]}]\n"
    )
    result = run("price", *REQUEST, "--input", "1000000", "--rate-card", str(card), "--format", "json")

    assert json.loads(result.stdout)["cost_usd"] == "7"
    assert json.loads(result.stdout)["rate_source"] == "card:mine"


def test_rates_lists_and_explains():
    """
    Rates are listed with tiers and source; a name without a price says why; the list is bounded.
    """
    tiers = run("rates", "--provider", "openai", "--model", "gpt-5.4")
    unknown = run("rates", "--provider", "google", "--model", "gemini-2.5-pro-unknownsuffix")
    many = run("rates", "--provider", "openrouter", "--limit", "3", "--format", "json")

    assert "above 272,000 input tokens" in tiers.output
    assert max(map(len, tiers.output.splitlines())) <= 80
    assert (unknown.exit_code, "wildcard_match" in unknown.output) == (1, True)
    assert len(many.stdout.splitlines()) == 3
    assert json.loads(many.stdout.splitlines()[0])["provider"] == "openrouter"


def test_rates_check(tmp_path):
    """
    A good card passes; a wrong one fails with its file and line.
    """
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("rate_card: x\nprovider: vllm\nmodels: [{match: m, rates: [{free: true}]}]\n")
    bad.write_text("rate_card: x\nprovider: vllm\nmodels:\n- match: m\n  rates: [{fee: 1}]\n")

    passed, failed = run("rates", "check", str(good)), run("rates", "check", str(good), str(bad))

    assert (passed.exit_code, failed.exit_code) == (0, 1)
    assert f"{bad}:5: unknown key 'fee'" in failed.output
    assert ", 1 rate, 0 discounts and uplifts" in passed.output
