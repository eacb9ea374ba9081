"""Every fault × HTTP/1 and HTTP/2 clients × HTTP/1 and HTTP/2 upstreams × streams and JSON × a second target or none.

With a healthy target the client gets a clean answer, always. With none it gets the native error, in bounded time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from kits.gatekit import Gate, Simulator
from kits.h2front import H2Front

CONFIG = """
providers:
  bad_h1:  {{kind: anthropic, base_url: "{bad_h1}", keys: ["env:KEY_A"]}}
  bad_h2:  {{kind: anthropic, http2: true, base_url: "{bad_h2}", keys: ["env:KEY_A"]}}
  good_h1: {{kind: anthropic, base_url: "{good_h1}", keys: ["env:KEY_B"]}}
  good_h2: {{kind: anthropic, http2: true, base_url: "{good_h2}", keys: ["env:KEY_B"]}}
  refused: {{kind: anthropic, base_url: "http://127.0.0.1:1", keys: ["env:KEY_A"]}}
  swallowed: {{kind: anthropic, base_url: "http://127.0.0.1:{swallowed}", keys: ["env:KEY_A"]}}
  no_tls:  {{kind: anthropic, base_url: "https://127.0.0.1:{no_tls}", keys: ["env:KEY_A"]}}
routes:
{routes}
retry: {{attempts: 2, backoff: {{start_s: 0.02, factor: 2, max_s: 0.1}}, cooldown_s: 0}}
timeouts: {{connect_s: 0.5, tls_s: 0.5, first_byte_s: 0.8, idle_s: 5, total_s: 0.8}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
ENV = {"KEY_A": "secret-key-of-a", "KEY_B": "secret-key-of-b", "SLUICEGATE__RETRY__ATTEMPTS": None}
MODEL = "claude-haiku-4-5"

UNREACHABLE = ("refused", "swallowed", "no_tls")
OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"fault": "reset"},
    "eof": {"fault": "eof"},
    "garbage": {"fault": "garbage"},
    "silent": {"fault": "stall", "at": "start", "stall_s": 30},
    "first event is an error": {"fault": "error", "at": 0},
    "an error behind the opening": {"fault": "error", "at": 1},
    "200, a page": {"status": 200, "body": "<html>", "content_type": "text/html"},
    "200, null": {"status": 200, "body": "null"},
    "200, empty": {"status": 200, "body": ""},
    "200, an error": {"status": 200, "body": OVERLOADED},
    "204": {"status": 204, "body": ""},
    "a redirect": {"status": 307, "body": ""},
    "529, empty": {"status": 529, "body": ""},
    **{str(status): {"status": status} for status in (408, 429, 500, 502, 503, 504, 529)},
}
IN_A_STREAM = {"first event is an error": 200, "an error behind the opening": 200}
NATIVE = {**IN_A_STREAM, "silent": 504, "529, empty": 529, "200, an error": 529, "204": 502}
"""What a client gets where no target serves; else 502, or the provider's own status."""


@dataclass(frozen=True, slots=True)
class Site:
    gate: Gate
    upstreams: dict[str, Simulator]


def route(model: str, *targets: str) -> str:
    return f'  - {{model: "{model}", targets: [{", ".join(f"{{provider: {t}, model: {MODEL}}}" for t in targets)}]}}'


