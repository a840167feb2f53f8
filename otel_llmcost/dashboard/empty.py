"""The page of a period without requests: what is the matter, and the lines that make the first one appear."""

from __future__ import annotations

from otel_llmcost.dashboard.page import Asked, Page
from otel_llmcost.dashboard.wording import count

__all__ = ["empty_page"]


def empty_page(asked: Asked, title: str) -> Page:
    """Say what to do where there are no requests: none at all, or none here."""
    waiting = asked.house.backlog()
    sentences = ["There are no requests in this period with these filters."]
    if waiting.segments:
        sentences.append(
            f"{count(waiting.segments)} segments of the journal wait to be shipped: look again in a few seconds."
        )
    else:
        sentences.append(
            "If your application runs already, look at a longer period, and at what `otel-llmcost doctor` says about its "
            "ledger and journal. If not, these lines make its first request appear here:"
        )
    code = (
        "from otel_llmcost import ClickHouseSpanExporter, LLMCostSpanProcessor, attributed\n\n"
        f'provider.add_span_processor(LLMCostSpanProcessor(exporter=ClickHouseSpanExporter("{asked.house.place}")))\n'
        'with attributed(team="support", feature="reply-draft", customer_id="acme"):\n    ...'
    )
    context = {"sentences": sentences, "code": "" if waiting.segments else code}
    return Page(title=title, template="empty.html", context=context)
