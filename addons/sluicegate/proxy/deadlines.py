"""The time limits of one attempt: when its request must be read, its answer begin, go on and end.

    write_s        the upstream reads nothing of a request that its socket could not take at once (write_watch.py)
    first_byte_s   an answer that is a stream begins
    idle_s         a stream goes on
    total_s        the attempt is over, its answer included

Computes; the stream acts. Times are monotonic seconds.
"""

from __future__ import annotations

from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import HttpStream

from sluicegate.proxy.timer import Timer
from sluicegate.settings.timeouts import Timeouts

__all__ = ["Deadlines", "Overdue"]


class Overdue(str):
    """Why a stream is broken off, in words for the client."""

    __slots__ = ()


class Deadlines:
    """One timer at a time; `sent` is when the present attempt's request was handed over."""

    __slots__ = ("_stream", "_timer", "sent")

    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream
        self._timer: Timer | None = None
        self.sent = 0.0

    # -- the timer
    def arm(self, delay_s: float) -> None:
        """Wake the stream up after a while, instead of any earlier wish."""
        self.disarm()
        self._timer = Timer(self._stream, delay_s)

    def disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def rang(self, event: events.Wakeup) -> bool:
        """Whether this is the timer that was armed last; it is not armed any more then."""
        if self._timer is None or event.command is not self._timer.wake:
            return False
        self._timer = None
        return True

    # -- the limits
    def left_s(self, limits: Timeouts, now: float) -> float:
        """How much longer the attempt may take."""
        return self.sent + limits.total_s - now

    def patience_s(self, limits: Timeouts, now: float, *, streams: bool) -> float:
        """How much longer the beginning of an answer is waited for; 0 when it is overdue."""
        left = self.left_s(limits, now)
        if streams:
            left = min(left, self.sent + limits.first_byte_s - now)
        return max(left, 0.0)

    def silence(self, limits: Timeouts, now: float, heard: float) -> float | Overdue:
        """For a stream that was last `heard` then: how much longer to wait, or why not to."""
        silent = now - heard
        if self.left_s(limits, now) <= 0:
            return Overdue(f"not done within {limits.total_s:g} s (config key timeouts.total_s)")
        if silent < limits.idle_s:
            return min(limits.idle_s - silent, self.left_s(limits, now))
        return Overdue(f"the upstream sent nothing for {limits.idle_s:g} s")
