"""A real redis-server of a test's own, on a free port, its files in a temporary folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from kits.gatekit import free_port

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
START_S = 10.0


class RedisServer:
    """Started, stopped and started again on the same port; keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        self.port = self.port or free_port()
        arguments = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no", "dir": str(self.folder)}
        with (self.folder / "redis.log").open("ab") as log:
            self._child = subprocess.Popen(
                [str(PROGRAM), *(part for name, value in arguments.items() for part in (f"--{name}", value))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"redis-server does not answer: {(self.folder / 'redis.log').read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        if self._child:
            self._child.kill()
            self._child.wait()
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def need_redis_server() -> None:
    """Skip where there is no redis-server; in CI there has to be one."""
    if PROGRAM is None:
        assert not os.environ.get("CI"), "redis-server is not on PATH; install it (apt-get install redis-server)"
        pytest.skip("redis-server is not on PATH; install it to run these tests (apt-get install redis-server)")


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A server for as long as a block lasts."""
    need_redis_server()
    with RedisServer(folder) as server:
        yield server