def routes() -> str:
    lines = []
    for h in ("h1", "h2"):
        for bad in (f"bad_{h}", *UNREACHABLE):
            lines += [route(f"{bad}-{h}-two", bad, f"good_{h}"), route(f"{bad}-{h}-one", bad)]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("matrix")
    with ExitStack() as stack:
        sims = {n: stack.enter_context(Simulator(folder / n, name=n)) for n in ("bad_h1", "bad_h2", "good_h1", "good_h2")}
        fronts = {n: stack.enter_context(H2Front(sims[n].port, folder / f"{n}-front")) for n in ("bad_h2", "good_h2")}
        trusted = folder / "trusted.pem"
        trusted.write_bytes(b"".join(f.ca.read_bytes() for f in fronts.values()))
        swallowed, no_tls = stack.enter_context(socket.socket()), stack.enter_context(socket.socket())
        for listener, backlog in ((swallowed, 0), (no_tls, 50)):
            listener.bind(("127.0.0.1", 0))
            listener.listen(backlog)
        for _ in range(4):  # fill the queue of the one that never accepts: further SYNs are swallowed
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(swallowed.getsockname())
        config = CONFIG.format(
            routes=routes(),
            swallowed=swallowed.getsockname()[1],
            no_tls=no_tls.getsockname()[1],
            **{n: fronts[n].url if n in fronts else sim.url for n, sim in sims.items()},
        )
        gate = Gate(
            folder / "gate",
            upstream=sims["good_h1"].url,
            config=config,
            env=ENV,
            options={"ssl_verify_upstream_trusted_ca": str(trusted)},
        )
        yield Site(stack.enter_context(gate), sims)


@pytest.fixture(scope="module")
def clients(site: Site) -> Iterator[dict[str, httpx.Client]]:
    """An HTTP/1 client in the clear, and an HTTP/2 one over TLS, both by the reverse door."""
    with (
        httpx.Client(base_url=site.gate.url, timeout=20) as h1,
        httpx.Client(base_url=site.gate.url.replace("http:", "https:"), http2=True, verify=False, timeout=20) as h2,
    ):
        yield {"h1": h1, "h2": h2}


def ask(client: httpx.Client, model: str, *, stream: bool) -> httpx.Response:
    body = {"model": model, "max_tokens": 40, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    return client.post("/v1/messages", json=body, headers={"x-api-key": "the-clients-own"})


CASES = [
    (fault, client, upstream, stream, second)
    for fault, client, upstream, stream, second in product(
        (*FAULTS, *UNREACHABLE), ("h1", "h2"), ("h1", "h2"), (True, False), (True, False)
    )
    if stream or fault not in IN_A_STREAM
]


@pytest.mark.parametrize(("fault", "client", "upstream", "stream", "second"), CASES)
def test_a_fault(
    site: Site,
    clients: dict[str, httpx.Client],
    fault: str,
    client: str,
    upstream: str,
    stream: bool,
    second: bool,
) -> None:
    """A healthy second target serves the request as if nothing had been; without one the client is told, natively."""
    place = fault if fault in UNREACHABLE else f"bad_{upstream}"
    sim = site.upstreams[f"bad_{upstream}"]
    sim.script([{"times": 1 if second else 9, **FAULTS[fault]}] if fault in FAULTS else [])
    answer = ask(clients[client], f"{place}-{upstream}-{'two' if second else 'one'}", stream=stream)
    assert answer.http_version == {"h1": "HTTP/1.1", "h2": "HTTP/2"}[client]
    if second:
        assert answer.status_code == 200
        assert answer.headers["x-sluicegate-attempts"] == "2"
        whole_answer(answer, stream)
    else:
        expected = NATIVE.get(fault) or (int(fault) if fault.isdigit() else 502)
        assert answer.status_code == expected
        if fault == "529, empty":
            assert answer.text == ""
            return
        assert '"type":"error"' in answer.text.replace(" ", "")


def whole_answer(answer: httpx.Response, stream: bool) -> None:
    if stream:
        assert "event: error" not in answer.text
        assert answer.text.count("event: message_start") == 1
        assert answer.text.rstrip().endswith('data: {"type":"message_stop"}')
    else:
        assert answer.json()["type"] == "message"


def test_no_credential_is_seen_anywhere(site: Site, clients: dict[str, httpx.Client]) -> None:
    """After all these attempts at two providers: no key in the records, the log, or the folder of the gate."""
    ask(clients["h1"], "refused-h1-two", stream=False)
    for path in Path(site.gate.workdir).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"secret-key-of" not in data, path
            assert b"the-clients-own" not in data, path
