"""Light spans on their way to a real receiver: what a test sees is what came over the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource

from telemetry.tracing.light import LightProvider
from telemetry.tracing.otlp_exporter import OtlpExporter
from telemetry.tracing.processor import QueueProcessor
from tests.telemetry.receiver import Receiver

RESOURCE = Resource({"service.name": "wire"})


class Wire:
    """A provider, its queue and an exporter to ``receiver``; what was dropped, by reason."""

    def __init__(self, receiver: Receiver, *, sampled: bool = True) -> None:
        self.receiver = receiver
        self.dropped: Counter[str] = Counter()
        self.queue = QueueProcessor()
        self.queue.reset()
        self.queue.count_dropped = self._count
        self.queue._exporter = OtlpExporter(
            receiver.url, RESOURCE.attributes, count_dropped=self.queue.dropped
        )
        self.queue._chosen = True
        self.provider = LightProvider(
            lambda _trace, parent: sampled if parent is None else parent,
            self.queue.add,
            self.queue.add_all,
            self.queue.dropped,
            RESOURCE,
            self.queue,
        )
        self.queue.at_shutdown = self.provider.shut_processors_down
        self.tracer = self.provider.get_tracer("test", "1.0")

    def _count(self, reason: str, spans: int) -> None:
        self.dropped[reason] += spans

    def spans(self) -> dict[str, Span]:
        """What the receiver has, by name."""
        assert self.provider.force_flush(10_000)
        return {span.name: span for span in self.receiver.spans}


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a link. Fails where a key comes twice."""
    found = {pair.key: plain(pair.value) for pair in holder.attributes}
    assert len(found) == len(holder.attributes), [pair.key for pair in holder.attributes]
    return found


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


MakeWire = Callable[..., Wire]
