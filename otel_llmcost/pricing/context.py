"""
The context of a request that selects its price: service tier, batch, speed, region and a few attributes.

Providers spell the same thing differently: Anthropic answers `service_tier: batch` where OpenAI has another endpoint,
and `standard`, `default`, `auto` and `on_demand` all mean the list price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["STANDARD", "Context"]

STANDARD: Final = frozenset({"", "default", "standard", "auto", "on_demand", "normal", "none"})
"""Tiers and speeds that mean the list price."""

PUBLISHED_ATTRIBUTES: Final = ("search_type", "route")
"""Context keys of the published data (Perplexity, OpenRouter) that only an attribute can carry."""


def _word(text: str | None) -> str:
    word = (text or "").strip().lower().replace("-", "_")
    return "" if word in STANDARD else word


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rate may depend on; empty texts mean the standard price."""

    service_tier: str = ""
    batch: bool = False
    speed: str = ""
    region: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, service_tier: str | None, batch: bool, speed: str | None, region: str | None, attributes: Mapping[str, str]
    ) -> Self:
        """Bring the spellings of tier and speed to one form."""
        tier = _word(service_tier)
        return cls(
            service_tier="" if tier == "batch" else tier,
            batch=bool(batch) or tier == "batch",
            speed=_word(speed),
            region=(region or "").strip().lower(),
            attributes=attributes,
        )

    def required(self) -> set[str]:
        """Give the published keys that are not standard: a rate must speak for all of them."""
        named = {"service_tier": self.service_tier, "processing": self.batch, "speed": self.speed}
        return {key for key, value in named.items() if value}

    def published(self) -> dict[str, str]:
        """Give the context in the words of the published data's variants."""
        words = {"service_tier": self.service_tier, "processing": "batch" if self.batch else "", "speed": self.speed}
        words |= {key: self.attributes[key] for key in PUBLISHED_ATTRIBUTES if key in self.attributes}
        return {key: value for key, value in words.items() if value}

    def as_text(self) -> dict[str, str]:
        """Give the published context as it is stored in a rate's content."""
        batch = {"batch": "true"} if self.batch else {}
        return batch | {key: value for key, value in self.published().items() if key != "processing"}

    def words(self) -> str:
        """Name what is not standard, for a person: `priority`, `batch`."""
        parts = (self.service_tier, "batch" if self.batch else "", self.speed and f"speed={self.speed}")
        return " + ".join(filter(None, parts)) or "standard"
