"""
What a request says that ended before the prices were there, so that a repair prices it later to the same picodollar.

A row keeps everything that selects a price but the price attributes of its span (`server.address`, …): they are written
into its `detail`, as JSON at the end. Limits: what is longer than `_LONGEST` is not kept; then nobody guesses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from otel_llmcost.model import Unpriced

__all__ = ["PRICES_NOT_LOADED", "keep_attributes", "kept_attributes"]

PRICES_NOT_LOADED: Final = "prices_not_loaded"
"""The reason of a request that ended before the prices were there."""
_MARK: Final = " Priced by: "
_LONGEST: Final = 4096


def keep_attributes(price: Unpriced, attributes: Mapping[str, object]) -> Unpriced:
    """Write the price attributes of a request that is unpriced for that reason into its detail."""
    text = json.dumps(dict(attributes), sort_keys=True, default=_plain)
    return replace(price, detail=f"{price.detail}{_MARK}{text}") if len(text) <= _LONGEST else price


def kept_attributes(detail: str) -> Mapping[str, object] | None:
    """Read them again; None: they were not kept, which is not the same as that there were none."""
    _, mark, text = detail.partition(_MARK)
    if not mark:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text)  # other notes may follow
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
