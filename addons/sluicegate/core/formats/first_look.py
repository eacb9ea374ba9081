"""The first look at an answer under a status of success: whether it begins as one, however its bytes are cut. Pure.

Nothing of the answer has reached the client, so an attempt that fails here can be repeated.

    a stream      up to its first event with content. Before it: an error is a failure, the end of the stream too
    a document    all of it, or its first 64 KiB: no JSON object, or an error, is a failure
    no stream     where the request asked for one: a failure, whatever it is
    no body       a redirect, 204 and 205: a failure by the status alone
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sluicegate.core.errors import ERROR_STATUS
from sluicegate.core.wire.encoding import DecodeError, Decoder, UnknownEncoding, decoder
from sluicegate.core.wire.json_object import loads, top, utf8
from sluicegate.core.wire.sse import SSEEvent, SSEParser

if TYPE_CHECKING:  # the package brings both translations along
    from sluicegate.core.translate.base import Transform

__all__ = [
    "CONTENT",
    "MAX_HELD",
    "NOTHING",
    "OPENS",
    "Begins",
    "EventSays",
    "Fails",
    "FirstLook",
    "chat_event_says",
    "fault_of_document",
    "fault_of_status",
    "messages_event_says",
]

MAX_HELD: Final = 64 * 1024
"""Bytes of an answer that are held back at most, before it is passed on or discarded."""
_MAX_DECODED: Final = 16 * MAX_HELD
_OF_THE_MOMENT: Final = frozenset({"overloaded_error", "rate_limit_error", "api_error", "timeout_error"})
"""Error types after which another attempt may succeed."""
_NO_BODY: Final = frozenset({204, 205})
_ENOUGH_TO_DETECT: Final = 4
"""Bytes after which an encoding is known (RFC 4627, 3)."""
_ABSENT: Final = frozenset({b"null", b"false", b'""', b"{}", b"[]"})
_FIELDS_OF_STREAMS: Final = (b"event:", b"data:", b"retry:", b"id:", b":")
"""How the first line of an event stream begins."""


# -- what one event says


class EventSays(NamedTuple):
    """What an event means for the beginning of its stream. opens: the answer begins, without content yet."""

    kind: Literal["nothing", "opens", "content", "error"]
    error_type: str = ""
    """Of the Messages API."""


NOTHING: Final = EventSays("nothing")
OPENS: Final = EventSays("opens")
CONTENT: Final = EventSays("content")


def messages_event_says(event: SSEEvent) -> EventSays:
    """An event of the Messages API."""
    name = event.event
    if name == b"message":  # a server that gives its events no names
        named = _member(loads(event.data), "type")
        name = named.encode("utf-8", "replace") if isinstance(named, str) else name
    if name == b"error":
        kind = _member(_member(loads(event.data), "error"), "type")
        return EventSays("error", kind if isinstance(kind, str) else "api_error")
    return NOTHING if name == b"ping" else OPENS if name == b"message_start" else CONTENT


def chat_event_says(event: SSEEvent) -> EventSays:
    """A chunk of Chat Completions: the first one often names the role alone."""
    value = loads(event.data)
    if not isinstance(value, dict):
        return CONTENT  # [DONE]
    if event.event == b"error" or value.get("error"):
        return EventSays("error", _error_of(value).error_type)
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        return NOTHING if value.get("usage") is None else CONTENT
    return CONTENT if any(_has_content(choice) for choice in choices) else OPENS


def _has_content(choice: object) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason") is not None:
        return True
    delta = choice.get("delta")
    return not isinstance(delta, dict) or any(value for name, value in delta.items() if name != "role")


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


# -- the verdict


@dataclass(frozen=True, slots=True)
class Begins:
    """The answer begins well, or in a way that is not judged here."""


@dataclass(frozen=True, slots=True)
class Fails:
    message: str
    status: int
    """The HTTP status that says the same."""
    is_answer: bool = False
    """The provider's own words can go to the client as they are, if no other attempt follows."""
    error_type: str | None = None
    """Of the Messages API, if the provider reported an error."""


class _Error(NamedTuple):
    error_type: str
    message: str


def _error_of(value: dict[str, Any]) -> _Error:
    """The error of a document or chunk of any format."""
    from sluicegate.core.translate.errors import chat_fault, fault_to_messages

    fault = chat_fault(value)
    if fault is None:
        return _Error("api_error", "the provider reported an error")
    kind = fault.code if fault.code in ERROR_STATUS else fault_to_messages(fault)["error"]["type"]
    return _Error(kind, fault.message)


def _status_of(kind: str) -> int:
    return 502 if kind == "api_error" else ERROR_STATUS[kind]


def fault_of_status(status: int) -> Fails | None:
    """The failure that the status alone shows. `status`: one below 400."""
    if status in _NO_BODY:
        return Fails(f"the upstream answered HTTP {status}, which has no body", 502)
    if 300 <= status < 400:
        return Fails(f"the upstream answered HTTP {status}: a redirect is not followed", 502)
    return None


