"""Connections to a provider: their number over all clients, the wait for one, idle ones, and requests that are not read."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kits.gatekit import (
    Gate,
    Simulator,
    StartGate,
    StartSimulator,
    request,
    wait_until,
)
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    Client,
    post,
)

CONFIG = """
providers: {{anthropic: {{kind: anthropic, base_url: "{url}"}}}}
connections: {{max: {most}, keepalive: {keepalive}}}
timeouts: {{connect_s: 2, write_s: {write_s}, pool_s: {pool_s}}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""


def config(url: str, *, most: int = 100, keepalive: int = 20, write_s: float = 30, pool_s: float = 10) -> str:
    return CONFIG.format(url=url, most=most, keepalive=keepalive, write_s=write_s, pool_s=pool_s)


def connections_to(port: int) -> int:
    """Connections to a port of this machine that are open, as the system counts them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01")


@contextmanager
def held_streams(gate: Gate, simulator: Simulator, count: int) -> Iterator[list[Client]]:
    """So many clients in the middle of their answers."""
    simulator.script([{"times": count, "fault": "stall", "at": 3, "stall_s": 60}])
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gate.port)) for _ in range(count)]
        for client in clients:
            client.send(post("/v1/messages", ASK_STREAM))
            client.until(b"message_start")
        yield clients


DEFAULT = """
providers: {{anthropic: {{kind: anthropic, base_url: "{url}"}}}}
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
MANY = 1000


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process, and those that it starts, may open enough files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * MANY:
        pytest.skip(f"needs {4 * MANY} open files; the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * MANY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_clients_stream_at_once_by_default(
    many_files: None, start_gate: StartGate, start_simulator: StartSimulator
) -> None:
    """Without a word in the configuration: all have the beginning of their answers, and none waits for a connection."""
    simulator = start_simulator()
    gate = start_gate(config=DEFAULT.format(url=simulator.url), upstream=simulator.url)
    simulator.script([{"times": MANY, "fault": "stall", "at": 3, "stall_s": 600}])
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gate.port)) for _ in range(MANY)]
        for client in clients:
            client.send(post("/v1/messages", ASK_STREAM))
        for client in clients:
            client.until(b"message_start")
        (counted,) = gate.get("/stats").json()["run"]["connections"].values()
        assert counted == {"open": MANY, "waiting": 0, "waited": 0, "refused": 0}


def test_a_full_pool_is_waited_for_and_then_refused(start_gate: StartGate, simulator: Simulator) -> None:
    """The third call of a provider that takes two waits pool_s, then gets a native 503 that names the key."""
    gate = start_gate(config=config(simulator.url, most=2, pool_s=0.3))
    with held_streams(gate, simulator, 2):
        answer = request("POST", f"{gate.url}/v1/messages", body=ASK)
        stats = gate.get("/stats").json()
    assert answer.status == 503
    assert "connections.max" in answer.json()["error"]["message"]
    assert list(stats["run"]["connections"].values()) == [{"open": 2, "waiting": 0, "waited": 1, "refused": 1}]
    assert stats["alarms"]["connections.full"] == 1
    assert "kind=connections.full" in gate.output()


def test_a_place_that_gets_free_goes_to_the_one_who_waits(start_gate: StartGate, simulator: Simulator) -> None:
    """As soon as another client leaves, the call that waited is made."""
    gate = start_gate(config=config(simulator.url, most=2, pool_s=20))
    with held_streams(gate, simulator, 2) as clients, ThreadPoolExecutor() as pool:
        late = pool.submit(request, "POST", f"{gate.url}/v1/messages", body=ASK)
        wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 3, "the third call under way")
        assert len(simulator.calls()) == 2
        clients[0].close()
        assert late.result(10).status == 200


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not list its connections there")
def test_idle_connections_make_room(start_gate: StartGate, simulator: Simulator) -> None:
    """Clients that keep their connections open do not keep others from the provider."""
    gate = start_gate(config=config(simulator.url, most=2, keepalive=2, pool_s=5))
    with ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(Client(gate.port))
            client.send(post("/v1/messages", ASK))
            assert client.answer().status == 200
        assert connections_to(simulator.port) <= 2 + 1  # and the test's own look at the simulator
        client.send(post("/v1/messages", ASK))
        assert client.answer().status == 200


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not list its connections there")
def test_idle_connections_beyond_keepalive_are_closed(start_gate: StartGate, simulator: Simulator) -> None:
    """Of eight clients' idle connections to the provider three stay; each client is served all the same."""
    gate = start_gate(config=config(simulator.url, keepalive=3))
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(gate.port)) for _ in range(8)]
        for _ in range(2):
            for client in clients:
                client.send(post("/v1/messages", ASK))
                assert client.answer().status == 200
        wait_until(lambda: connections_to(simulator.port) <= 3, "three idle connections")


def test_numbers_hold_per_provider(start_gate: StartGate, simulator: Simulator, start_simulator: object) -> None:
    """A provider's own numbers and time limits go before the general ones."""
    text = config(simulator.url).replace(
        f'base_url: "{simulator.url}"',
        f'base_url: "{simulator.url}", connections: {{max: 1, keepalive: 1}}, timeouts: {{pool_s: 0.2}}',
    )
    gate = start_gate(config=text)
    with held_streams(gate, simulator, 1):
        answer = request("POST", f"{gate.url}/v1/messages", body=ASK)
    assert answer.status == 503
    assert "within 0.2 s: 1 are in use" in answer.json()["error"]["message"]


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A server that accepts and never reads."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    taken.append(listener.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for sock in taken:
            sock.close()


def test_a_request_that_is_not_read_fails_in_time(start_gate: StartGate, deaf: socket.socket) -> None:
    """After write_s without a byte taken the attempt has failed, long before the first-byte timeout."""
    url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
    gate = start_gate(config=config(url, write_s=0.3))
    body = {**ASK, "padding": "x" * 8_000_000}
    answer = request("POST", f"{gate.url}/v1/messages", body=body)
    assert answer.status == 502
    assert "was not read" in answer.json()["error"]["message"]
