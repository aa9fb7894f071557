"""OTLP's bytes of light spans, written by hand (opentelemetry-proto 1.x, trace.proto).

Protobuf's own messages cost as much again as everything else that a traced request costs. Fields
that repeat (names, attributes of a route or a statement) are encoded once and kept, under bounds.
A test holds these bytes against protobuf's parser for generated spans.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from telemetry.tracing.light import Event, Fixed, LightSpan, LightTracer

#: Trace id, span id, parent's span id, start and end, each behind its tag.
_CHILD = struct.Struct("<2s16s2s8s2s8sBQBQ").pack
_ROOT = struct.Struct("<2s16s2s8sBQBQ").pack
_UNSET = StatusCode.UNSET
_EVENT_TIME = struct.Struct("<BQ").pack
_DOUBLE = struct.Struct("<d").pack
_KIND = {
    SpanKind.INTERNAL: b"\x30\x01",
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
#: Field 16, fixed32: sampled, and bit 8 says that bit 9 tells whether the parent is remote.
_FLAGS = b"\x85\x01\x01\x01\x00\x00"
_FLAGS_REMOTE = b"\x85\x01\x01\x03\x00\x00"

#: Texts that come again; those of other keys differ with every request.
_KEPT_KEYS = frozenset({"user_agent.original", "client.address", "error.type"})
_MOST_KEPT = 4096
_kept: dict[Any, bytes] = {}
_last_correlation: tuple[str, bytes] = ("", b"")
#: Keys of attributes, as KeyValue's field 1.
_names: dict[str, bytes] = {}


def varint(number: int) -> bytes:
    if number < 0x80:
        return _SHORT[number]
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SHORT = [bytes((number,)) for number in range(128)]


def field(tag: bytes, payload: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return tag + varint(len(payload)) + payload


def text(value: str) -> bytes:
    """UTF-8; a lone surrogate becomes a question mark."""
    return value.encode("utf-8", "replace")


def any_value(value: Any) -> bytes:  # noqa: PLR0911  one for each kind of value
    """AnyValue."""
    if isinstance(value, str):
        return field(b"\x0a", text(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            return field(b"\x0a", str(value).encode())
        return b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE(value)
    if isinstance(value, bytes):
        return field(b"\x3a", value)
    if value is None:
        return b""
    return field(b"\x2a", b"".join(field(b"\x0a", any_value(item)) for item in value))


def key_value(key: str, value: Any) -> bytes:
    """KeyValue."""
    return field(b"\x0a", text(key)) + field(b"\x12", any_value(value))


def attributes_of(tag: bytes, attributes: Mapping[str, Any]) -> bytes:
    parts = []
    for key, value in attributes.items():
        # Texts alone are kept: as keys of a dictionary 1, 1.0 and True are the same.
        if type(value) is not str:
            parts.append(field(tag, key_value(key, value)))
        elif key in _KEPT_KEYS:
            parts.append(_keep((tag, key, value)))
        else:
            parts.append(_text_attribute(tag, key, value))
    return b"".join(parts)


def _text_attribute(tag: bytes, key: str, value: str) -> bytes:
    """An attribute with a text: in one go where every length is below 128."""
    name = _names.get(key)
    if name is None:
        name = field(b"\x0a", text(key))
        if len(_names) < _MOST_KEPT:
            _names[key] = name
    encoded = value.encode("utf-8", "replace")
    length = len(encoded)
    total = len(name) + 4 + length
    if total > 127:
        return field(tag, name + field(b"\x12", field(b"\x0a", encoded)))
    return b"%b%c%b\x12%c\x0a%c%b" % (tag, total, name, length + 2, length, encoded)


def _keep(attribute: tuple[bytes, str, Any]) -> bytes:
    known = _kept.get(attribute)
    if known is None:
        tag, key, value = attribute
        known = field(tag, key_value(key, value))
        _remember(attribute, known)
    return known


def _remember(key: Any, encoded: bytes) -> None:
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[key] = encoded


def _name(name: str) -> bytes:
    known = _kept.get(name)
    if known is None:
        known = field(b"\x2a", text(name))
        _remember(name, known)
    return known


def _fixed(span: LightSpan, fixed: Fixed) -> bytes:
    """Name, kind and what the span shares with others; kept while they are the same."""
    if not fixed.encoded or fixed.name != span.name or fixed.kind is not span.kind:
        fixed.name, fixed.kind = span.name, span.kind
        fixed.encoded = (
            _name(span.name) + _KIND[span.kind] + attributes_of(b"\x4a", fixed.attributes)
        )
    return fixed.encoded


def _correlation(correlation_id: str) -> bytes:
    """The attribute, kept from one span to the next: those of a request come together."""
    global _last_correlation
    known, encoded = _last_correlation
    if known != correlation_id:
        encoded = _text_attribute(b"\x4a", "correlation_id", correlation_id)
        _last_correlation = (correlation_id, encoded)
    return encoded


def span_field(span: LightSpan, offset: int) -> bytes:
    """A span as field 2 of ScopeSpans; ``offset`` makes dates of its times."""
    start, end = span.started + offset, span.ended + offset
    if span.parent_id:
        body = _CHILD(
            b"\x0a\x10", span.trace_id, b"\x12\x08", span.span_id, b"\x22\x08", span.parent_id,
            0x39, start, 0x41, end,
        )  # fmt: skip
    else:
        body = _ROOT(b"\x0a\x10", span.trace_id, b"\x12\x08", span.span_id, 0x39, start, 0x41, end)
    fixed = span.fixed
    if fixed is None:
        body += _name(span.name) + _KIND[span.kind]
    elif fixed.encoded and fixed.name is span.name:
        body += fixed.encoded
    else:
        body += _fixed(span, fixed)
    if span.attributes:
        body += attributes_of(b"\x4a", span.attributes)
    if span.correlation_id:
        body += _correlation(span.correlation_id)
    body += _FLAGS_REMOTE if span.parent_remote else _FLAGS
    if span.events or span.links or span.status is not _UNSET or span.trace_state:
        body += _rest(span, offset)
    if span.dropped_attributes:
        body += b"\x50" + varint(span.dropped_attributes)
    length = len(body)
    if length < 0x4000:
        # A varint of two bytes, which nearly all need; a shorter length may have them too.
        return b"\x12%c%c%b" % (length & 0x7F | 0x80, length >> 7, body)
    return b"\x12" + varint(length) + body


def _rest(span: LightSpan, offset: int) -> bytes:
    """What few spans have."""
    parts = []
    if span.trace_state:
        parts.append(field(b"\x1a", text(span.trace_state.to_header())))
    parts += [field(b"\x5a", _event(event, offset)) for event in span.events]
    if span.dropped_events:
        parts.append(b"\x60" + varint(span.dropped_events))
    for link in span.links:
        context = link.context
        told = b"\x0a\x10" + context.trace_id.to_bytes(16, "big")
        told += b"\x12\x08" + context.span_id.to_bytes(8, "big")
        if context.trace_state:
            told += field(b"\x1a", text(context.trace_state.to_header()))
        told += attributes_of(b"\x22", link.attributes or {})
        # Field 6, fixed32: the flags, as for a parent.
        remote = 3 if context.is_remote else 1
        told += b"\x35" + bytes((int(context.trace_flags) & 0xFF, remote, 0, 0))
        parts.append(field(b"\x6a", told))
    if span.status is not StatusCode.UNSET:
        status = field(b"\x12", text(span.description)) if span.description else b""
        status += b"\x18" + varint(span.status.value)
        parts.append(field(b"\x7a", status))
    return b"".join(parts)


def _event(event: Event, offset: int) -> bytes:
    told = _EVENT_TIME(0x09, event.time + offset) + field(b"\x12", text(event.name))
    return told + attributes_of(b"\x1a", event.attributes)


def resource(attributes: Mapping[str, Any]) -> bytes:
    """Resource, as field 1 of ResourceSpans."""
    return field(b"\x0a", attributes_of(b"\x0a", attributes))


def request(resource_field: bytes, spans: Iterable[LightSpan], offset: int) -> bytes:
    """ExportTraceServiceRequest."""
    scopes: dict[LightTracer, list[bytes]] = {}
    for span in spans:
        encoded = scopes.get(span.tracer)
        if encoded is None:
            encoded = scopes[span.tracer] = [_scope(span.tracer.name, span.tracer.version)]
        encoded.append(span_field(span, offset))
    body = resource_field + b"".join(
        [field(b"\x12", b"".join(encoded)) for encoded in scopes.values()]
    )
    return field(b"\x0a", body)


def _scope(name: str, version: str) -> bytes:
    told = field(b"\x0a", text(name))
    if version:
        told += field(b"\x12", text(version))
    return field(b"\x0a", told)


__all__: Sequence[str] = ("request", "resource", "span_field")
