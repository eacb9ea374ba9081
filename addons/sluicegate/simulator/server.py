"""The simulator as a server: `Simulator` in the running loop, `simulator()` in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl as tls
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sluicegate.simulator.api import Api
from sluicegate.simulator.calls import Call
from sluicegate.simulator.connection import Connection, Tap
from sluicegate.simulator.thinking import Signer

SIGNING_KEY = b"simulated thinking"


class Simulator:
    """A Messages API on a TCP port. `clock` gives seconds since the epoch; `taps` a listener for each connection."""

    def __init__(
        self,
        *,
        require_auth: bool = False,
        clock: Callable[[], float] = time.time,
        signing_key: bytes = SIGNING_KEY,
        bind_thinking: bool = False,
        taps: Callable[[], Tap] | None = None,
    ) -> None:
        self._taps = taps
        self._api = Api(clock, require_auth, Signer(signing_key, bind_prefix=bind_thinking), self._release)
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._host = ""
        self._scheme = "http"
        self.port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0, ssl: tls.SSLContext | None = None) -> None:
        """Listen; port 0 takes a free one. Raises OSError if the address is in use."""
        self._host = host
        self._scheme = "https" if ssl else "http"
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._api.handle, self._api.settle, self._connections, self._taps() if self._taps else None),
            host,
            port,
            ssl=ssl,
            backlog=1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and abort open connections. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._connections):
            connection.abort()
        await server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL without a trailing slash."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """The calls, oldest first, including running ones (`outcome` is None)."""
        return self._api.log.snapshot()

    @property
    def bill(self) -> dict[str, Any]:
        """As GET /_sim/bill."""
        return self._api.bill.dump()

    @property
    def stats(self) -> dict[str, Any]:
        """As GET /_sim/stats."""
        return self._api.control.stats()

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def script(self, *entries: Mapping[str, Any], append: bool = False) -> None:
        """Replace the script's queue, or add to it; no entries clear it. Raises BehaviourError."""
        self._api.script.set(entries, append=append)

    def _release(self) -> int:
        return sum([connection.release() for connection in self._connections])

    def clear(self) -> None:
        """Clear calls, bill, script and prompt cache."""
        self._api.log.clear()
        self._api.bill.models.clear()
        self._api.bill.credentials.clear()
        self._api.script.set(())
        self._api.cache.clear()

    async def until(self, condition: Callable[[Simulator], bool], timeout_s: float = 10) -> None:
        """Wait in the loop until `condition(self)` holds. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition(self):  # noqa: ASYNC110 - the condition is arbitrary
                await asyncio.sleep(0.002)

    def wait(self, condition: Callable[[Simulator], bool], timeout_s: float = 10) -> None:
        """The same from another thread. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError("the condition did not become true in time")
            time.sleep(0.002)

    @contextmanager
    def run_in_thread(
        self, host: str = "127.0.0.1", port: int = 0, ssl: tls.SSLContext | None = None
    ) -> Iterator[Simulator]:
        """Serve from a thread and loop of its own while the context lasts. Raises what `start` raises."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(host, port, ssl), loop).result(10)
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self.stop(), loop).result(10)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


@contextmanager
def simulator(
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: tls.SSLContext | None = None,
    *,
    require_auth: bool = False,
    clock: Callable[[], float] = time.time,
    bind_thinking: bool = False,
) -> Iterator[Simulator]:
    """A running simulator for synchronous tests: `with simulator() as sim: … sim.url …`."""
    made = Simulator(require_auth=require_auth, clock=clock, bind_thinking=bind_thinking)
    with made.run_in_thread(host, port, ssl):
        yield made
