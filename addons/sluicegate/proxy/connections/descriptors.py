"""File descriptors: how many the process may have open, and how many connections to a provider that allows."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

if sys.platform != "win32":  # there sockets are not counted
    import resource

__all__ = ["default_connections", "raise_limit"]

_PER_STREAM: Final = 2
"""The connection of a client, and the one to the provider."""
_OTHERS: Final = 256
"""Kept for files, stores, listeners and the gate's own endpoints."""
_LEAST: Final = 100
_MOST: Final = 100_000
_WANTED: Final = (1 << 20, 65_536, 10_240)
"""Tried in turn where the hard limit is unlimited: the kernel may accept less (macOS: 10,240)."""


def raise_limit() -> None:
    """Raise the soft limit of open files as far as the system permits."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard,) if hard != resource.RLIM_INFINITY else _WANTED:
        if soft in (wanted, resource.RLIM_INFINITY) or soft > wanted:
            return
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def default_connections() -> int:
    """How many connections to one provider the soft limit allows, if each serves another client."""
    if sys.platform == "win32":
        return _MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return min(_MOST, max(_LEAST, (soft - _OTHERS) // _PER_STREAM))
