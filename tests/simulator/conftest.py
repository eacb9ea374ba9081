"""A running simulator and a raw client for it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sluicegate.simulator import Simulator, simulator

MODEL = "claude-sonnet-4-5"


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        return parse_events(self.body)

    @property
    def text(self) -> str:
        """The text of the whole answer, streamed or not."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            return "".join(block.get("text", "") for block in self.json["content"])
        return "".join(data["delta"].get("text", "") for name, data in self.events if name == "content_block_delta")


def parse_events(body: bytes) -> list[tuple[str, Any]]:
    events = []
    for part in body.decode().split("\n\n"):
        if part:
            name, data = part.split("\n")
            assert name.startswith("event: ")
            assert data.startswith("data: ")
            events.append((name[7:], json.loads(data[6:])))
    return events


class Client:
    """HTTP without a library's opinions; every request on a connection of its own."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, key: str = "sk-1"
    ) -> Response:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.sim.port, timeout=30)
        try:
            connection.request(method, path, raw, {"x-api-key": key, **(headers or {})})
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, fields, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        return self.request("GET", path).json

    def ask(self, sim: str = "", *, key: str = "sk-1", accept: str = "", **fields: Any) -> Response:
        """POST /v1/messages with the knobs `sim`; `fields` are the body's, over a minimal one."""
        body = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}], **fields}
        headers = {"x-sim": sim} if sim else {}
        if accept:
            headers["accept-encoding"] = accept
        return self.request("POST", "/v1/messages?beta=true", body, headers, key)

    def raw(self, sim: str = "", *, head: str = "", **fields: Any) -> tuple[bytes, str]:
        """All bytes of one answer, and how the connection ended: eof, or reset."""
        body = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}], **fields}
        encoded = json.dumps(body).encode()
        lines = f"POST /v1/messages HTTP/1.1\r\nhost: sim\r\nx-sim: {sim}\r\n{head}content-length: {len(encoded)}"
        return self.exchange(f"{lines}\r\n\r\n".encode() + encoded)

    def exchange(self, request: bytes) -> tuple[bytes, str]:
        with self.connect() as sock:
            sock.sendall(request)
            return drain(sock)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.sim.port), timeout=30)


def drain(sock: socket.socket) -> tuple[bytes, str]:
    received = b""
    while True:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            return received, "reset"
        if not data:
            return received, "eof"
        received += data


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sim(clock: FakeClock) -> Iterator[Simulator]:
    with simulator(clock=clock) as running:
        yield running


@pytest.fixture
def client(sim: Simulator) -> Client:
    return Client(sim)


@pytest.fixture
def client_of() -> type[Client]:
    return Client
