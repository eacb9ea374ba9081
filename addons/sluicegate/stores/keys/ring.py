"""Virtual keys in memory: no request waits for a database. A thread checks the store's version every half second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.stores.keys.base import KeyStore

__all__ = ["KeyRing"]

_LOOK_S: Final = 0.5
_END_S: Final = 1.0


class KeyRing:
    """A store's records by the hash of their keys. While the store is unreachable, the last known records apply."""

    def __init__(self, store: KeyStore, on_error: Callable[[str], None]) -> None:
        """Reads the store; raises StoreError. `on_error(why)` is called in the ring's thread, once per outage."""
        self._store = store
        self._on_error = on_error
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._version = -1
        self._error: str | None = None
        self.by_digest: dict[bytes, KeyRecord] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the store if it has changed. Returns whether it had. Raises StoreError."""
        version = self._store.version()
        if version == self._version:
            return False
        index: dict[bytes, KeyRecord] = {}
        for record in self._store.all():
            index[record.digest] = record
            if record.previous is not None:
                index.setdefault(record.previous, record)
        self.by_digest, self._version = index, version
        return True

    def start(self) -> None:
        """Start the thread that follows the store."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="sluicegate-keys", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            error = None
            try:
                self.refresh()
            except StoreError as e:
                error = str(e)
            except Exception as e:  # noqa: BLE001 - the watch must go on
                error = type(e).__name__
            if error and not self._error:
                self._on_error(error)
            self._error = error

    def close(self) -> None:
        """Stop the thread. One that is blocked in the database driver ends with the process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)
            if self._thread.is_alive():
                return
        self._store.close()
