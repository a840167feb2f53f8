"""
How every dialect reads: the first name that is present, nothing added up, nothing guessed, content never touched.

A span's totals overlap (all input contains cached input); `disjoint` turns them into `Usage`, whose counts never do.
Every value may be hostile: of any type, of any size. What is read is cut to a bound before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, TypeAlias

from otel_llmcost.model import MAX_COUNT, Attributes, SpanView, Usage

__all__ = [
    "MAX_TEXT",
    "Convention",
    "Names",
    "Totals",
    "disjoint",
    "read_decimal",
    "read_status",
    "read_text",
    "read_totals",
]

Convention: TypeAlias = Literal["inclusive", "exclusive", "inferred_exclusive"]
"""Whether the input total contains cached and written tokens. `inferred_exclusive`: the table said inclusive, but the
parts are larger than the whole, which only an exclusive total explains."""
Names: TypeAlias = Mapping[str, tuple[str, ...]]
"""total -> the attributes that may hold it, best first. Totals are named as in `Totals`."""
Totals: TypeAlias = Mapping[str, int]
"""Counts as emitters give them: `input`, `output`, `cached`, `cache_write` and its parts `cache_write_5m`,
`cache_write_1h`, `cache_write_12h`, `reasoning` (inside output), `thoughts` (beside output), `audio_input`,
`cached_audio`, `audio_output`, `image_input`, `image_output`, `tool_prompt` (beside input), `<tool>_calls`, and `all`
(input and output together)."""

MAX_TEXT: Final = 512
"""Characters of an id, a name or a label that are read: longer ones are cut."""
_SHOWN: Final = 40
_MAX_NUMBER_TEXT: Final = 64


def read_totals(attributes: Attributes, names: Names) -> tuple[dict[str, int], tuple[str, ...]]:
    """
    Read each total from the first of its names that is present.

    Returns (totals, invalid), where `invalid` says `attribute=value` for each value that is not a count: negative, not
    finite, a boolean, text (numpy integers become text in the SDK), a fraction, or 2**53 and above.
    """
    totals: dict[str, int] = {}
    invalid: list[str] = []
    for total, candidates in names.items():
        for name in candidates:
            value = attributes.get(name)
            if value is None:
                continue
            if type(value) is int and 0 <= value < MAX_COUNT:
                totals[total] = value
            elif type(value) is float and value.is_integer() and 0 <= value < MAX_COUNT:
                totals[total] = int(value)  # JavaScript emitters have no integers
            else:
                invalid.append(f"{name}={_shown(value)}")
            break
    return totals, tuple(invalid)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() <= MAX_TEXT):
        return repr(value)[:_SHOWN]
    return f"<{type(value).__name__}>"  # a huge integer has no text, and a container may be large


def read_text(attributes: Attributes, *names: str) -> str:
    """Give the first of `names` that holds non-empty text, stripped and cut; else ""."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and (text := value[:MAX_TEXT].strip()):
            return text
    return ""


def read_decimal(attributes: Attributes, *names: str) -> Decimal | None:
    """Give the first of `names` that holds an amount of money, exactly as its shortest text says it."""
    for name in names:
        value = attributes.get(name)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            continue
        if isinstance(value, int) and value.bit_length() > _MAX_NUMBER_TEXT:
            continue
        try:
            amount = Decimal(str(value)[: _MAX_NUMBER_TEXT + 1])
        except InvalidOperation:
            continue
        if amount.is_finite() and 0 <= amount < 10**6:
            return amount
    return None


_TIMEOUTS: Final = ("timeout", "timedout", "deadlineexceeded", "504", "408")
_CANCELS: Final = ("cancel", "generatorexit", "aborterror")


def read_status(span: SpanView) -> tuple[Literal["success", "error", "timeout", "cancelled"], str]:
    """
    Give (status, error type). Failure is the span's status or its `error.type`; finish reasons are never read, because
    some emitters write `error` on successful calls.
    """
    named = read_text(span.attributes, "error.type")
    if span.status_code != "error" and not named:
        return "success", ""
    kind = named or (span.exception_type or "")[:MAX_TEXT]
    folded = kind.lower().replace("_", "").replace(" ", "")
    if any(word in folded for word in _TIMEOUTS):
        return "timeout", kind
    if any(word in folded for word in _CANCELS):
        return "cancelled", kind
    return "error", kind


def disjoint(totals: Totals, *, exclusive: bool) -> tuple[Usage, Convention, tuple[str, ...]]:
    """
    Turn overlapping totals into counts that never overlap.

    Returns (usage, convention, impossible), where `impossible` says which part is larger than its whole.
    """
    get = totals.get
    cached, written = get("cached"), _written(totals)
    audio, cached_audio, image = get("audio_input", 0), get("cached_audio", 0), get("image_input", 0)
    convention: Convention = "exclusive" if exclusive else "inclusive"
    fresh = get("input")
    if fresh is not None:
        taken = 0 if exclusive else (cached or 0) + (written or 0)
        if taken > fresh:
            convention, taken = "inferred_exclusive", 0
        fresh += get("tool_prompt", 0) - taken - (audio - cached_audio) - image
    output, thoughts = get("output"), get("thoughts")
    if thoughts is not None:
        output = (output or 0) + thoughts
    parts = {
        "input_tokens": fresh,
        "cached_input_tokens": _less(cached, cached_audio),
        "cache_write_tokens": _less(written, get("cache_write_1h", 0) + get("cache_write_12h", 0)),
        "cache_write_1h_tokens": get("cache_write_1h"),
        "cache_write_12h_tokens": get("cache_write_12h"),
        "output_tokens": _less(output, get("audio_output", 0) + get("image_output", 0)),
        "audio_input_tokens": _less(get("audio_input"), cached_audio),
        "cached_audio_input_tokens": get("cached_audio"),
        "audio_output_tokens": get("audio_output"),
        "image_input_tokens": get("image_input"),
        "image_output_tokens": get("image_output"),
        "web_search_calls": get("web_search_calls"),
        "file_search_calls": get("file_search_calls"),
        "code_execution_calls": get("code_execution_calls"),
        "reasoning_tokens": get("reasoning") if thoughts is None else thoughts,
    }
    impossible = tuple(
        f"{name}={part}: a part is larger than its whole" for name, part in parts.items() if (part or 0) < 0
    )
    return Usage(**parts), convention, impossible


def _written(totals: Totals) -> int | None:
    written = totals.get("cache_write")
    if written:
        return written
    # Some give the lifetimes alone, and LangChain gives 0 beside them.
    lifetimes = [n for name in ("5m", "1h", "12h") if (n := totals.get(f"cache_write_{name}")) is not None]
    return sum(lifetimes) if lifetimes else written


def _less(whole: int | None, part: int) -> int | None:
    return None if whole is None else whole - part
