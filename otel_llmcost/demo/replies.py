"""
What a script tells the simulator to answer, in the words of `model.Usage`: counts that never overlap.

Each provider's overlapping counts are made from these (`openai_shapes`, `anthropic_shapes`), so a test can compare a
stored row with the very `Usage` that it scripted. A mapping instead of a `Usage` goes out as it is: for broken counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_llmcost.model import COUNTS, Usage

__all__ = ["CannotSayError", "Event", "Received", "Reply", "counts", "words"]


SMALL_USAGE: Final = Usage(input_tokens=100, output_tokens=20)


class CannotSayError(ValueError):
    """A scripted count has no place in this provider's usage object; the simulator answers 400 and says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One HTTP request as the provider saw it: what leak tests look at."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, object]

    @property
    def model(self) -> str:
        """The model asked for, or "" when the body names none."""
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def stream(self) -> bool:
        """Whether the caller asked for server-sent events."""
        return self.body.get("stream") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer; the default is a small success from the model that was asked for."""

    usage: Usage | Mapping[str, object] | None = SMALL_USAGE
    """The truth to be billed. A mapping is sent verbatim as the usage object; None leaves the usage out."""
    model: str = ""
    """The model that answers; "" is the one asked for."""
    response_id: str = ""
    """"" is a fresh id in the provider's form."""
    text: str = "It is done."
    service_tier: str = ""
    """The tier that answered; "" is the one asked for, as the provider names it in responses."""
    speed: str = ""
    """Anthropic's `usage.speed`, left out when ""."""
    region: str = ""
    """Anthropic's `usage.inference_geo`, left out when ""."""
    status: int = 200
    """Any other status answers with the provider's own error body."""
    retry_after: float | None = None
    """Seconds for the `retry-after` header of an error."""
    delay: float = 0.0
    """Seconds of silence before the answer: longer than the caller's timeout, it is a timeout."""
    cut_after: int | None = None
    """Break the connection after this many events of a stream."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; OpenAI's chat stream gives its events no name."""

    data: Mapping[str, object] | str
    name: str = ""


def counts(usage: Usage, sayable: frozenset[str]) -> dict[str, int]:
    """Give every count as a number, None as 0, or raise `CannotSayError` for one that is not in `sayable`."""
    known = {name: count for name, count in zip(COUNTS, usage.counts, strict=True) if count}
    if lost := known.keys() - sayable:
        raise CannotSayError(f"this usage object has no place for {', '.join(sorted(lost))}")
    return {name: known.get(name, 0) for name in COUNTS}


def words(text: str) -> Iterator[str]:
    """Cut a text into the pieces of a stream, one word each, spaces kept."""
    first, *rest = text.split(" ")
    yield first
    yield from (f" {word}" for word in rest)
