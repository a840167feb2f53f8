"""
How every dialect reads: the first name that is present, nothing added up, nothing guessed, content never touched.

A span's totals overlap (all input contains cached input); `disjoint` turns them into `Usage`, whose counts never do.
Every value may be hostile: of any type, of any size. What is read is cut to a bound before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, TypeAlias

from otel_llmcost.model import COUNTS, MAX_COUNT, NO_USAGE, Attributes, SpanView, Usage, changer, maker

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
        if value is not None and isinstance(value, str) and (text := value[:MAX_TEXT].strip()):
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
    if span.status_code == "ok" or (not named and span.status_code != "error"):
        return "success", ""  # a status of OK is a decision: an error type beside it is an earlier try's
    kind = named or (span.exception_type or "")[:MAX_TEXT]
    folded = kind.lower().replace("_", "").replace(" ", "")
    if any(word in folded for word in _TIMEOUTS):
        return "timeout", kind
    if any(word in folded for word in _CANCELS):
        return "cancelled", kind
    return "error", kind


_new_usage: Final = maker(Usage)
_common_usage: Final = changer(
    Usage, "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"
)
_MODALITIES: Final = frozenset({"audio_input", "cached_audio", "audio_output", "image_input", "image_output"})
_LIFETIMES: Final = frozenset({"cache_write_5m", "cache_write_1h", "cache_write_12h"})
_RARE: Final = _MODALITIES | _LIFETIMES | {"web_search_calls", "file_search_calls", "code_execution_calls"}
"""Totals that most spans do not have, so that one look tells that none of them needs to be asked for."""


def disjoint(totals: Totals, *, exclusive: bool) -> tuple[Usage, Convention, tuple[str, ...]]:
    """
    Turn overlapping totals into counts that never overlap.

    Returns (usage, convention, impossible), where `impossible` says which part is larger than its whole.
    """
    get = totals.get
    fresh, output, reasoning = get("input"), get("output"), get("reasoning")
    cached, written = get("cached"), get("cache_write")
    is_rare = not _RARE.isdisjoint(totals)
    if is_rare and not written and not _LIFETIMES.isdisjoint(totals):
        # Some give the lifetimes alone, and LangChain gives 0 beside them.
        written = sum(get(name, 0) for name in _LIFETIMES)
    convention: Convention = "exclusive" if exclusive else "inclusive"
    if fresh is not None:
        taken = 0 if exclusive else (cached or 0) + (written or 0)
        if taken > fresh:
            convention, taken = "inferred_exclusive", 0
        fresh += get("tool_prompt", 0) - taken
    if (thoughts := get("thoughts")) is not None:
        output, reasoning = (output or 0) + thoughts, thoughts
    if is_rare:
        usage = _rare_usage(totals, (fresh, cached, written, output, reasoning))
        return usage, convention, _impossible(usage)
    usage = _common_usage(
        NO_USAGE,
        input_tokens=fresh,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    return usage, convention, ()  # nothing but cache was taken from a total here, and that was seen to fit


def _rare_usage(totals: Totals, common: tuple[int | None, ...]) -> Usage:
    """Give the counts of a span that splits cache writes by lifetime, or shows audio, images or tools."""
    get = totals.get
    fresh, cached, written, output, reasoning = common
    hour, half_day, audio = get("cache_write_1h"), get("cache_write_12h"), get("audio_input")
    if written and (hour or half_day):
        written -= (hour or 0) + (half_day or 0)
    if not _MODALITIES.isdisjoint(totals):
        spoken, drawn = get("cached_audio", 0), get("image_input", 0)
        audio = _less(audio, spoken)
        fresh, cached = _less(fresh, (audio or 0) + drawn), _less(cached, spoken)
        output = _less(output, get("audio_output", 0) + get("image_output", 0))
    return _new_usage(
        input_tokens=fresh,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        cache_write_12h_tokens=half_day,
        output_tokens=output,
        audio_input_tokens=audio,
        cached_audio_input_tokens=get("cached_audio"),
        audio_output_tokens=get("audio_output"),
        image_input_tokens=get("image_input"),
        image_output_tokens=get("image_output"),
        web_search_calls=get("web_search_calls"),
        file_search_calls=get("file_search_calls"),
        code_execution_calls=get("code_execution_calls"),
        reasoning_tokens=reasoning,
    )


def _impossible(usage: Usage) -> tuple[str, ...]:
    if min(filter(None, usage.counts), default=0) >= 0:
        return ()
    counts = zip(COUNTS, usage.counts, strict=True)
    return tuple(f"{name}={count}: a part is larger than its whole" for name, count in counts if (count or 0) < 0)


def _less(whole: int | None, part: int) -> int | None:
    return None if whole is None else whole - part
