"""Hooks of our own, called by the proxy core. They live in an imported module: a script file may be loaded twice."""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.proxy import commands


@dataclass
class SluicegateFailedHook(commands.StartHook):
    """An attempt failed, and the client has not seen a byte of an answer: `exchange.routing.failed` says how.

    Returns when it is decided, and waited for, whether to send again: `exchange.routing.again`.
    """

    flow: http.HTTPFlow


@dataclass
class SluicegateTurnHook(commands.StartHook):
    """The target is known, and its time has not come yet. Returns when it has, or when the client has gone."""

    flow: http.HTTPFlow


@dataclass
class SluicegatePullHook(commands.StartHook):
    """A body that arrives over time needs its next bytes. Returns when there are some, or when the client has gone."""

    flow: http.HTTPFlow
