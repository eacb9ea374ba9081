"""Hooks of our own, called by the proxy core. They live in an imported module: a script file may be loaded twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.proxy import commands

from sluicegate.exchange.call import Failure
from sluicegate.exchange.release import Release

__all__ = [
    "Answer",
    "Decision",
    "FailedAttempt",
    "GiveUp",
    "Retry",
    "SluicegateEndHook",
    "SluicegateFailedHook",
    "SluicegatePullHook",
    "SluicegateTurnHook",
]


@dataclass(frozen=True, slots=True)
class Retry:
    """Send again, under this release."""

    release: Release


@dataclass(frozen=True, slots=True)
class Answer:
    """The next target needs no request: this is its answer."""

    response: http.Response


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The client gets the failure."""


Decision = Retry | Answer | GiveUp


@dataclass(slots=True, eq=False)
class FailedAttempt:
    """What the stream says about a failure, and what the Chain decides."""

    flow: http.HTTPFlow
    failure: Failure
    decision: Decision = field(default_factory=GiveUp)
    """Without a decision, because a hook failed or did not run, nothing is sent."""


@dataclass
class SluicegateFailedHook(commands.StartHook):
    """An attempt failed, and the client has not seen a byte of an answer.

    Returns when `attempt.decision` is made, and its time has come.
    """

    attempt: FailedAttempt


@dataclass
class SluicegateTurnHook(commands.StartHook):
    """The first target is known, and is not to be called yet. Returns when it is, or when the client has left."""

    flow: http.HTTPFlow


@dataclass
class SluicegateEndHook(commands.StartHook):
    """The end of an answer is about to be sent. Returns when the client may see it."""

    flow: http.HTTPFlow


@dataclass
class SluicegatePullHook(commands.StartHook):
    """A body that arrives over time needs its next bytes. Returns when there are some, or when the client has left."""

    flow: http.HTTPFlow
