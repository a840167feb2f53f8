"""
Requests whose text is no UTF-8: each bad byte becomes U+FFFD, so that one of them does not cost a sender its batch.

Protobuf refuses a whole message for one byte. Read with the same descriptors, but with bytes where they say text, it is
whole. Limits: slower than the strict reading, which is tried first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["with_whole_text"]

_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_BYTES: Final = FieldDescriptorProto.TYPE_BYTES


def with_whole_text(body: bytes) -> bytes:
    """Give an encoded `ExportTraceServiceRequest` with U+FFFD for what is no UTF-8. Raises `DecodeError`: it is none."""
    request_class, text_fields = _request_of_bytes()
    request = request_class.FromString(body)
    _mend(request, text_fields)
    whole: bytes = request.SerializeToString()
    return whole


def _mend(message: Any, text_fields: frozenset[str]) -> None:
    # As deep as protobuf lets messages nest, which is 100; one part at a time, because each costs memory once it is seen.
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if isinstance(value, Message) else value:
                _mend(part, text_fields)
        elif field.full_name not in text_fields:
            continue
        elif isinstance(value, bytes):
            if not value.isascii():
                setattr(message, field.name, _mended(value))
        else:
            value[:] = [_mended(each) for each in value]


def _mended(text: bytes) -> bytes:
    return text.decode(errors="replace").encode()


@functools.cache
def _request_of_bytes() -> tuple[Any, frozenset[str]]:
    """Give the class of a request whose text is bytes, and the names of those fields: ids are bytes that stay as they are."""
    pool = DescriptorPool()
    text_fields: set[str] = set()
    for file in _files(ExportTraceServiceRequest.DESCRIPTOR.file, {}):
        held = FileDescriptorProto()
        file.CopyToProto(held)
        for name, field in _fields(held.message_type, held.package):
            if field.type == _TEXT:
                field.type = _BYTES
                text_fields.add(name)
        pool.Add(held)
    found = pool.FindMessageTypeByName(ExportTraceServiceRequest.DESCRIPTOR.full_name)
    return GetMessageClass(found), frozenset(text_fields)


def _files(file: FileDescriptor, found: dict[str, FileDescriptor]) -> Iterable[FileDescriptor]:
    """Give a file behind those that it needs."""
    for needed in file.dependencies:
        _files(needed, found)
    found[file.name] = file
    return found.values()


def _fields(messages: Iterable[DescriptorProto], path: str) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for message in messages:
        name = f"{path}.{message.name}"
        for field in message.field:
            yield f"{name}.{field.name}", field
        yield from _fields(message.nested_type, name)
