"""ClientFormat: all that the gate knows of one API that clients call. One object for each; registry.py lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from sluicegate.core.errors import error_type, own_error_type
from sluicegate.core.formats.first_look import EventSays
from sluicegate.core.formats.path_endings import PathEnding
from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.redact.walk.body_shapes import Shape
from sluicegate.core.wire.sse import SSEEvent

if TYPE_CHECKING:  # loaded when first needed: translation takes a tenth of a second
    from sluicegate.core.translate.base import Policy, Transform

__all__ = ["ClientFormat", "ClientRequest", "EncodeResponse", "EncodedResponse", "ErrorAnswer", "Kind", "plain"]

Kind = Literal["answers", "counts", "none"]
"""What a request of a format asks for: an answer of a model, a count of tokens, or neither."""


class ErrorAnswer(NamedTuple):
    """An error of the gate's own as an HTTP answer. `fields`: header fields by lower-case name."""

    status: int
    fields: dict[str, str]
    body: bytes


class EncodedResponse(NamedTuple):
    """How an answer of the Messages API reaches the client. None: unchanged."""

    status: int
    content_type: str | None = None
    transform: Transform | None = None
    fields: dict[str, str] = {}  # noqa: RUF012 - never changed
    whole: bool = False
    """The transform gives nothing before the end, and raises there if the answer makes no sense."""


class EncodeResponse(Protocol):
    """An answer of the Messages API → how it reaches the client, with a transform of its own for each call."""

    def __call__(self, status: int, content_type: str, *, id: str, now_s: int) -> EncodedResponse: ...


def _unchanged(status: int, content_type: str, *, id: str, now_s: int) -> EncodedResponse:
    return EncodedResponse(status)


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A client's request as one of the Messages API, with the way back for its answer."""

    surface: Literal["messages", "count_tokens"]
    body: bytes = field(repr=False)
    betas: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    """The request's fields that the Messages API cannot express."""
    version: str | None = None
    """The version of the Messages API, if the request names one."""
    encode_response: EncodeResponse = _unchanged


class _ToMessages(Protocol):
    def __call__(self, path: str, body: bytes, *, model: str, unsupported: Policy) -> ClientRequest: ...


class _ErrorAnswer(Protocol):
    def __call__(self, status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClientFormat:
    """One format. No slot has a default: a new format answers each question.

    Paths go without a method and with their query; bodies without a content encoding. Slots that translate import
    the translation when they are called.
    """

    name: str
    """The surface, as records, metrics and the audit name it: a promise."""
    kind: Kind
    known: bool
    """The gate knows what its paths do. On others, the provider's key could reach what other clients left there."""
    served_as: str | None
    """Its words in the list of what the gate serves; None: not listed."""

    paths: tuple[PathEnding, ...]
    """How its paths are recognised."""
    usual_path: str | None
    """The path that nearly all of its requests have; None if the path names the model."""

    speaks_messages: bool
    """Requests and answers are those of the Messages API: nothing is translated for the client."""
    answers_like_messages: bool
    """An untranslated answer can be read as one of the Messages API: the documents are the same, whatever frames them."""
    keeps_thinking: bool
    """Its requests carry back what a model thought, in the blocks of the Messages API."""
    takes_cache_markers: bool
    """The gate may add breakpoints of the prompt cache to its requests."""

    body_shape: Shape | None
    """Which strings of a body are scanned for secrets, and which are the API's own; None: it depends on the path."""
    readable_body: Callable[[bytes], bytes]
    """The document that holds the conversation, if the body wraps it."""
    sendable_body: Callable[[bytes], bytes]
    """The way back from `readable_body`."""
    read_facts: Callable[[str, bytes], RequestFacts | None]
    """(path, body) → the facts of a request; None if the body is not a JSON object."""
    rename: Callable[[str, bytes, str], tuple[str, bytes]]
    """(path, body, model) → path and body for another model. ValueError if the request names none."""

    to_messages: _ToMessages
    """See `decode_request`, which callers use. Raises Malformed or ValueError."""

    error_answer: _ErrorAnswer
    """(status, type, message, exchange id): an error with a type of the Messages API, as this format states it."""
    error_in_stream: Callable[[str, str], bytes]
    """(type, message) → the event or frame that ends a stream with an error."""
    stream_type: str
    """What the content type of a stream contains."""
    stream_break: bytes
    """What ends an event that was cut off, before another one can follow."""
    event_says: Callable[[SSEEvent], EventSays]
    """What an event of a stream means for its beginning: the first look (first_look.py) asks."""
    ping: bytes | None
    """What keeps a silent stream alive; None if the format has no such thing."""

    answers: bool = field(init=False)
    """A request asks for an answer of a model."""
    inference: bool = field(init=False)
    """A request holds a conversation, whether it asks for an answer or for a count."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", self.kind == "answers")
        object.__setattr__(self, "inference", self.kind != "none")

    def decode_request(self, path: str, body: bytes, *, model: str, unsupported: Policy = "refuse") -> ClientRequest:
        """A request as one of the Messages API. `model`: what the provider is asked for. Raises Malformed."""
        try:
            return self.to_messages(path, body, model=model, unsupported=unsupported)
        except ValueError as e:
            from sluicegate.core.translate.base import Malformed

            raise Malformed("", str(e)) from None

    def shown_status(self, status: int) -> int:
        """The status with which an error of the gate's own reaches a client."""
        return self.error_answer(status, own_error_type(status), "").status

    def last_event(self, content_type: str, message: str) -> bytes:
        """What ends a stream that broke off; b"" if the answer is not a stream of this format."""
        if self.stream_type not in content_type:
            return b""
        return self.stream_break + self.error_in_stream(error_type(502), message)


def plain(text: str) -> str:
    """Text without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
