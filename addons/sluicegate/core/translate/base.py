"""The interface of every translation between two formats, and how it treats fields that the target cannot express."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

__all__ = [
    "Losses",
    "Malformed",
    "Policy",
    "RequestState",
    "Transform",
    "TranslatedRequest",
    "TranslatedResponse",
    "Translator",
    "Unsupported",
]

Policy = Literal["refuse", "drop"]
"""What happens to a part of a request that the other format cannot express: refused with a 400 that names it, or dropped
and reported."""

_MAX_NAMED: Final = 24
_INDEX: Final = re.compile(r"\[\d+\]")


class Transform(Protocol):
    """Bytes in, bytes out. `end()` is called once, after the last byte of a complete body, and returns the rest."""

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Malformed(Exception):
    """A body that its own API would reject. `str()` of it is fit for the client: a path and a reason, no contents."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}" if path else what)
        self.path, self.what = path, what


class Unsupported(Malformed):
    """A part of a request that the other format cannot express, under the policy `refuse`."""

    def __init__(self, path: str, what: str, what_to_do: str) -> None:
        super().__init__(path, f"{what}. {what_to_do}")
        self.what_to_do = what_to_do


@dataclass(frozen=True, slots=True)
class RequestState:
    """What the translation of a response must know of its request."""

    model: str
    """The model that the provider was asked for; the response names it if the provider names none."""
    stream: bool = False
    usage_chunk: bool = False
    """A Chat Completions client asked for the usage chunk at the end of its stream."""
    thinking: bool = False
    """The client asked for thinking and accepts it in a response."""
    tool_names: Mapping[str, str] = field(default_factory=dict)
    """A tool's name as sent → its name at the client, if they differ."""


@dataclass(frozen=True, slots=True)
class TranslatedRequest:
    """A request in the provider's format. `dropped`: the fields it lost, as short names fit for a header."""

    body: bytes = field(repr=False)
    dropped: tuple[str, ...]
    state: RequestState


@dataclass(frozen=True, slots=True)
class TranslatedResponse:
    """How a response reaches the client: its status, its content type, and the transform of its bytes.

    A transform of JSON raises `Malformed` from `end()` if a successful response is invalid: nothing can be sent to the
    client in its place. A stream ends with an error event instead.
    """

    status: int
    content_type: str
    transform: Transform
    whole: bool = False
    """The transform returns nothing before the end, so an invalid response is known before any of it is sent."""


class Translator(Protocol):
    """A client's format on one side, a provider's on the other. Without state: one object serves all requests."""

    def request(self, body: bytes, *, model: str) -> TranslatedRequest:
        """The client's request for the provider, which is asked for `model`. Raises Malformed and Unsupported."""
        ...

    def answer(self, status: int, content_type: str, state: RequestState, *, id: str, now_s: int) -> TranslatedResponse:
        """How to translate the provider's response with this status and content type, without a content encoding.

        `id` names the response (and its tool calls) if the provider does not: unique per exchange, printable ASCII.
        `now_s`: Unix seconds, for formats that state a time.
        """
        ...


class Losses:
    """Collects the fields that a request loses in translation, and refuses those that must not be lost."""

    __slots__ = ("_names", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names: dict[str, None] = {}

    def drop(self, name: str) -> None:
        """Drop a field under every policy: it does not affect the response."""
        if len(self._names) < _MAX_NAMED:
            self._names[name] = None

    def unsupported(self, path: str, what: str, what_to_do: str = "Remove it, or use a provider that supports it.") -> None:
        """Refuse the request, or continue without this part of it."""
        if self._policy == "refuse":
            raise Unsupported(path, what, f"{what_to_do} `translate.unsupported: drop` sends the request without it")
        self.drop(_INDEX.sub("[]", path))

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(self._names)
