"""What an owner's value and an extra owner key may look like; everything else is cleaned or refused here."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from otel_llmcost import attributes as names
from otel_llmcost.attributes import OWNER_ATTRIBUTES, PREFIX
from otel_llmcost.counters import COUNTERS

__all__ = ["MAX_READ", "RESERVED", "clean_value", "is_extra_name", "plain_text"]

MAX_READ: Final = 1024
"""Longer text is cut here before it is cleaned, so that a hostile value costs no more than a long one."""
_MAX_CODE_POINTS: Final = 128
_MAX_INT_BITS: Final = 256
"""A longer number is no id, and Python refuses to print the longest ones."""

_EXTRA_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
RESERVED: Final = frozenset(
    key.removeprefix(PREFIX)
    for key in (
        *OWNER_ATTRIBUTES.values(),
        *(names.COST_USD, names.PRICE_STATUS, names.REASON, names.MISSING_RATES, names.RATE_ID, names.USAGE),
        *(names.STATUS, names.ATTEMPT, names.ATTEMPT_KIND, names.DUPLICATE_OF, names.RECORDED, names.CALL, names.RATE),
    )
)
"""No extra key may have the name of an attribute of ours: it would overwrite it on the span, a cost for instance."""

_PLAIN: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_UNWANTED: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # C0 and C1 controls; those that are white space become one blank
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls: a name must not turn the text around it
    "\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # seen by nobody
    "\ud800-\udfff]"  # lone surrogates: no UTF-8 for them, so they would fail the whole row
)


def clean_value(text: str) -> str | None:
    """
    Give a value that is safe to store, group by and print: NFC, no control, bidi or invisible characters, no lone
    surrogates, single blanks, at most 128 code points. None when nothing is left. Cleaning twice changes nothing.

    A change is counted in `owner.cleaned`.
    """
    if len(text) <= _MAX_CODE_POINTS and _PLAIN.fullmatch(text):
        return text
    # Removal comes first: it can bring a letter and its accent together, and blanks too.
    wanted = unicodedata.normalize("NFC", _UNWANTED.sub("", text[:MAX_READ]))
    cleaned = " ".join(wanted.split())[:_MAX_CODE_POINTS].rstrip()
    if cleaned != text:
        COUNTERS.add("owner.cleaned")
    return cleaned or None


def plain_text(value: object) -> str | None:
    """Give text as it is and a whole number in digits; None for anything else."""
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass, a StrEnum for instance, the text itself
    # A bool is a whole number to Python, but never an owner.
    if isinstance(value, int) and not isinstance(value, bool) and int.bit_length(value) <= _MAX_INT_BITS:
        return int.__repr__(value)
    return None


def is_extra_name(name: str) -> bool:
    """Say whether `name` may be an extra owner key."""
    return name not in RESERVED and _EXTRA_NAME.fullmatch(name) is not None
