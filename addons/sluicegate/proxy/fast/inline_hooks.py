"""Hooks that need not wait are run inline: without a task, a lock and a turn of the event loop for each.

Stock mitmproxy starts a task for every hook and goes on when it has ended. Its tasks are eager: up to its first wait a
hook runs in the same place already. Here a hook that needs no wait has no task either. A hook that waits, a flow that is
held back, a replay and everything but HTTP/1 clients take the stock way.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, cast

from mitmproxy import ctx, hooks, http
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.layers.http import (
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from sluicegate.proxy.fast.dispatch import CachedAddonManager
from sluicegate.proxy.wire.http1_server import GateHttp1Server

__all__ = ["WITH_HOOKS", "run_hooks_inline"]

WITH_HOOKS: Final = frozenset({RequestHeaders, RequestEndOfMessage, ResponseHeaders, ResponseEndOfMessage})
"""The events that cause hooks."""

_HOOKS: Final = frozenset({HttpRequestHeadersHook, HttpRequestHook, HttpResponseHeadersHook, HttpResponseHook})


def run_hooks_inline(work: layer.CommandGenerator[None], client: layer.Layer | None) -> layer.CommandGenerator[None]:
    """A stream's commands, without the hooks that are run here. `client`: the layer towards its client."""
    addons = ctx.master.addons
    if type(addons) is not CachedAddonManager or type(client) is not GateHttp1Server:
        return work
    return _commands(work, client, addons)


def _commands(
    work: layer.CommandGenerator[None], client: GateHttp1Server, addons: CachedAddonManager
) -> Generator[commands.Command, Any, None]:
    reply: Any = None
    while True:
        try:
            command = work.send(reply)
        except StopIteration:
            return
        if type(command) in _HOOKS and _may_run(command, client) and addons.ran(cast("hooks.Hook", command)):
            reply = None
        else:
            reply = yield command


def _may_run(hook: commands.Command, client: GateHttp1Server) -> bool:
    flow: http.HTTPFlow = hook.flow  # type: ignore[attr-defined]
    if flow.is_replay:  # the replay waits for its hooks
        return False
    # requests that came in one piece are served within one another: a hook on the stock way ends that
    return type(hook) is HttpRequestHeadersHook or not client.buf
