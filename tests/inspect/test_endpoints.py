"""Own endpoints: who may see which page, from where."""

from typing import Any

import msgspec
import pytest

from sluicegate.services import Services
from sluicegate.settings.policy import Identity
from sluicegate.settings.secret import Secret
from sluicegate.testing import chain_of, descend, make_flow, quiet, the_exchange

ADMIN = ["/stats", "/debug", "/monitor"]
TOKEN = "the-admin-token"
WITH_TOKEN = quiet(identity=Identity(admin_token=Secret("env:ADMIN")))


async def ask(path: str, *, settings: Any = None, method: str = "GET", environ: Any = None, **flow: Any) -> int:
    with chain_of(settings=settings, services=Services({"ADMIN": TOKEN} if environ is None else environ)) as chain:
        chain.endpoints._admin["/debug"] = chain.endpoints._admin["/stats"]  # the real page asks the running mitmproxy
        made = make_flow(method, path, **flow)
        await descend(chain, made)
        assert made.response is not None
        assert the_exchange(made).release is None
        return made.response.status_code


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode())]


@pytest.mark.parametrize("settings", [None, WITH_TOKEN])
@pytest.mark.parametrize("path", ["/health", "/ready", "/health?x=1"])
async def test_anyone_may_ask_whether_we_live(path: str, settings: Any) -> None:
    """From anywhere, under any name."""
    assert await ask(path, settings=settings, peer=("203.0.113.9", 1), client_host="evil.example") == 200


LOCAL: dict[str, Any] = {"peer": ("127.0.0.1", 1), "client_host": "localhost:4000"}


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"peer": ("::1", 1)}, 200),
        ({"peer": ("::ffff:127.0.0.1", 1)}, 200),
        ({"client_host": "127.0.0.1:4000"}, 200),
        ({"client_host": "[::1]:4000"}, 200),
        ({"client_host": "LOCALHOST"}, 200),
        ({"headers": [(b"origin", b"http://localhost:4000")]}, 200),
        ({"headers": [(b"origin", b"http://[::1]:4000")]}, 200),
        ({"peer": ("192.168.1.2", 1)}, 403),
        ({"peer": ("::ffff:192.168.1.2", 1)}, 403),
        ({"client_host": "gate.example"}, 403),  # DNS rebinding
        ({"client_host": "127.0.0.1.evil.example"}, 403),
        ({"client_host": "127.evil.example:4000"}, 403),
        ({"client_host": "localhost.evil.example"}, 403),
        ({"client_host": "localhost@evil.example"}, 403),
        ({"client_host": ""}, 403),
        ({"headers": [(b"origin", b"https://evil.example")]}, 403),
        ({"headers": [(b"origin", b"null")]}, 403),
        ({"headers": [(b"origin", b"http://127.0.0.1.evil.example")]}, 403),
        ({"headers": [(b"X-Forwarded-For", b"127.0.0.1")]}, 403),
        ({"headers": [(b"Forwarded", b"for=127.0.0.1")]}, 403),
        ({"headers": [(b"via", b"1.1 x")]}, 403),
        ({"headers": bearer("guess")}, 200),
    ],
)
async def test_without_a_token_the_pages_are_for_this_machine(path: str, change: dict[str, Any], status: int) -> None:
    """A loopback peer that names a loopback host, from no foreign origin and through no forwarder."""
    assert await ask(path, **{**LOCAL, **change}) == status


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (bearer(TOKEN), 200),
        ([(b"X-Sluicegate-Admin", TOKEN.encode())], 200),
        ([], 403),
        (bearer("wrong"), 403),
        (bearer(TOKEN + "x"), 403),
        (bearer(TOKEN[:-1]), 403),
        (bearer(""), 403),
        ([(b"x-sluicegate-admin", b"\xff")], 403),
        ([(b"x-api-key", TOKEN.encode())], 403),
    ],
)
async def test_with_a_token_it_is_needed_and_enough(path: str, headers: Any, status: int) -> None:
    """On this machine as anywhere else."""
    assert await ask(path, settings=WITH_TOKEN, headers=headers, **LOCAL) == status
    assert (
        await ask(path, settings=WITH_TOKEN, headers=headers, peer=("203.0.113.9", 1), client_host="gate.example") == status
    )


async def test_a_token_that_can_not_be_resolved_opens_nothing() -> None:
    """The variable is gone: 500, not a page."""
    assert await ask("/stats", settings=WITH_TOKEN, environ={}, headers=bearer(""), **LOCAL) == 500


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/health", 405),
        ("DELETE", "/stats", 405),
        ("HEAD", "/health", 200),
        ("GET", "/metrics", 404),
        ("GET", "/dashboard", 404),
        ("POST", "/v1/messages", 0),
        ("GET", "/healthz", 0),
        ("GET", "/stats/", 0),
    ],
)
async def test_which_paths_are_ours(method: str, path: str, status: int) -> None:
    """Reserved names are never proxied; everything else is."""
    with chain_of() as chain:
        flow = make_flow(method, path)
        await descend(chain, flow)
        assert (flow.response.status_code if flow.response else 0) == status


async def test_on_other_doors_only_the_magic_host_is_ours() -> None:
    """A provider's own /health is the provider's."""
    with chain_of() as chain:
        flow = make_flow("GET", "/health", mode="regular")
        await descend(chain, flow)
        assert flow.response is None
        flow = make_flow("GET", "/health", mode="regular", origin=(False, "SLUICEGATE.local", 80))
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 200


async def test_draining() -> None:
    """/ready says 503, /health does not."""
    with chain_of() as chain:
        chain.services.draining = True
        for path, status in [("/ready", 503), ("/health", 200)]:
            flow = make_flow("GET", path)
            await descend(chain, flow)
            assert flow.response
            assert flow.response.status_code == status


async def test_stats() -> None:
    """JSON, not to be stored or sniffed."""
    with chain_of() as chain:
        flow = make_flow("GET", "/stats")
        await descend(chain, flow)
        assert flow.response
        assert msgspec.json.decode(flow.response.content or b"")["run"]["requests"] == 0
        assert flow.response.headers["cache-control"] == "no-store"
        assert flow.response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("last", "repeated"), [(b"1", 1), (b"0", 2), (b"", 0), (b"-1", 0), (b"x", 0), ("²".encode(), 0), (b"9" * 5000, 0)]
)
async def test_the_feed_repeats_what_was_missed(last: bytes, repeated: int) -> None:
    """From the last number that the client saw; a number that is none repeats nothing."""
    with chain_of() as chain:
        for _ in range(2):
            chain.services.monitor.publish({"model": "m"})
        flow = make_flow("GET", "/monitor", headers=[(b"last-event-id", last)])
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 200
        source = the_exchange(flow).source
        assert source
        assert b"".join(source.take()[0]).count(b"event: call") == repeated


async def test_the_feed_has_room_for_so_many() -> None:
    """Beyond that: 503."""
    with chain_of() as chain:
        statuses = []
        for _ in range(51):
            flow = make_flow("GET", "/monitor")
            await descend(chain, flow)
            assert flow.response
            statuses.append(flow.response.status_code)
        assert statuses == [200] * 50 + [503]
