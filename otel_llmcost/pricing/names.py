"""
Model names as they are written on spans, and what may stand around the name in the price data.

The published data matches many models by prefix or substring, so that `gemini-2.5-pro-unknownsuffix` gets a price.
Here, what the match leaves over must be a form that cannot change the price: a snapshot date, `-latest`, `-preview`, a
version such as `-v1:0`, or, in front, a Bedrock region or ARN. Anything else is `wildcard_match`, not a price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from otel_llmcost.providers import published_id

__all__ = ["candidates", "snapshot_date", "stands_around"]

_SUFFIX: Final = re.compile(
    r"""(?:[-@:_]?(?:
        latest | default | preview | exp | experimental
      | \d{4}-\d{2}-\d{2} | \d{8} | \d{2}-\d{2}-\d{4} | \d{2}-\d{4} | \d{2}-\d{2}   # 2025-05-14, 20250514, 09-2025, 05-06
      | \d{4} | \d{3}                                                                # 2507, 0324, 001
      | v\d+(?:[.:]\d+)? | (?<=:)\d | \d+k                                           # v1:0, v0.1, :0, :24k
    ))*""",
    re.VERBOSE,
)
_PREFIX: Final = re.compile(
    r"""(?:arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:(?:inference-profile|foundation-model)/)?
        (?:(?:us|eu|jp|apac|au|in|ca|sa|me|af|il|us-gov|global)\.)?
        (?:(?:ai21|amazon|anthropic|cohere|deepseek|gemini|google|meta|mistral|moonshotai|openai|qwen|vertex_ai|zai)[./])?""",
    re.VERBOSE,
)
_ARN: Final = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:(?:inference-profile|foundation-model)/(.+)")
"""The ARNs that name a model; those of application inference profiles, imports and provisioned throughput hide theirs."""
_PATH: Final = re.compile(r"(?:.*/)?(?:publishers/[^/]+/)?models/(.+)")
_COMPACT_DATE: Final = re.compile(r"-(20\d{2})([01]\d)([0-3]\d)(?=$|[-@:])")
_DASHED_DATE: Final = re.compile(r"[-@](20\d{2})-([01]\d)-([0-3]\d)(?=$|[-@:])")
_DATE: Final = re.compile(r"(?<!\d)(20[12]\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")


def stands_around(before: str, matched: str, after: str) -> bool:
    """Tell whether the text around a match cannot change the price."""
    if after[:1].isdigit() and matched[-1:].isdigit():  # the match ended within a number: claude-sonnet-4-2025|0514
        digits = re.search(r"\d+$", matched)
        after = f"-{digits.group()}{after}" if digits else after
    elif after and matched[-1:] in "-@:":
        after = f"-{after}"
    elif after[:1].isalnum():
        return False
    return bool(_SUFFIX.fullmatch(after) and _PREFIX.fullmatch(before))


def snapshot_date(text: str) -> str:
    """Give the first date in a model name as `YYYY-MM-DD`, or ""."""
    found = _DATE.search(text)
    return "-".join(found.groups()) if found else ""


def _without_vendor(name: str, provider: str, relatives: tuple[str, ...]) -> str:
    vendor, slash, rest = name.partition("/")
    return rest if slash and published_id(vendor) in (provider, *relatives) else ""


def candidates(model: str, provider: str, relatives: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """
    Give the forms of a model name to look up, best first, each with the rule that made it.

    `provider` is an id of the price data, `relatives` those whose models it also sells (Azure: OpenAI's). The rule is
    "" for the name as it came; a fine-tune is only ever looked up as one, so that it never gets its base's price.
    """
    name = model.strip().lower()
    if name.startswith("ft:"):
        yield ":".join(name.split(":")[:2]), "fine_tune"
        return
    forms = [(name, "")]
    if path := _PATH.fullmatch(name):
        forms.append((path.group(1), "path"))
    if resource := _ARN.fullmatch(name):
        forms.append((resource.group(1), "path"))
    if short := _without_vendor(name, provider, relatives):
        forms.append((short, "vendor_prefix"))
    if provider == "openrouter" and name.endswith(":beta"):  # OpenRouter's self-moderated variant, at the same price
        forms.append((name.removesuffix(":beta"), "alias"))
    for form, rule in forms:
        yield form, rule
        if _COMPACT_DATE.search(form):
            yield _COMPACT_DATE.sub(r"-\1-\2-\3", form), "snapshot"
        if _DASHED_DATE.search(form):
            yield _DASHED_DATE.sub(r"-\1\2\3", form), "snapshot"
