"""A real redis-server (or valkey-server) on a free port of this machine, for as long as a block lasts."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gatekit import clean_env, free_port, wait_until

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
MISSING = "redis-server is not installed: apt-get install redis-server, or brew install redis"


class RedisServer:
    """`url` is where it listens; `stop` ends it."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
        command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, env=clean_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """In CI it has to be there; elsewhere what needs it is skipped without it, with the reason."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.fail(MISSING) if IN_CI else pytest.skip(MISSING)
    server = RedisServer(program, folder)
    try:
        wait_until(server.answers, "an answer from redis-server")
        yield server
    finally:
        server.stop()
