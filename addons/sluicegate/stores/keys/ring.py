"""The keys in memory: no request asks a database. A thread looks every half second whether the store has moved on."""

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
    """A store's records by the hash of their keys. While the store can not be reached, those known last hold."""

    def __init__(self, store: KeyStore, on_trouble: Callable[[str], None]) -> None:
        """Reads the store; raises StoreError. `on_trouble(why)` is called in the ring's thread, once per trouble."""
        self._store = store
        self._on_trouble = on_trouble
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._version = -1
        self._trouble: str | None = None
        self.by_digest: dict[bytes, KeyRecord] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the store if it has changed; whether it had. Raises StoreError."""
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
        """Keep up with the store from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="sluicegate-keys", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            trouble = None
            try:
                self.refresh()
            except StoreError as e:
                trouble = str(e)
            except Exception as e:  # noqa: BLE001 - the watch must go on
                trouble = type(e).__name__
            if trouble and not self._trouble:
                self._on_trouble(trouble)
            self._trouble = trouble

    def close(self) -> None:
        """End the thread; one that waits for a database that does not answer ends with the process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)
            if self._thread.is_alive():
                return
        self._store.close()
