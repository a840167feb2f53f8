"""Bodies that a sender cannot mend: text that is no Unicode costs nobody a batch, and compression costs no time."""

from __future__ import annotations

import gzip
import time

import pytest

from otel_llmcost.model import SpanView
from otel_llmcost.receiver.bodies import JSON, PROTOBUF, Malformed, expand, read_body
from tests.receiver.conftest import Journaling
from tests.receiver.otlp import CALL, a_span, as_json, as_protobuf, batch, joined

PLACE = b"<the place>"
OTLP = batch(
    a_span(1, attributes={**CALL, "llmcost.team": "caf<the place>é", "<the place>": 1}, name="<the place>"),
    *(a_span(number) for number in range(2, 52)),
    scope="<the place>",
    resource={"service.name": "<the place>"},
)


def views(body: bytes, encoding: str) -> list[SpanView]:
    """Read a body whose every span can be read."""
    found = list(read_body(body, encoding))
    assert not any(isinstance(each, str) for each in found)
    return [each for each in found if isinstance(each, SpanView)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\xff", "�"),
        (b"\xf0\x9f\x98", "�"),
        (b"\xed\xa0\xbd", "���"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "�" * 11),
    ],
)
@pytest.mark.parametrize("encoding", [PROTOBUF, JSON])
def test_bytes_that_are_no_text_are_replaced(encoding: str, written: bytes, read: str) -> None:
    """
    A byte that is no UTF-8, in values, keys, names and resources, becomes U+FFFD, and everything else is as it was.
    """
    if encoding == JSON:
        body = as_json(OTLP).replace(PLACE, written)
        clean = as_json(OTLP).replace(PLACE, read.encode())
    else:
        # Of the same length, so that the lengths in front of it hold.
        padded = written + b"." * (len(PLACE) - len(written))
        body = as_protobuf(OTLP).replace(PLACE, padded)
        clean = as_json(OTLP).replace(PLACE, read.encode() + b"." * (len(PLACE) - len(written)))
    (first, *_) = found = views(body, encoding)

    assert len(found) == 51
    assert str(first.attributes["llmcost.team"]).startswith("caf" + read)
    assert found == views(clean, JSON)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"\ud83d", "�"),
        (rb"\uDE00", "�"),
        (rb"\ud83d\ud83d\ude00", "�😀"),
        (rb"\ude00\ud83d", "��"),
        (rb"\\ud83d \ud83d", r"\ud83d �"),
        (rb"\\\ud83d\n", "\\�\n"),
        (rb"\ud83dA", "�A"),
    ],
)
def test_halves_of_surrogate_pairs_are_replaced(written: bytes, read: str) -> None:
    """
    Half a pair, as JavaScript writes text that it cut, becomes U+FFFD; pairs and escaped backslashes stay.
    """
    (first, *_) = found = views(as_json(OTLP).replace(PLACE, written), JSON)

    assert (len(found), first.name, first.resource["service.name"]) == (51, read, read)


def test_bad_text_loses_no_request(intake: Journaling) -> None:
    """
    Each request of a batch with a bad byte is journaled, with its cost.
    """
    body = as_protobuf(OTLP).replace(PLACE, b"\xff" * len(PLACE))
    taken = intake.intake.take(read_body(body, PROTOBUF))

    assert (taken.spans, taken.rejected) == (51, 0)
    assert [row["cost_usd"] for row in intake.rows()] == ["0.0129"] * 51


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (as_protobuf(OTLP).replace(PLACE, b"\xff" * len(PLACE))[:-3], PROTOBUF),
        (as_json(OTLP).replace(PLACE, rb"\ud83d")[:-3], JSON),
        (as_json(OTLP).replace(PLACE, rb"\ud83"), JSON),
        (as_json(OTLP).replace(PLACE, b"\xff\n"), JSON),
        (b"[" * 100_000 + rb'"\ud83d"', JSON),
        (rb'{"resourceSpans": [NaN, "\ud83d"]}', JSON),
    ],
)
def test_bad_text_hides_nothing_else(body: bytes, encoding: str) -> None:
    """
    A body that is cut, or is wrong in another way, stays refused, whatever its text is.
    """
    with pytest.raises(Malformed):
        views(body, encoding)


def test_gzip_of_many_members() -> None:
    """
    A few dozen members in a row are one body; hundreds of thousands of empty ones are refused in no time.
    """
    text = b"".join(b"%d " % number for number in range(200_000))
    parts = [text[at : at + len(text) // 63] for at in range(0, len(text), len(text) // 63)]
    assert len(parts) == 64
    assert expand(b"".join(map(gzip.compress, parts))) == text
    many = gzip.compress(b"") * 500_000
    began = time.process_time()
    with pytest.raises(Malformed, match="more than 64 members"):
        expand(many)

    assert time.process_time() - began < 0.5


def test_a_resource_is_read_once() -> None:
    """
    The same resource in another part or body is the same object, by which its owner is remembered; another is not.
    """
    web, shop = (batch(a_span(1), resource={"service.name": name, "host.id": 7}) for name in ("web", "shop"))
    first, second, third = views(as_protobuf(joined([web, shop, web])), PROTOBUF)
    (again,) = views(as_protobuf(web), PROTOBUF)

    assert first.resource is third.resource is again.resource
    assert (first.resource, second.resource) == tuple({"service.name": name, "host.id": 7} for name in ("web", "shop"))
