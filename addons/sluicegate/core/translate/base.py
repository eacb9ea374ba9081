"""What every translation offers to the stage that runs it, and how it says that something can not be carried over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

__all__ = ["Answer", "Losses", "Malformed", "Policy", "State", "Transform", "Translated", "Translation", "Unsupported"]

Policy = Literal["refuse", "drop"]
"""What happens to a part of a request that the other API has no word for: a 400 that names it, or dropped and told."""

_MAX_NAMED: Final = 24
_INDEX: Final = re.compile(r"\[\d+\]")


class Transform(Protocol):
    """Bytes in, bytes out; `end()` is called once, at the clean end, and yields what was held back."""

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Malformed(Exception):
    """A body that is not what its API takes. `str()` of it is fit for the client: a path and a reason, no contents."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}" if path else what)
        self.path, self.what = path, what


class Unsupported(Malformed):
    """A part of a request that the other API can not express, under the policy `refuse`."""

    def __init__(self, path: str, what: str, what_to_do: str) -> None:
        super().__init__(path, f"{what}. {what_to_do}")
        self.what_to_do = what_to_do


@dataclass(frozen=True, slots=True)
class State:
    """What the translation of an answer must know of its request."""

    model: str
    """The model that the provider was asked for: named in the answer where the provider names none."""
    stream: bool = False
    usage_chunk: bool = False
    """A Chat Completions client asked for the usage chunk at a stream's end."""
    thinking: bool = False
    """The client asked for thinking and can take it in an answer."""
    tool_names: Mapping[str, str] = field(default_factory=dict)
    """A tool's name as it was sent → its name with the client, where they differ."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in the provider's format. `dropped`: what it lost, as short names fit for a header."""

    body: bytes = field(repr=False)
    dropped: tuple[str, ...]
    state: State


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer comes to the client: its status, its content type, and what its bytes go through.

    A transform of JSON raises `Malformed` from `end()` where a successful answer makes no sense: there is nothing that
    could be given to the client in its place. A stream ends with an error event instead.
    """

    status: int
    content_type: str
    transform: Transform
    whole: bool = False
    """The transform gives nothing before the end: whether the answer makes sense can be told before any of it goes out."""


class Translation(Protocol):
    """A client's API on one side, a provider's on the other. Without state: one object serves all requests."""

    def request(self, body: bytes, *, model: str) -> Translated:
        """The client's request for the provider, which is asked for `model`. Raises Malformed and Unsupported."""
        ...

    def answer(self, status: int, content_type: str, state: State, *, id: str, now_s: int) -> Answer:
        """How to translate the provider's answer, which has this status and content type and no content encoding.

        `id` names the answer (and tool calls in it) where the provider does not: unique per exchange, in printable
        ASCII. `now_s`: Unix seconds, for formats that state a time.
        """
        ...


class Losses:
    """Collects what a request loses on its way, and refuses what must not be lost."""

    __slots__ = ("_names", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names: dict[str, None] = {}

    def tell(self, name: str) -> None:
        """Dropped under every policy, because the answer's meaning does not hang on it."""
        if len(self._names) < _MAX_NAMED:
            self._names[name] = None

    def unsupported(self, path: str, what: str, what_to_do: str = "Remove it, or use a provider that supports it.") -> None:
        """Refuse the request, or go on without this part of it."""
        if self._policy == "refuse":
            raise Unsupported(path, what, f"{what_to_do} `translate.unsupported: drop` sends the request without it")
        self.tell(_INDEX.sub("[]", path))

    def told(self) -> tuple[str, ...]:
        return tuple(self._names)
