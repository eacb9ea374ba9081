"""Own endpoints: who may see which page, from where."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.core.limits.counters import Counter as LimitCounter
from sluicegate.core.limits.counters import LimitUsage
from sluicegate.services.services import Services
from sluicegate.settings.identity import Identity, TrustedHeader, VirtualKey
from sluicegate.settings.secret import Secret
from sluicegate.stages import Identity as IdentityStage
from sluicegate.stages.base import Stage
from sluicegate.testing import (
    chain_of,
    descend,
    make_flow,
    quiet,
    the_exchange,
)

ADMIN = ["/stats", "/debug", "/monitor"]
TOKEN = "the-admin-token"
WITH_TOKEN = quiet(identity=Identity(admin_token=Secret("env:ADMIN")))


async def ask(path: str, *, settings: Any = None, method: str = "GET", environ: Any = None, **flow: Any) -> int:
    with chain_of(settings=settings, services=Services({"ADMIN": TOKEN} if environ is None else environ)) as chain:
        chain.admin.admin_pages["/debug"] = chain.admin.admin_pages["/stats"]  # the page asks the running mitmproxy
        made = make_flow(method, path, **flow)
        await descend(chain, made)
        assert made.response is not None
        assert the_exchange(made).routing.release is None
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
        ("GET", "/metrics", 200),
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


# -- /usage
def counting(limits: Any) -> type[Stage]:
    async def usage(self: Any, caller: Any) -> Any:
        return limits

    return type("Counting", (Stage,), {"name": "counting", "usage": usage})


MONTH = LimitCounter("k", "budget_usd.month", "key_1", "budget", "nano_usd", 50_000_000_000, window="month")
LIMITS = (
    LimitUsage(MONTH, 1_500_000_000, 48_500_000_000, 1_798_761_600_000),
    LimitUsage(LimitCounter("r", "rpm", "key_1", "bucket", "requests", 60, rate=60), 3, 57, 1_798_761_600_000),
    LimitUsage(LimitCounter("c", "concurrency", "key_1", "concurrency", "concurrency", 5), 1, 4, 1_798_761_600_000),
)


async def usage(tmp_path: Path, *headers: tuple[bytes, bytes], limits: Any = (), who: Any = "keys", **flow: Any) -> Any:
    identity = Identity(mode=who, keys=(VirtualKey(key=Secret("env:K"), team="a"),) if who == "keys" else ())
    settings = quiet(state_dir=tmp_path, identity=identity)
    services = Services({"K": "a-static-key-of-a-team"})
    with chain_of(IdentityStage, counting(limits), settings=settings, services=services) as chain:
        made = make_flow("GET", "/usage", headers=headers, **flow)
        await descend(chain, made)
        services.close()
        assert made.response is not None
        assert the_exchange(made).routing.release is None
        return made.response.status_code, msgspec.json.decode(made.response.content or b"")


KEY = (b"x-api-key", b"a-static-key-of-a-team")


async def test_a_client_sees_its_own_usage(tmp_path: Path) -> None:
    """Used, allowed, remaining and the reset time; from anywhere, as the usage is the client's own."""
    status, page = await usage(tmp_path, KEY, limits=LIMITS, peer=("203.0.113.9", 1), client_host="gate.example")
    assert status == 200
    assert page["team"] == "a"
    assert page["limits"] == [
        {
            "name": "budget_usd.month",
            "of": "key_1",
            "unit": "usd",
            "per": "month",
            "limit": 50.0,
            "used": 1.5,
            "remaining": 48.5,
            "resets": "2027-01-01T00:00:00Z",
        },
        {
            "name": "rpm",
            "of": "key_1",
            "unit": "requests",
            "per": "minute",
            "rate": 60,
            "burst": 60,
            "limit": 60,
            "used": 3,
            "remaining": 57,
            "resets": "2027-01-01T00:00:00Z",
        },
        {
            "name": "concurrency",
            "of": "key_1",
            "unit": "seats",
            "per": None,
            "limit": 5,
            "used": 1,
            "remaining": 4,
            "resets": None,
        },
    ]


@pytest.mark.parametrize("headers", [(), ((b"x-api-key", b"guess"),), (*bearer(TOKEN),), (*bearer("sk-ant-api03-x"),)])
async def test_usage_needs_the_clients_key(tmp_path: Path, headers: Any) -> None:
    """401 in the client's format; the admin token is not a client's key."""
    status, page = await usage(tmp_path, *headers, limits=LIMITS)
    assert status == 401
    assert page["error"]["type"] == "authentication_error"


async def test_usage_through_the_proxy(tmp_path: Path) -> None:
    """On the magic host, by the client's key or by the proxy's password."""
    door: dict[str, Any] = {"mode": "regular", "origin": (False, "sluicegate.local", 80)}
    password = b"Basic " + base64.b64encode(b"u:" + KEY[1])
    assert (await usage(tmp_path, KEY, **door))[0] == 200
    assert (await usage(tmp_path, (b"proxy-authorization", password), **door))[0] == 200
    assert (await usage(tmp_path, **door))[0] == 401


async def test_usage_without_keys(tmp_path: Path) -> None:
    """Clients with the same credential see the same usage; clients of other machines cannot connect at all."""
    status, page = await usage(tmp_path, who="open")
    assert (status, page["key_id"], page["limits"]) == (200, "anonymous", [])


async def test_usage_while_the_store_is_down(tmp_path: Path) -> None:
    """503, to be asked again."""
    assert (await usage(tmp_path, KEY, limits=None))[0] == 503


async def test_usage_without_identity() -> None:
    """404 if the identity stage is not running."""
    assert await ask("/usage") == 404


async def test_a_bug_in_usage_is_an_answer(tmp_path: Path) -> None:
    """500; no client waits for ever."""
    assert (await usage(tmp_path, KEY, limits=(1,)))[0] == 500


@pytest.mark.parametrize("path", ADMIN)
async def test_the_trusted_proxy_is_a_forwarder(tmp_path: Path, path: str) -> None:
    """It may run on this machine: what comes from it comes from elsewhere."""
    header = TrustedHeader(name="x-user", peers=("127.0.0.1",))
    settings = quiet(state_dir=tmp_path, identity=Identity(trusted_header=header))
    with chain_of(IdentityStage, settings=settings) as chain:
        flow = make_flow("GET", path, **LOCAL)
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 403


async def test_the_token_is_read_once(tmp_path: Path) -> None:
    """It may be a command's output."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with chain_of(settings=quiet(identity=Identity(admin_token=Secret(f"file:{file}")))) as chain:
        for _ in range(2):
            flow = make_flow("GET", "/stats", headers=bearer(TOKEN))
            await descend(chain, flow)
            assert flow.response
            assert flow.response.status_code == 200
            file.unlink(missing_ok=True)


@pytest.mark.parametrize("settings", [None, WITH_TOKEN])
async def test_the_root_says_where_to_look(settings: Any) -> None:
    """To any client, in plain text, for the address that it used; nothing in it is secret, and nothing is sent."""
    with chain_of(settings=settings, services=Services({"ADMIN": TOKEN})) as chain:
        flow = make_flow("GET", "/", peer=("203.0.113.9", 1), client_host="gate.example:4000")
        await descend(chain, flow)
        assert flow.response is not None
        assert (flow.response.status_code, flow.response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        text = flow.response.text or ""
        assert "ANTHROPIC_BASE_URL=http://gate.example:4000\n" in text
        assert all(page in text for page in ("/health", "/usage", "/stats", "/metrics"))
        assert the_exchange(flow).routing.release is None
