"""proxy/fast/inline_hooks.py: hooks that need not wait are run inline, all others are left to mitmproxy."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)
from mitmproxy.test import tflow

from sluicegate.proxy.fast import inline_hooks
from sluicegate.proxy.fast.dispatch import CachedAddonManager
from sluicegate.proxy.fast.inline_hooks import run_hooks_inline
from sluicegate.proxy.wire.http1_server import GateHttp1Server


class Addons(CachedAddonManager):
    """Runs hooks, or says that they have to wait."""

    def __init__(self) -> None:
        self.waits, self.seen = False, []  # type: ignore[var-annotated]

    def ran(self, event: Any) -> bool:
        self.seen.append(event.name)
        return not self.waits


class Client(GateHttp1Server):
    def __init__(self, buffered: bytes = b"") -> None:
        self.buf = buffered  # type: ignore[assignment]


@pytest.fixture
def addons(monkeypatch: pytest.MonkeyPatch) -> Iterator[Addons]:
    made = Addons()
    monkeypatch.setattr(inline_hooks, "ctx", SimpleNamespace(master=SimpleNamespace(addons=made)))
    monkeypatch.setattr(inline_hooks, "CachedAddonManager", Addons)
    monkeypatch.setattr(inline_hooks, "GateHttp1Server", Client)
    return made


def seen_outside(hook: Any, client: Any) -> list[Any]:
    """The commands that mitmproxy gets of a stream that yields a hook and then sends; each is answered with `reply`."""
    got: list[Any] = []

    def work() -> Any:
        got.append((yield hook))
        got.append((yield commands.Log("sent")))

    out, replies = [], []
    inside = run_hooks_inline(work(), client)
    try:
        command = next(inside)
        while True:
            out.append(command)
            replies.append("reply")
            command = inside.send("reply")
    except StopIteration:
        pass
    assert got == [None if hook not in out else "reply", "reply"]
    return out


HOOKS = [HttpRequestHeadersHook, HttpRequestHook, HttpResponseHeadersHook, HttpResponseHook]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_need_not_wait_is_run_inline(addons: Addons, hook: Any) -> None:
    """mitmproxy does not see it; what comes after it passes."""
    made = hook(tflow.tflow())
    assert [type(c) for c in seen_outside(made, Client())] == [commands.Log]
    assert addons.seen == [made.name]


def test_one_that_waits_is_left_to_mitmproxy(addons: Addons) -> None:
    """With its reply."""
    addons.waits = True
    assert [type(c) for c in seen_outside(HttpRequestHook(tflow.tflow()), Client())] == [HttpRequestHook, commands.Log]


@pytest.mark.parametrize("why", ["replay", "more is buffered", "another hook"])
def test_what_takes_the_stock_way(addons: Addons, why: str) -> None:
    """A replay waits for its hooks; requests in one piece must not be served within one another; errors are rare."""
    flow = tflow.tflow()
    flow.is_replay = "request" if why == "replay" else None
    hook = HttpErrorHook(flow) if why == "another hook" else HttpResponseHook(flow)
    client = Client(b"GET /" if why == "more is buffered" else b"")
    assert seen_outside(hook, client)[0] is hook
    assert addons.seen == []


def test_the_heads_of_a_request_are_run_inline_whatever_is_buffered(addons: Addons) -> None:
    """What is buffered then is its own body."""
    assert [type(c) for c in seen_outside(HttpRequestHeadersHook(tflow.tflow()), Client(b"body"))] == [commands.Log]


@pytest.mark.parametrize("client", [None, object()])
def test_other_clients_take_the_stock_way(addons: Addons, client: Any) -> None:
    """The stream's own commands are returned, not wrapped."""
    work: Any = iter(())
    assert run_hooks_inline(work, client) is work
