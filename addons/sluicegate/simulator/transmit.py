"""An answer as steps on the wire: framing, content coding, pace and faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sluicegate.simulator import wire
from sluicegate.simulator.behaviour import Behaviour
from sluicegate.simulator.calls import Call
from sluicegate.simulator.dialects import Dialect
from sluicegate.simulator.encodings import Encoder, encoder, negotiate
from sluicegate.simulator.errors import NativeError
from sluicegate.simulator.steps import (
    Cut,
    Last,
    Pause,
    Step,
    Steps,
    Upgrade,
)

GARBAGE = b"\x16\x03\x01\x02\x00\x01\xfe\x7fnot an answer\n\x00\x00\xff\r\n\r\n"
MAX_LAST_BYTES = 32 * 1024  # with more, a slow reader may still disconnect: not settled beforehand
SETTLE_S = 0.02  # lets written bytes reach the peer before a reset discards what is unsent


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, its headers, and a body or a stream of (event, output tokens so far)."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    events: Iterator[tuple[bytes, int]] | None = None
    upgrade: Upgrade | None = None


@dataclass(slots=True)
class Transmission:
    """One reply on its way; `steps()` is what the connection plays."""

    reply: Reply
    knobs: Behaviour
    request: wire.Request
    call: Call
    request_id: str
    dialect: Dialect

    def steps(self) -> Steps:
        steps = self._steps()
        return _in_pieces(steps, self.knobs.chunk_bytes) if self.knobs.chunk_bytes else steps

    def _steps(self) -> Steps:
        if self.knobs.first_byte_ms:
            yield Pause(self.knobs.first_byte_ms / 1000)
        if self._fails_at_start:
            yield from self._fault()
            if self.knobs.fault != "stall":
                return
        self.call.status = self.reply.status
        self.call.answered = True
        if self.reply.upgrade is not None:
            yield wire.head(self.reply.status, self.reply.headers)
            yield self.reply.upgrade
        elif self.reply.events is not None:
            yield from self._stream(self.reply.events)
        else:
            yield from self._whole()

    @property
    def _fails_at_start(self) -> bool:
        return self.knobs.place == "start" and self.knobs.fault in ("reset", "eof", "stall", "garbage")

    @property
    def _place(self) -> int | None:
        """The number of events before the fault; None without one."""
        if self.knobs.fault is None or self._fails_at_start:
            return None
        if self.knobs.fault == "error" and self.reply.events is None:  # a JSON answer reports it by its status
            return None
        return self.knobs.place if isinstance(self.knobs.place, int) else 0

    def _encoder(self, headers: list[tuple[str, str]]) -> Encoder | None:
        if self.knobs.encoding == "identity":
            return None
        coding = negotiate(self.knobs.encoding, self.request.fields.get("accept-encoding", ""))
        if coding == "identity":
            return None
        headers.append(("content-encoding", coding))
        return encoder(coding)

    def _frame_headers(self, headers: list[tuple[str, str]], length: int | None) -> bool:
        """Add the framing headers. True if the body is chunked."""
        chunked = length is None and not self.request.http_1_0
        if length is not None:
            headers.append(("content-length", str(length)))
        elif chunked:
            headers.append(("transfer-encoding", "chunked"))
        if self.knobs.close or not self.request.keep_alive or (length is None and not chunked):
            headers.append(("connection", "close"))
        elif self.request.http_1_0:
            headers.append(("connection", "keep-alive"))
        return chunked

    def _whole(self) -> Steps:
        headers = list(self.reply.headers)
        body = self.reply.body
        if (coder := self._encoder(headers)) is not None:
            body = coder.feed(body) + coder.finish()
        place = self._place
        needs_chunks = place is not None and self.knobs.fault in ("truncate", "cut")
        chunked = self._frame_headers(headers, None if needs_chunks else len(body))
        head = wire.head(self.reply.status, headers)
        if self.request.method == "HEAD":
            body = b""
        if place is None:
            yield _last(head + body)
            return
        yield head
        half = body[: len(body) // 2] if place else b""
        if half:
            yield wire.chunk(half) if chunked else half
        yield from self._fault(chunked, body[len(half) :])
        if self.knobs.fault == "stall":
            yield _last(body[len(half) :])

    def _stream(self, events: Iterator[tuple[bytes, int]]) -> Steps:
        headers = list(self.reply.headers)
        coder = self._encoder(headers)
        chunked = self._frame_headers(headers, None)
        yield wire.head(self.reply.status, headers)
        place = self._place
        delay = Pause(self.knobs.delay_ms / 1000) if self.knobs.delay_ms else None
        for number, (event, spent) in enumerate(events):
            encoded = coder.feed(event) if coder else event
            if number == place:
                yield from self._fault(chunked, encoded, coder)
                if self.knobs.fault != "stall":
                    return
                place = None
            if number and delay:
                yield delay
            self.call.events = number + 1
            self.call.output_tokens = spent
            yield wire.chunk(encoded) if chunked else encoded
        if place is not None:  # the stream ended before that place: fail at its end
            yield from self._fault(chunked, b"", coder)
            if self.knobs.fault != "stall":
                return
        yield from _finish(chunked, coder)

    def _fault(self, chunked: bool = False, following: bytes = b"", coder: Encoder | None = None) -> Steps:
        """Break off here; `following` is the next data that would have been sent."""
        fault = self.knobs.fault
        if fault == "stall":
            yield Pause(self.knobs.stall_s)
            return
        self.call.fault = f"fault:{fault}"
        match fault:
            case "truncate":
                if chunked:
                    yield Last(wire.LAST_CHUNK)
                else:
                    yield Cut("eof")
            case "error":
                error = NativeError(529, self.knobs.error_message, self.knobs.error_type)
                event = self.dialect.error_event(error, self.request_id)
                encoded = coder.feed(event) if coder else event
                yield wire.chunk(encoded) if chunked else encoded
                yield from _finish(chunked, coder)
            case "cut":
                frame = wire.chunk(following or b"event: content_block_delta\n")
                yield frame[: len(frame) // 2] if chunked else following[: len(following) // 2]
                yield Cut("eof")
            case "garbage":
                yield GARBAGE
                yield Cut("eof")
            case "reset":
                if self.call.answered:
                    yield Pause(SETTLE_S)
                yield Cut("reset")
            case _:  # eof, short
                yield Cut("eof")


def _finish(chunked: bool, coder: Encoder | None) -> Steps:
    tail = coder.finish() if coder else b""
    if tail:
        yield wire.chunk(tail) if chunked else tail
    if chunked:
        yield Last(wire.LAST_CHUNK)


def _last(data: bytes) -> Step:
    return Last(data) if len(data) <= MAX_LAST_BYTES else data


def _in_pieces(steps: Steps, size: int) -> Iterator[Step]:
    """The same steps, every write cut into pieces of `size` bytes."""
    for step in steps:
        if not isinstance(step, bytes | Last):
            yield step
            continue
        data = step if isinstance(step, bytes) else step.data
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            yield Last(piece) if isinstance(step, Last) and start + size >= len(data) else piece
            yield Pause(0)
