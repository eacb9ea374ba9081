"""Sources of the gate's own credentials: fixed keys, and credentials that are fetched and expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sluicegate.core.errors import Refused
from sluicegate.providers.base import Credential, Key, SigningInput

__all__ = ["CredentialError", "Fetched", "Fresh", "Keyed", "bearer", "no_credential"]

_PAUSE_S: Final = 5.0
"""How long after a failed fetch the next one starts: many requests may wait for the same credential."""


class CredentialError(Exception):
    """No credential is available. The message says why and what to do, and holds no secret."""


class Keyed:
    """A configured key, read at the moment of sending; `present` puts it into header fields."""

    waits = False

    def __init__(self, key: Key, present: Callable[[str], Credential]) -> None:
        self.name = key.name
        self.key = key
        self._present = present

    def __repr__(self) -> str:
        return f"Keyed({self.name!r})"

    async def ready(self) -> None:
        return None

    def fields(self, request: SigningInput) -> Credential:
        return self._present(self.key.value)

    def refused(self) -> bool:
        """The key cools down; its file or command may have another one by now."""
        self.key.ask_again()
        return False


def bearer(key: Key) -> Keyed:
    """A key that goes as `Authorization: Bearer`."""
    return Keyed(key, lambda value: ((b"authorization", b"Bearer " + value.encode()),))


@dataclass(frozen=True, slots=True)
class Fresh[T]:
    """A fetched value, when it is refreshed in the background, and when it expires (Unix seconds)."""

    value: T = field(repr=False)
    refresh_at: float
    expires_at: float


class Fetched[T]:
    """A credential that expires. `fetch` blocks, so it runs in a thread, once at a time for all waiting requests.

    While the old one is still valid, requests use it and the new one is fetched in the background.
    """

    def __init__(self, what: str, fetch: Callable[[], Fresh[T]], clock: Callable[[], float] = time.time) -> None:
        self._what = what
        self._fetch = fetch
        self._clock = clock
        self._fresh: Fresh[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: tuple[float, str] | None = None

    @property
    def value(self) -> T:
        """The last fetched value. Raises CredentialError if there is none."""
        if self._fresh is None:
            raise CredentialError(f"no {self._what} has been fetched yet")
        return self._fresh.value

    async def ready(self) -> None:
        """Return when a valid one is there. Raises Refused if none is available."""
        now = self._clock()
        if self._fresh is not None and now < self._fresh.expires_at:
            if now >= self._fresh.refresh_at and self._may_try(now):
                self._start()
            return
        if self._may_try(now):
            await asyncio.shield(self._start())
        if self._fresh is None or self._clock() >= self._fresh.expires_at:
            why = self._failure[1] if self._failure else "it had expired when it arrived"
            raise Refused(502, f"no {self._what} is available: {why}", kind="api_error")

    def forget(self) -> None:
        """The provider did not accept it."""
        self._fresh = None

    def _may_try(self, now: float) -> bool:
        return self._failure is None or now >= self._failure[0]

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    async def _run(self) -> None:
        try:
            self._fresh = await asyncio.to_thread(self._fetch)
            self._failure = None
        except CredentialError as e:
            self._failure = (self._clock() + _PAUSE_S, str(e))
        except Exception as e:  # noqa: BLE001 - a library's error may quote what it read: its type says enough
            self._failure = (self._clock() + _PAUSE_S, f"{type(e).__name__} while it was fetched")


def no_credential(provider: str, what_to_do: str) -> Refused:
    """The answer if a provider has no credential and the client's own must not go there."""
    return Refused(401, f"provider {provider} has no credential; {what_to_do}", should_retry=False)
