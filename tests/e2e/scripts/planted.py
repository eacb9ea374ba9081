"""A stage that does what a request's `x-trouble` header says: raise in one of its methods, refuse, answer, wait, alter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.install import install
from sluicegate.stages import Stage


def _raise(_: bytes = b"") -> None:
    raise RuntimeError("planted secret-in-the-exception")


class Planted(Stage):
    name = "planted"
    reads_websockets = False

    def _trouble(self, x: Exchange) -> str:
        return x.request.headers.get("x-trouble", "")

    def head(self, x: Exchange) -> None:
        if self._trouble(x) == "head":
            _raise()

    def request(self, x: Exchange) -> Awaitable[None] | None:
        trouble = self._trouble(x)
        if trouble in WAITING:
            return WAITING[trouble](x)
        if trouble == "request":
            _raise()
        if trouble == "exit":
            raise SystemExit(1)
        if trouble == "generator":
            raise GeneratorExit
        if trouble == "refuse":
            raise Refused(418, "refused by the planted stage", retry_after=7)
        if trouble == "answer-itself":
            x.answer = http.Response.make(200, b"its own", {"content-type": "text/plain"})
        if trouble == "alter":
            x.request.headers["x-altered"] = "yes"
        return None

    def answer(self, x: Exchange) -> None:
        trouble = self._trouble(x)
        if trouble == "answer":
            _raise()
        if trouble == "tap":
            x.taps.observe(_raise, name="planted")
        if trouble == "tap-end":
            x.taps.observe(lambda _: None, done=_raise, name="planted")
        if trouble in ("change", "change-end"):
            x.taps.change(_Change(trouble), name="planted")
        if trouble == "tap-cancelled":
            x.taps.observe(_cancelled, name="planted")

    def settle(self, x: Exchange) -> None:
        if self._trouble(x) == "settle":
            _raise()


class _Change:
    """A tap that may change bytes, and fails at the first of them or at the end."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def feed(self, data: bytes) -> bytes:
        if self.trouble == "change":
            _raise()
        return data

    def end(self) -> bytes:
        _raise()
        return b""


def _cancelled(_: bytes) -> None:
    raise asyncio.CancelledError


async def _raise_later(_: Exchange) -> None:
    await asyncio.sleep(0)
    _raise()


async def _cancelled_later(_: Exchange) -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def _cancels_its_task(_: Exchange) -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(0)


async def _refuses_later(_: Exchange) -> None:
    await asyncio.sleep(0)
    raise Refused(429, "refused later")


async def _waits(x: Exchange) -> None:
    await x.life.until_gone()


async def _never_looks(_: Exchange) -> None:
    await asyncio.sleep(1)


WAITING: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "async": _raise_later,
    "async-cancelled": _cancelled_later,
    "async-task-cancelled": _cancels_its_task,
    "async-refuse": _refuses_later,
    "wait": _waits,
    "wait-blindly": _never_looks,
}

install(Planted)
