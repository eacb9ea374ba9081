"""Provider keys in use, kept up to date: a new value of a key's file or command is used from the next attempt on.

`env:` keys cannot change while a process runs. A `file:` key is read again when its file has changed, a `cmd:` key every
five minutes, and both soon after the provider has rejected the key.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from weakref import WeakSet

from sluicegate.settings.secret import Secret, SecretError

__all__ = ["HeldKey", "ProviderKeys"]

COMMAND_EVERY_S: Final = 300.0
ASKED_EVERY_S: Final = 10.0
"""The shortest time between two reads of a rejected key."""


class HeldKey:
    """One key. `name` is its name in logs and records; `value` is read at the moment of sending."""

    __slots__ = ("__weakref__", "_asked_for", "_read_at", "_stamp", "name", "secret", "value")

    def __init__(self, name: str, secret: Secret, environ: Mapping[str, str]) -> None:
        self.name = name
        self.secret = secret
        self._stamp = _stamp(secret)
        self._read_at = time.monotonic()
        self._asked_for = False
        self.value = secret.resolve(environ)

    def __repr__(self) -> str:
        return f"HeldKey({self.name!r}, {self.secret.reference!r})"

    def ask_again(self) -> None:
        """The provider rejected the key: read it again soon, as there may be a new one."""
        self._asked_for = True

    def is_due(self, now: float) -> bool:
        if self.secret.reference.startswith("env:"):
            return False
        if self._asked_for and now - self._read_at >= ASKED_EVERY_S:
            return True
        if self.secret.reference.startswith("file:"):
            return _stamp(self.secret) != self._stamp
        return now - self._read_at >= COMMAND_EVERY_S

    def read(self, environ: Mapping[str, str]) -> bool:
        """Read the key again (blocks). Returns whether it has changed. Raises SecretError and keeps the old value."""
        self._read_at = time.monotonic()
        self._asked_for = False
        self._stamp = _stamp(self.secret)
        value = self.secret.resolve(environ)
        changed = value != self.value
        self.value = value
        return changed


class ProviderKeys:
    """All keys of the current policy, and of earlier policies that running requests still use."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._held: WeakSet[HeldKey] = WeakSet()

    def hold(self, name: str, secret: Secret) -> HeldKey:
        """Read a key and keep it up to date. Raises SecretError."""
        key = HeldKey(name, secret, self._environ)
        self._held.add(key)
        return key

    async def refresh(self) -> tuple[list[HeldKey], list[tuple[HeldKey, str]]]:
        """Read all due keys again, off the event loop. Returns the changed keys, and the unreadable ones with why."""
        now = time.monotonic()
        changed, failed = [], []
        for key in [k for k in self._held if k.is_due(now)]:
            try:
                if await asyncio.to_thread(key.read, self._environ):
                    changed.append(key)
            except SecretError as e:
                failed.append((key, str(e)))
        return changed, failed


def _stamp(secret: Secret) -> tuple[int, int] | None:
    """Identifies the version of a secret's file; None if it has no readable file."""
    kind, _, path = secret.reference.partition(":")
    if kind != "file":
        return None
    try:
        stat = os.stat(Path(path).expanduser())  # noqa: PTH116 - follows links: mounted secrets are replaced by switching a link
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
