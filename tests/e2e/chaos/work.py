"""
What both sides of the chaos know without asking the product: which request has which number, and what it costs.

A request's number is `process * PER_PROCESS + count`. It is also its span's id, and its usage is that of no other, so
that its cost says which request it is; its price is stated in a rate card of ours, in whole picodollars a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otel_llmcost import Settings

PER_PROCESS = 100_000
INPUT_PICODOLLARS = 123_457
OUTPUT_PICODOLLARS = 1_000_003
TEAMS = 7
MODEL = "chaos-1"
RATE_CARD = f"""\
rate_card: chaos
currency: USD
provider: openai
source: https://example.com/chaos
checked: 2026-11-20
models:
  - match: {MODEL}
    rates:
      - usd_per_million: {{input_tokens: 0.{INPUT_PICODOLLARS}, output_tokens: 1.000003}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run happens, and what is different in it."""

    folder: Path
    dsn: str
    variant: str
    """`otel-llmcost` as it is; or the name of a mutant of it, or of a peer."""
    spans_per_second: int

    @property
    def settings(self) -> Settings:
        """The product's settings in every process of the run."""
        card = self.folder / "card.yaml"
        if not card.exists():
            card.write_text(RATE_CARD)
        return Settings(dsn=self.dsn, journal_dir=self.folder / "journal", rate_cards=(card,))

    @property
    def reported(self) -> Path:
        """The producers' own ledger: a file per process, a line per request whose `span.end()` has returned."""
        return self.folder / "reported"

    def ended(self) -> dict[int, list[int]]:
        """Give the number of every request that a producer saw ended, by process."""
        return {int(file.name): _numbers(file.read_bytes()) for file in self.reported.iterdir()}


def _numbers(report: bytes) -> list[int]:
    return [int(line) for line in report.splitlines(keepends=True) if line.endswith(b"\n")]


def charged(number: int) -> str:
    """Give the id of the span that carries a request's charge in the end."""
    return f"{2 * number + 2:016x}"


def charged_first(number: int) -> str:
    """Give the id of the span that carries it until a better one arrives."""
    return f"{2 * number + 1:016x}"


def response_id(number: int) -> str:
    """Give the provider's id of a request's answer."""
    return f"r-{number}"


def input_tokens(number: int) -> int:
    """Give a count that no other request has."""
    return number + 1


def output_tokens(number: int) -> int:
    """Give a count of its own kind."""
    return number % 977 + 1


def picodollars(number: int) -> int:
    """Give what a request costs."""
    return input_tokens(number) * INPUT_PICODOLLARS + output_tokens(number) * OUTPUT_PICODOLLARS


def team(number: int) -> str:
    """Give the team that owns a request."""
    return f"team-{number % TEAMS}"


def is_moved(number: int) -> bool:
    """Tell whether a better span arrives after the charged one, so that two adjustments move the charge."""
    return number // PER_PROCESS % 3 == 1 and number % 10 == 3


def is_late(number: int) -> bool:
    """Tell whether a request belongs to another month."""
    return number // PER_PROCESS % 4 == 2 and number % 10 == 7
