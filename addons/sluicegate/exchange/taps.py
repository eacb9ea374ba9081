"""Taps: the one object in `flow.response.stream`. Every byte of every answer passes it, innermost tap first.

Order, from the provider to the client: translate → cache tee → restore → audit's counters. An exception in a tap never
escapes (it would wedge the connection): the tap's `on_error` decides. `fail_closed` breaks the stream, visibly and at once;
`skip` takes the tap out, and the bytes go on as they came to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["OnError", "Taps", "Transform"]

OnError = Literal["fail_closed", "skip"]


class Transform(Protocol):
    """Bytes in, bytes out; `end()` is called once, at the clean end, and returns the bytes held back."""

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


@dataclass(slots=True)
class _Observe:
    """A tap that only looks."""

    name: str
    on_error: OnError
    look: Callable[[bytes], object]
    done: Callable[[], object] | None


@dataclass(slots=True)
class _Change:
    """A tap that changes the bytes. It may hold bytes back, so it cannot be skipped: it always fails closed."""

    name: str
    transform: Transform


class Taps:
    """`taps(data) -> list[bytes]` as mitmproxy calls it; an empty chunk means the clean end of the body.

    The list never holds `b""`: on chunked HTTP/1 an empty chunk would end the body and desynchronise the connection.
    """

    __slots__ = ("_ended", "_plain", "_steps", "broken", "set_aside")

    def __init__(self) -> None:
        self._steps: list[_Observe | _Change] = []
        self._plain: list[Callable[[bytes], object]] | None = []
        self._ended = False
        self.broken: tuple[str, BaseException] | None = None
        """The tap that failed closed, and how. The caller must break the stream."""
        self.set_aside: list[tuple[str, BaseException]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def observe(
        self,
        look: Callable[[bytes], object],
        *,
        name: str,
        done: Callable[[], object] | None = None,
        on_error: OnError = "fail_closed",
    ) -> None:
        """Add a tap outside those that are there: `look(chunk)` for each chunk, `done()` at the clean end."""
        self._steps.append(_Observe(name, on_error, look, done))
        if self._plain is not None:
            self._plain.append(look)

    def change(self, transform: Transform, *, name: str) -> None:
        """Add a tap that changes the bytes."""
        self._steps.append(_Change(name, transform))
        self._plain = None

    @property
    def changes(self) -> bool:
        """Whether some tap may change bytes: then lengths and encodings of the answer no longer hold."""
        return any(isinstance(s, _Change) for s in self._steps)

    def truncate(self, length: int) -> None:
        """Drop the taps that were added after `length` of them were there (a stage that stepped aside)."""
        del self._steps[length:]
        self._replan()

    def _replan(self) -> None:
        self._plain = None if self.changes else [s.look for s in self._steps if isinstance(s, _Observe)]

    def __call__(self, data: bytes) -> Sequence[bytes]:
        if self.broken or self._ended:
            return ()
        plain = self._plain
        if data and plain is not None:  # the common case: nothing but lookers
            i = 0
            try:
                for look in plain:
                    look(data)
                    i += 1
            except BaseException as e:  # noqa: BLE001 - every fault has a declared on_error
                return () if self._fail(i, e) else self._pass(data, i)
            return (data,)
        if data:
            return self._pass(data, 0)
        return self._end()

    def _pass(self, data: bytes, start: int) -> Sequence[bytes]:
        i = start
        while i < len(self._steps):
            step = self._steps[i]
            try:
                if isinstance(step, _Observe):
                    step.look(data)
                else:
                    data = step.transform.feed(data)
                    if not data:
                        return ()
            except BaseException as e:  # noqa: BLE001 - every fault has a declared on_error
                if self._fail(i, e):
                    return ()
                continue
            i += 1
        return (data,)

    def _end(self) -> Sequence[bytes]:
        """The clean end: flush innermost first; what a tap held back passes the taps outside it."""
        out: list[bytes] = []
        i = 0
        while i < len(self._steps):
            step = self._steps[i]
            try:
                if isinstance(step, _Observe):
                    if step.done:
                        step.done()
                elif held := step.transform.end():
                    out.extend(self._pass(held, i + 1))
            except BaseException as e:  # noqa: BLE001
                if self._fail(i, e):
                    return ()
                continue
            if self.broken:
                return ()
            i += 1
        self._ended = True
        return out

    def _fail(self, index: int, error: BaseException) -> bool:
        """True: the stream is broken. False: the tap stepped aside and is gone."""
        step = self._steps[index]
        if isinstance(step, _Change) or step.on_error == "fail_closed":
            self.broken = (step.name, error)
            return True
        self.set_aside.append((step.name, error))
        del self._steps[index]
        self._replan()
        return False
