"""A provider in front of a running simulator: requests prepared, sent, and their answers read as a gate does it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sluicegate.core.formats.registry import format_of
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.core.wire.sse import SSEParser
from sluicegate.providers.base import (
    Estimated,
    Provider,
    ProviderRequest,
    SigningInput,
    UpstreamRequest,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.registry import build
from sluicegate.settings.providers import Provider as Settings
from sluicegate.simulator import Simulator, simulator

NOW = 1_795_000_000.0
PATHS = {
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "chat_completions": "/v1/chat/completions",
}


def make_asked(
    surface: Any = "messages", *, fields: HeaderFields = (), query: str = "", raw: bytes | None = None, **body: Any
) -> ProviderRequest:
    whole = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], **body}
    content = raw if raw is not None else json.dumps({k: v for k, v in whole.items() if v is not None}).encode()
    path = PATHS[surface]
    return ProviderRequest(surface, path + query, fields, content, format_of(surface).read_facts(path, content))


def make(
    environ: dict[str, str] | None = None, *, name: str = "p", unsupported: Any = "refuse", **settings: Any
) -> Provider:
    return build(ProviderContext(name, Settings(**settings), environ or {}, unsupported, clock=lambda: NOW))


@dataclass
class Read:
    """An answer as the client gets it."""

    status: int
    content_type: str
    body: bytes
    fields: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        return [(e.event.decode(), json.loads(e.data)) for e in SSEParser().feed(self.body)]

    @property
    def text(self) -> str:
        return "".join(d["delta"].get("text", "") for n, d in self.events if n == "content_block_delta")


class Sending:
    """Sends what a provider prepares to a simulator, each request on a connection of its own."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def __call__(self, provider: Provider, asked: ProviderRequest, sim: str = "", cut: int = 7, **more: Any) -> Read:
        prepared = provider.prepare(asked, **more)
        assert isinstance(prepared, UpstreamRequest)
        origin = provider.origin(more.get("region"))
        credential: Any = ()
        if provider.sources:
            source = provider.sources[0]
            asyncio.run(source.ready())
            host = f"127.0.0.1:{self.sim.port}"
            credential = source.fields(
                SigningInput(
                    "POST",
                    origin.tls,
                    origin.host,
                    host,
                    prepared.path,
                    prepared.fields,
                    prepared.body,
                    NOW,
                    more.get("region"),
                )
            )
        connection = http.client.HTTPConnection("127.0.0.1", self.sim.port, timeout=30)
        try:
            connection.putrequest("POST", prepared.path, skip_accept_encoding=True)
            for name, value in (*prepared.fields, *credential):
                connection.putheader(name.decode(), value)
            connection.putheader("content-length", str(len(prepared.body)))
            if sim:
                connection.putheader("x-sim", sim)
            connection.endheaders(prepared.body)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            try:
                raw = answer.read()
            except http.client.IncompleteRead as e:
                raw = e.partial
        finally:
            connection.close()
        answered = prepared.plan_response(answer.status, headers, id="sg_1", now_s=int(NOW))
        if answered.transform:
            raw = (
                b"".join(answered.transform.feed(raw[i : i + cut]) for i in range(0, len(raw), cut))
                + answered.transform.end()
            )
        return Read(answered.status, answered.content_type or headers.get("content-type", ""), raw, dict(answered.fields))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator(require_auth=True) as running:
        yield running


@pytest.fixture
def send(sim: Simulator) -> Sending:
    return Sending(sim)


@pytest.fixture
def asked() -> Any:
    return make_asked


@pytest.fixture
def provider() -> Any:
    return make


@pytest.fixture
def estimated() -> type[Estimated]:
    return Estimated
