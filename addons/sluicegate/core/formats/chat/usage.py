"""What a Chat Completions answer says of itself: the same facts as core/messages/usage.py reads from a Messages answer."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from sluicegate.core.messages.usage import ResponseFacts
from sluicegate.core.translate.errors import chat_fault, fault_to_messages
from sluicegate.core.translate.outcomes import reported_usage, stop_reason
from sluicegate.core.wire.sse import SSEEvent, SSEParser

__all__ = ["ChatReader", "WithoutUsageChunk"]

_MAX_JSON: Final = 32 * 1024 * 1024
_MAX_TOOLS: Final = 100
_DONE: Final = b"[DONE]"


class ChatReader:
    """Reads a passing response without a content encoding. Never raises: what it cannot read it notes.

    A stream with a finish reason is complete: not every server sends [DONE].
    """

    __slots__ = ("_body", "_ended", "_size", "_sse", "_status", "facts")

    def __init__(self, content_type: str, status: int = 200) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        self.facts = ResponseFacts(stream=kind == "text/event-stream")
        self._sse = SSEParser() if self.facts.stream else None
        self._body: list[bytes] | None = [] if kind == "application/json" or kind.endswith("+json") else None
        self._status = status
        self._size = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            if self._sse is not None:
                for event in self._sse.feed(data):
                    self._event(event)
            elif self._body is not None:
                self._size += len(data)
                if self._size > _MAX_JSON:
                    self._give_up("the answer is too large to be read")
                else:
                    self._body.append(data)
        except Exception as e:  # noqa: BLE001 - the stream continues, whatever a hostile body does
            self._give_up(f"{type(e).__name__} while reading the answer")

    def end(self) -> None:
        """The body has ended. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._body:
                self._document(b"".join(self._body))
        except Exception as e:  # noqa: BLE001
            self.facts.note = f"{type(e).__name__} while reading the answer"
        self._body = None

    def _give_up(self, why: str) -> None:
        self.facts.note = why
        self._sse = self._body = None

    def _event(self, event: SSEEvent) -> None:
        self.facts.events += 1
        if event.data == _DONE:
            self.facts.ended = True
            return
        value = _loads(event.data)
        if isinstance(value, dict):
            self._take(value, "delta")

    def _document(self, body: bytes) -> None:
        value = _loads(body)
        if not isinstance(value, dict):
            self.facts.note = "the response is not a JSON object"
            return
        self.facts.complete, self.facts.size = True, len(body)
        self._take(value, "message")

    def _take(self, value: dict[str, Any], part: str) -> None:
        facts = self.facts
        if fault := chat_fault(value):
            error = fault_to_messages(fault, self._status if self._status >= 400 else None)["error"]
            facts.error_type, facts.error_message = error["type"], _text(error["message"], 300)
            return
        facts.model = _text(value.get("model")) or facts.model
        facts.message_id = _text(value.get("id")) or facts.message_id
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choice(choice, part)
        usage = value.get("usage")
        groq = value.get("x_groq")  # Groq has its own field for a stream's usage, too
        usage = usage or (groq.get("usage") if isinstance(groq, dict) else None)
        if usage:
            facts.usage.take(reported_usage(usage))

    def _choice(self, choice: dict[str, Any], part: str) -> None:
        said = choice.get(part)
        said = said if isinstance(said, dict) else {}
        calls = said.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            name = _text(function.get("name")) if isinstance(function, dict) else None
            if name and len(self.facts.tools) < _MAX_TOOLS:
                self.facts.tools.append(name)
        finish = _text(choice.get("finish_reason"))
        if finish:
            self.facts.complete = True
            self.facts.stop_reason = stop_reason(finish, called=bool(self.facts.tools), refused=bool(said.get("refusal")))


def _text(v: object, limit: int = 200) -> str | None:
    return v[:limit].encode("utf-8", "replace").decode() if isinstance(v, str) and v else None


def _loads(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


class WithoutUsageChunk:
    """Removes from a stream the usage chunk that the gate, not the client, asked for. All other bytes stay.

    Events end with a blank line; the chunk is the one with `"choices":[]` and a usage.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        end = max(data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n") + 2)
        if end < 2:
            self._held = data
            return b""
        whole, self._held = data[: end + 2], data[end + 2 :]
        if b'"choices"' not in whole or b"usage" not in whole:
            return whole
        mark = b"\r\n\r\n" if b"\r\n\r\n" in whole else b"\n\n"
        return b"".join(e + mark for e in whole.removesuffix(mark).split(mark) if not _is_usage_chunk(e))

    def end(self) -> bytes:
        held, self._held = self._held, b""
        return held


def _is_usage_chunk(event: bytes) -> bool:
    if not event.startswith(b"data:") or b"usage" not in event or len(event) > 4096:
        return False
    value = _loads(event[5:])
    return isinstance(value, dict) and value.get("choices") == [] and isinstance(value.get("usage"), dict)
