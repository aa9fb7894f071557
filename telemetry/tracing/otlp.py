"""OTLP's bytes of light spans, written by hand (opentelemetry-proto 1.x, trace.proto).

Protobuf's own messages cost as much again as everything else that a traced request costs. Fields
that repeat (names, attributes of a route or a statement) are encoded once and kept, under bounds.
A test holds these bytes against protobuf's parser for generated spans.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.ids import new_span_id, next_span_id
from telemetry.tracing.light import Event, Fixed, LightSpan, LightTracer, WholeSpan, unfolded
from telemetry.tracing.values import unix_nanoseconds

#: Trace id, span id, parent's span id, start and end, each behind its tag.
_CHILD = struct.Struct("<2s16s2s8s2s8sBQBQ").pack
_ROOT = struct.Struct("<2s16s2s8sBQBQ").pack
#: The same for a span told as a tuple: the field's own tag and length, what it shares with others
#: of its parent, its span id, start and end.
_WHOLE = struct.Struct("<3s34s2s8s1sQ1sQ").pack
_WHOLE_HEAD = 62
#: Flags, trace id and parent's id: what the spans below one have in common.
_SIBLINGS = struct.Struct("6s2s16s2s8s").pack
#: A varint below this needs no third byte.
_TWO_BYTES = 0x4000
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
#: Field 16, fixed32: the trace flags, and bit 8 says that bit 9 tells whether the parent is remote.
_FLAGS = [b"\x85\x01" + bytes((flags, 1, 0, 0)) for flags in range(256)]
_FLAGS_REMOTE = [b"\x85\x01" + bytes((flags, 3, 0, 0)) for flags in range(256)]

#: Texts that come again; those of other keys differ with every request.
_KEPT_KEYS = frozenset({"user_agent.original", "client.address", "error.type"})
_MOST_KEPT = 4096
#: Longer texts are not kept: together they would take hundreds of megabytes.
_LONGEST_KEPT = 512
_kept: dict[Any, bytes] = {}
_last_correlation = ("", b"")
#: By tag, key and length: an attribute up to its text.
_before_text: dict[tuple[bytes, str, int], bytes] = {}
_before_correlation: dict[int, bytes] = {}
#: By length: how a span begins.
_heads: dict[int, bytes] = {}


#: The pieces of each scope's spans.
Scopes = dict[LightTracer, list[bytes]]


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
    if isinstance(value, Mapping):
        return field(b"\x32", attributes_of(b"\x0a", value))
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
            parts.append(_kept.get((tag, key, value)) or _keep((tag, key, value)))
        else:
            parts += _text_attribute(tag, key, value)
    return b"".join(parts)


def _text_attribute(tag: bytes, key: str, value: str) -> tuple[bytes, bytes]:
    """An attribute with a text. All before the text is kept: it depends on the length alone."""
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        encoded = text(value)
    before = (tag, key, len(encoded))
    known = _before_text.get(before)
    if known is None:
        known = key_value(key, value)
        known = field(tag, known)[: -len(encoded) or None]
        if len(_before_text) < _MOST_KEPT:
            _before_text[before] = known
    return known, encoded


def _keep(attribute: tuple[bytes, str, Any]) -> bytes:
    tag, key, value = attribute
    encoded = field(tag, key_value(key, value))
    _remember(attribute, encoded)
    return encoded


def _remember(key: Any, encoded: bytes) -> None:
    if len(encoded) > _LONGEST_KEPT:
        return
    if len(_kept) >= _MOST_KEPT:
        _kept.clear()
    _kept[key] = encoded


def _name(name: str) -> bytes:
    known = _kept.get(name)
    if known is None:
        known = field(b"\x2a", text(name))
        _remember(name, known)
    return known


def _fixed(fixed: Fixed, name: str, kind: SpanKind) -> bytes:
    """Name, kind and what the span shares with others; kept while they are the same."""
    if not fixed.encoded or fixed.name != name or fixed.kind is not kind:
        fixed.encoded = _name(name) + _KIND[kind] + attributes_of(b"\x4a", fixed.attributes)
        fixed.name, fixed.kind = name, kind
    return fixed.encoded


def _correlation(correlation_id: str) -> bytes:
    """The attribute, kept from one span to the next: those of a request come together."""
    global _last_correlation
    encoded = correlation_id.encode("utf-8", "replace")
    before = _before_correlation.get(len(encoded))
    if before is None:
        before, _ = _text_attribute(b"\x4a", "correlation_id", correlation_id)
        if len(encoded) < _MOST_KEPT:
            _before_correlation[len(encoded)] = before
    encoded = before + encoded
    _last_correlation = (correlation_id, encoded)
    return encoded


def _head(length: int) -> bytes:
    """Tag and length of a span shorter than ``_TWO_BYTES``; as a varint of two bytes, which nearly
    all need and a shorter length may have too."""
    made = _heads[length] = bytes((0x12, length & 0x7F | 0x80, length >> 7))
    return made


def _fields(spans: Sequence[LightSpan | WholeSpan], offset: int) -> Scopes:
    """Field 2 of ScopeSpans of each span, in pieces: they are joined once.

    What is a tuple is encoded here; a call for each would be a tenth of it.
    """
    scopes: Scopes = {}
    pieces: list[bytes] = []
    scope: LightTracer | None = None
    trace: bytes | None = None
    parent: bytes | None = None
    correlation: str | None = None
    shared_with_siblings = tail = b""
    for span in spans:
        if not isinstance(span, tuple):
            _scope(scopes, span.tracer).append(span_field(span, offset))
            continue
        tracer, name, kind, trace_id, parent_id, correlation_id, fixed, flags, started, ended = span
        if tracer is not scope:
            scope, pieces = tracer, _scope(scopes, tracer)
        if parent_id is not parent or correlation_id is not correlation or trace_id is not trace:
            trace, parent, correlation = trace_id, parent_id, correlation_id
            shared_with_siblings = _SIBLINGS(
                _FLAGS[flags], b"\x0a\x10", trace_id, b"\x22\x08", parent_id
            )
            tail = _correlation(correlation_id) if correlation_id else b""
        same = fixed.name is name and fixed.kind is kind
        shared = fixed.encoded if same else _fixed(fixed, name, kind)
        length = _WHOLE_HEAD + len(shared) + len(tail)
        if length >= _TWO_BYTES:
            pieces.append(span_field(unfolded(span), offset))
            continue
        try:
            span_id = next_span_id()
        except IndexError:
            span_id = new_span_id()
        pieces += (
            _WHOLE(
                _heads.get(length) or _head(length), shared_with_siblings, b"\x12\x08", span_id,
                b"\x39", started + offset, b"\x41", ended + offset,
            ),
            shared,
            tail,
        )  # fmt: skip
    return scopes


def span_field(span: LightSpan, offset: int) -> bytes:
    """A span as field 2 of ScopeSpans; ``offset`` makes dates of its times."""
    start, end = span.started, span.ended
    # As unix_nanoseconds() does it.
    start = start + offset if start >= 0 else ~start
    end = end + offset if end >= 0 else ~end
    if span.parent_id:
        body = _CHILD(
            b"\x0a\x10", span.trace_id, b"\x12\x08", span.span_id, b"\x22\x08", span.parent_id,
            0x39, start, 0x41, end,
        )  # fmt: skip
    else:
        body = _ROOT(b"\x0a\x10", span.trace_id, b"\x12\x08", span.span_id, 0x39, start, 0x41, end)
    fixed, attributes, correlation_id = span.fixed, span.set_attribute_values, span.correlation_id
    if fixed is None:
        body += _name(span.name) + _KIND[span.kind]
    else:
        same = fixed.name is span.name and fixed.kind is span.kind
        body += fixed.encoded if same else _fixed(fixed, span.name, span.kind)
    if attributes:
        body += attributes_of(b"\x4a", attributes)
        if ATTRIBUTE in attributes:
            # User code's own; no key may come twice.
            correlation_id = ""
    if correlation_id:
        told = _last_correlation
        body += told[1] if told[0] is correlation_id else _correlation(correlation_id)
    body += (_FLAGS_REMOTE if span.parent_remote else _FLAGS)[span.flags]
    if span.set_events or span.set_links or span.status_code is not _UNSET or span.trace_state:
        body += _rest(span, offset)
    if span.dropped_attributes:
        body += b"\x50" + varint(span.dropped_attributes)
    if span.dropped_events:
        body += b"\x60" + varint(span.dropped_events)
    if span.dropped_links:
        body += b"\x70" + varint(span.dropped_links)
    length = len(body)
    if length < _TWO_BYTES:
        return (_heads.get(length) or _head(length)) + body
    return b"\x12" + varint(length) + body


def _rest(span: LightSpan, offset: int) -> bytes:
    """What few spans have."""
    parts = []
    if span.trace_state:
        parts.append(field(b"\x1a", text(span.trace_state.to_header())))
    parts += [field(b"\x5a", _event(event, offset)) for event in span.set_events]
    for link in span.set_links:
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
    if span.status_code is not StatusCode.UNSET:
        status = field(b"\x12", text(span.description)) if span.description else b""
        status += b"\x18" + varint(span.status_code.value)
        parts.append(field(b"\x7a", status))
    return b"".join(parts)


def _event(event: Event, offset: int) -> bytes:
    told = _EVENT_TIME(0x09, unix_nanoseconds(event.time, offset)) + field(
        b"\x12", text(event.name)
    )
    return told + attributes_of(b"\x1a", event.attributes)


def resource(attributes: Mapping[str, Any]) -> bytes:
    """Resource, as field 1 of ResourceSpans."""
    return field(b"\x0a", attributes_of(b"\x0a", attributes))


def request(resource_field: bytes, spans: Sequence[LightSpan | WholeSpan], offset: int) -> bytes:
    """ExportTraceServiceRequest."""
    parts = [resource_field]
    for pieces in _fields(spans, offset).values():
        parts += (b"\x12", varint(sum(map(len, pieces))), *pieces)
    return b"".join((b"\x0a", varint(sum(map(len, parts))), *parts))


def _scope(scopes: Scopes, tracer: LightTracer) -> list[bytes]:
    pieces = scopes.get(tracer)
    if pieces is None:
        told = field(b"\x0a", text(tracer.name))
        if tracer.version:
            told += field(b"\x12", text(tracer.version))
        pieces = scopes[tracer] = [field(b"\x0a", told)]
    return pieces


__all__: Sequence[str] = ("request", "resource", "span_field")
