"""An HTTP/2 face for an HTTP/1 upstream: what the upstream does, faults included, happens on HTTP/2 over TLS.

    with H2Front(simulator.port, folder) as front:
        front.url, front.ca       # https://localhost:PORT, and the CA to trust

    front.leave()             # at the next request: a farewell in good order, which gives that request back
    front.refuse()            # at the next request: REFUSED_STREAM

A connection that the upstream resets becomes a stream reset; one that it closes, a closed connection; bytes that are no
HTTP, bytes that are no HTTP/2.
"""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h11
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import DNSName
from hyperframe.frame import GoAwayFrame
from mitmproxy import certs

_HOP = {b"connection", b"transfer-encoding", b"keep-alive"}


_NO_FRAME = b"\0\0\1\0\0\0\0\0\0x"
"""A DATA frame on the connection's own stream: RFC 9113, 6.1, makes it an error of the connection."""


class H2Front:
    def __init__(self, port: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._upstream = port
        store = certs.CertStore.from_store(folder, "front", 2048)
        entry = store.get_cert("localhost", [DNSName("localhost")], None)
        chain = folder / "server.pem"
        key = entry.privatekey.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        chain.write_bytes(entry.cert.to_pem() + key)
        self.ca = folder / "front-ca-cert.pem"
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        self._tls.set_alpn_protocols(["h2"])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""
        self.connections = 0
        self.next_request: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def leave(self) -> None:
        self.next_request = "leave"

    def refuse(self) -> None:
        self.next_request = "refuse"

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}"

    async def _end(self) -> None:
        self._server.close()
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self, self._upstream, writer)
        try:
            await connection.run(reader)
        except (OSError, h2.exceptions.ProtocolError, ssl.SSLError):
            pass
        finally:
            connection.end()
            with contextlib.suppress(OSError, RuntimeError):
                writer.transport.abort()


class _Connection:
    def __init__(self, front: H2Front, upstream: int, writer: asyncio.StreamWriter) -> None:
        self._front = front
        self._upstream = upstream
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._asked: dict[int, tuple[list[tuple[bytes, bytes]], bytearray]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        self._h2.initiate_connection()
        self._flush()
        while data := await reader.read(65536):
            for event in self._h2.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        if not self._turned_away(event.stream_id):
                            self._asked[event.stream_id] = (list(event.headers), bytearray())
                    case h2.events.DataReceived():
                        if event.stream_id in self._asked:
                            self._asked[event.stream_id][1].extend(event.data)
                        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded() if event.stream_id in self._asked:
                        self._tasks[event.stream_id] = asyncio.create_task(self._relay(event.stream_id))
                    case h2.events.StreamReset():
                        if task := self._tasks.pop(event.stream_id, None):
                            task.cancel()
                    case h2.events.ConnectionTerminated():
                        return
            self._flush()

    def _turned_away(self, sid: int) -> bool:
        what, self._front.next_request = self._front.next_request, None
        if what == "refuse":
            self._h2.reset_stream(sid, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif what == "leave":
            self._flush()
            self._writer.write(
                GoAwayFrame(0, last_stream_id=sid - 2).serialize()
            )  # h2 itself would be done with the connection
        return what is not None

    def end(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._writer.write(data)

    async def _relay(self, sid: int) -> None:
        fields, body = self._asked.pop(sid)
        pseudo = dict(f for f in fields if f[0].startswith(b":"))
        headers = [(b"host", pseudo[b":authority"]), *(f for f in fields if not f[0].startswith(b":"))]
        if body and all(k != b"content-length" for k, _ in headers):
            headers.append((b"content-length", b"%d" % len(body)))
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            h1 = h11.Connection(h11.CLIENT)
            writer.write(h1.send(h11.Request(method=pseudo[b":method"], target=pseudo[b":path"], headers=headers)))
            if body:
                writer.write(h1.send(h11.Data(data=bytes(body))))
            writer.write(h1.send(h11.EndOfMessage()))
            await self._answer(sid, h1, reader)
        except ConnectionError:
            self._h2.reset_stream(sid, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._flush()
        except EOFError:
            self._writer.transport.abort()
        except h11.RemoteProtocolError:
            self._writer.write(_NO_FRAME)
        except h2.exceptions.ProtocolError:
            pass  # the stream is gone
        finally:
            self._tasks.pop(sid, None)
            writer.transport.abort()

    async def _answer(self, sid: int, h1: h11.Connection, reader: asyncio.StreamReader) -> None:
        begun = False
        while True:
            event = h1.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data and not begun:
                    raise EOFError
                h1.receive_data(data)
                continue
            match event:
                case h11.Response():
                    begun = True
                    kept = [(k, v) for k, v in event.headers if k not in _HOP]
                    self._h2.send_headers(sid, [(b":status", b"%d" % event.status_code), *kept])
                case h11.Data():
                    await self._send(sid, bytes(event.data))
                case h11.EndOfMessage():
                    self._h2.end_stream(sid)
                    self._flush()
                    return
            self._flush()

    async def _send(self, sid: int, data: bytes) -> None:
        while data:
            most = min(self._h2.local_flow_control_window(sid), self._h2.max_outbound_frame_size)
            if not most:
                await asyncio.sleep(0.005)  # until the window opens
                continue
            self._h2.send_data(sid, data[:most])
            data = data[most:]
            self._flush()