def fault_of_document(body: bytes) -> Fails | None:
    """Why a whole JSON answer is none; None if it is one."""
    given = top(body)
    if given is None:
        return Fails(_what(body), 502)
    if any(_has(given, name) for name in ("content", "choices", "input_tokens", "inputTokens")):
        return None
    reports = _has(given, "error") or _has(given, "detail") or given.get("object") == b'"error"'
    if not reports and given.get("type") != b'"error"':
        return None
    value = loads(body)
    error = _error_of(value if isinstance(value, dict) else {})
    return Fails(f"{error.error_type}: {error.message[:300]}", _status_of(error.error_type), error_type=error.error_type)


def _has(given: dict[str, bytes], name: str) -> bool:
    return given.get(name, b"null") not in _ABSENT


def _what(body: bytes) -> str:
    """What came in place of an answer, without quoting it."""
    begun = utf8(body).lstrip()[:1]
    if not begun:
        return "the upstream's answer is empty"
    if begun == b"<":
        return "the upstream answered with a page (HTML or XML) in place of JSON"
    return "the upstream's answer is not a JSON object"


# -- the look


class FirstLook:
    """Reads an answer up to where it can be judged.

    `asked_stream`: the request asked for one. `is_stream`: the answer's head says that it is one.
    `patient`: an opening without content is not enough, as another attempt may follow.
    `to_events`: what turns the decoded bytes into server-sent events; None if they are.
    """

    __slots__ = (
        "_any",
        "_asked_stream",
        "_coding",
        "_empty",
        "_events",
        "_head",
        "_is_object",
        "_patient",
        "_says",
        "_to_events",
        "begun",
    )

    def __init__(
        self,
        says: Callable[[SSEEvent], EventSays],
        *,
        asked_stream: bool,
        is_stream: bool,
        patient: bool,
        encoding: str = "",
        to_events: Transform | None = None,
    ) -> None:
        self._says, self._to_events = says, to_events
        self._asked_stream, self._patient = asked_stream, patient
        self._coding = _decoder(encoding)
        self._events = SSEParser(_MAX_DECODED) if is_stream else None
        self._head = bytearray()
        self._is_object = False
        self._empty, self._any = True, False
        self.begun = False
        """The answer has opened: what follows may take its time."""

    def feed(self, data: bytes, *, ended: bool) -> Begins | Fails | None:
        """The verdict, or None if more bytes are needed. `ended`: these are the last ones."""
        self._empty = self._empty and not data
        if ended and self._empty:
            return Fails("the stream ended before its first event" if self._events else _what(b""), 502)
        if self._coding is None:
            return Begins()
        try:
            data = self._coding.feed(data)
        except DecodeError:
            return Begins()
        return self._of_events(self._events, data, ended) if self._events else self._of_document(data, ended)

    def _of_events(self, events: SSEParser, data: bytes, ended: bool) -> Begins | Fails | None:
        found = events.feed(self._to_events.feed(data) if self._to_events else data)
        if ended and self._to_events:
            found += events.feed(self._to_events.end())
        for event in found:
            says = self._says(event)
            if says.kind == "error":
                return _of_error(says.error_type)
            self.begun = self.begun or says.kind == "opens"
            if says.kind == "content" or (self.begun and not self._patient):
                return Begins()
        self._any = self._any or bool(found)
        if not ended:
            return None
        if not self._any and not self._asked_stream:
            return Begins()  # bytes without an event, and no request for one
        return Fails("the stream ended before any content", 502)

    def _of_document(self, data: bytes, ended: bool) -> Begins | Fails | None:
        self._head += data
        if self._is_object and not ended:  # an upstream may send byte by byte: what is known is not read again for each
            return None if len(self._head) <= MAX_HELD else self._no_stream(None)
        if not self._is_object and not self._head.strip():
            self._head.clear()  # blank lines that keep the connection open
        head = utf8(bytes(self._head)).lstrip()
        if not ended and (not head or len(self._head) < _ENOUGH_TO_DETECT):
            return None
        if self._asked_stream and head.startswith(_FIELDS_OF_STREAMS):  # a stream, whatever the server calls it
            self._events = SSEParser(_MAX_DECODED)
            return self._of_events(self._events, bytes(self._head), ended)
        if self._asked_stream and not ended and any(field.startswith(head) for field in _FIELDS_OF_STREAMS):
            return None
        if head[:1] != b"{":
            return self._no_stream(Fails(_what(head), 502))
        self._is_object = True
        if not ended:
            return None if len(self._head) <= MAX_HELD else self._no_stream(None)
        return self._no_stream(fault_of_document(bytes(self._head)))

    def _no_stream(self, fault: Fails | None) -> Begins | Fails:
        """A document can be an answer only if the request did not ask for a stream."""
        if fault is None and self._asked_stream:
            return Fails("the upstream's answer is not a stream, which the request asked for", 502)
        return fault or Begins()


def _of_error(kind: str) -> Begins | Fails:
    if kind not in _OF_THE_MOMENT:
        return Begins()
    return Fails(f"event: error ({kind})", ERROR_STATUS[kind], is_answer=True, error_type=kind)


def _decoder(encoding: str) -> Decoder | None:
    try:
        return decoder(encoding, _MAX_DECODED)
    except UnknownEncoding:
        return None
