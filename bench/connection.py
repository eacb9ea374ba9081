"""One client connection: keep-alive HTTP/1.1 over a plain socket, each answer read to its end and checked."""

from __future__ import annotations

import asyncio
import json
import socket
import time

from bench.workloads import STREAM_EVENTS, Workload

__all__ = ["Connection", "LoadError"]

REQUEST_TIMEOUT_S = 30.0
READ_BYTES = 256 * 1024


class LoadError(Exception):
    """An unexpected response."""


class Connection:
    """One keep-alive connection; its answers are checked for status, framing and content."""

    def __init__(self, port: int, workload: Workload) -> None:
        self._loop = asyncio.get_running_loop()
        self._workload = workload
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    async def exchange(self, request: bytes) -> float:
        """Seconds from the request's last byte to the answer's first. Raises LoadError."""
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            await self._loop.sock_sendall(self._socket, request)
            sent = time.perf_counter()
            await self._more()
            first_byte_s = time.perf_counter() - sent
            status, fields = self._read_head(await self._until(b"\r\n\r\n"))
            chunked = fields.get("transfer-encoding") == "chunked"
            body = await self._chunks() if chunked else await self._exactly(int(fields.get("content-length", "0")))
        if status != 200 or self._buffer:
            raise LoadError(f"{self._workload.name}: status {status}, {len(self._buffer)} bytes too many: {body[:300]!r}")
        self._check(body)
        return first_byte_s

    def _read_head(self, head: bytes) -> tuple[int, dict[str, str]]:
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines if line)
        return int(first.split(" ")[1]), {name.lower(): value.strip().lower() for name, _, value in fields}

    def _check(self, body: bytes) -> None:
        if self._workload.stream:
            whole = body.count(b"event: content_block_delta") == STREAM_EVENTS and b"event: message_stop" in body[-100:]
        else:
            whole = json.loads(body)["stop_reason"] == "end_turn"
        if not whole:
            raise LoadError(f"{self._workload.name}: not the whole answer: ... {body[-300:]!r}")

    async def _more(self) -> None:
        data = await self._loop.sock_recv(self._socket, READ_BYTES)
        if not data:
            raise LoadError(f"{self._workload.name}: the connection ended early: {bytes(self._buffer[:300])!r}")
        self._buffer += data

    async def _until(self, end: bytes) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            await self._more()
        return (await self._exactly(at + len(end)))[: -len(end)]

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(await self._until(b"\r\n"), 16):
            body += (await self._exactly(size + 2))[:-2]
        await self._exactly(2)
        return bytes(body)

    def close(self) -> None:
        self._socket.close()
