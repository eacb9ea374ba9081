"""Messages of the proxy core and of the operating system, as clients and logs get them."""

from __future__ import annotations

import os
import re

__all__ = ["plain_os_errors", "readable"]

_OS_ERROR = re.compile(r"(?:Multiple exceptions: )?\[Errno (-?\d+)\] ([^\[(]*)(?:\([^)]*\))?")


def plain_os_errors(message: str) -> str:
    """Without numbers of the operating system: `[Errno 111] Connect call failed (…)` is `connection refused`."""
    found = _OS_ERROR.findall(message)
    if not found:
        return message
    # asyncio names the call that failed, not the reason; other texts say why, and a resolver has numbers of its own
    reasons = [os.strerror(int(n)) if text.startswith("Connect call") else text.strip(" ,") for n, text in found]
    return ", ".join(dict.fromkeys(reason.lower() for reason in reasons))


_UNREADABLE = re.compile(r"(?:unexpected server response|Cannot parse HTTP response|HTTP/1 protocol error).*", re.DOTALL)
_CUT = re.compile(r"HTTP/1 protocol error: peer closed connection .*", re.DOTALL)
_QUOTED = re.compile(r":? b['\"]")


def readable(message: str) -> str:
    """A message of the proxy core, without the raw bytes that some of them quote."""
    message = _CUT.sub("the upstream closed the connection before its answer was complete", message)
    message = _UNREADABLE.sub("the upstream's answer cannot be read", message)
    return _QUOTED.split(message, maxsplit=1)[0][:500]
