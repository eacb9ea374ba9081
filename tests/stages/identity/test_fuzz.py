"""Ten thousand requests, on every door and page and with every header: none is admitted without a valid key."""

import base64
import random
from collections import Counter
from pathlib import Path
from typing import Any

from kits.identitykit import (
    ENVIRON,
    KEY,
    STATIC,
    gate,
    settings_for,
    store_key,
)
from sluicegate.core.identity.keys import new_key
from sluicegate.exchange.exchange import exchange_of
from sluicegate.settings.identity import TrustedHeader
from sluicegate.settings.secret import Secret
from sluicegate.stages import Audit, Identity, Router
from sluicegate.testing import descend, make_flow

VARIANTS = 10_000
REVOKED, EXPIRED, PAUSED, REPLACED = (new_key(c * 32) for c in (b"r", b"e", b"p", b"o"))
DOORS = ("reverse:https://api.anthropic.com@4000", "regular@8080", "upstream:http://corp:3128")
NAMES = (
    *("x-api-key", "authorization", "proxy-authorization", "api-key", "x-goog-api-key", "cookie", "x-sluicegate-admin"),
    *(
        "x-amz-security-token",
        "x-sso-user",
        "X-SSO-User",
        "x_sso_user",
        "x-sluicegate-key",
        "x-forwarded-user",
        "x-real-ip",
    ),
    *("x-forwarded-for", "forwarded", "via", "host", "origin", "connection", "upgrade", "x-api-key ", "x-remote-user"),
)
SCHEMES = ("", "Bearer ", "bearer\t", "Basic ", "basic ", "Digest ", "Token ", "Bearer Bearer ", "ApiKey ", " ")
METHODS = ("POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "post", "BREW")
PATHS = (
    *("/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens", "/v1/models", "/v1/files", "/", "/api/hello"),
    *("//v1/messages", "/v1/%6dessages", "/x/../v1/messages", "/health/../v1/messages", "/v1/messages#/health", "/HEALTH"),
    *("/health;/v1/messages", "/health/", "/stats", "/usage", "/usage?x=1", "/debug", "/monitor", "/metrics", "/dashboard"),
    *("/v1/messages?key=guess", "http://sluicegate.local/usage", "*", "/ready/../debug", "/v1/messages?/health"),
)
HOSTS = ("api.anthropic.com", "sluicegate.local", "example.com", "127.0.0.1", "SLUICEGATE.LOCAL", "169.254.169.254")
PEERS = (("127.0.0.1", 1), ("203.0.113.9", 1), ("::1", 1), ("10.9.9.9", 1), ("fe80::1%lo", 1))


def mangled(dice: random.Random, key: str) -> str:
    """A mistyped key, or one that tries to defeat the comparison; never the key itself."""
    at = dice.randrange(len(key))
    wrong = dice.choice(
        [
            key[:at],
            key[:at] + dice.choice("aZ0-_%\0é") + key[at + 1 :],
            key + dice.choice(["", "\0", "A", "=", ",", ";", " x", "%00"]),
            key.swapcase(),
            key[::-1],
            key.replace("sk-sg-", ""),
            key.replace("-", "_"),
            "*",
            "%",
            "' OR 1=1 --",
            "sk-sg-",
            "sk-sg-" + "A" * dice.choice([1, 43, 5000]),
            "sk-ant-api03-" + "x" * 40,
            "sk-ant-oat01-" + "x" * 40,
            "null",
            "undefined",
            "",
            base64.b64encode(key.encode()).decode(),
            key.encode().hex(),
            "key_" + "a" * 13,
        ]
    )
    return "guess" if wrong.strip() == key else wrong


def header(dice: random.Random) -> tuple[bytes, bytes]:
    name = dice.choice(NAMES)
    key = dice.choice([*(mangled(dice, k) for k in (KEY, STATIC)), REVOKED, EXPIRED, PAUSED, REPLACED])
    scheme = dice.choice(SCHEMES)
    if scheme.strip().lower() == "basic":
        key = base64.b64encode(f"{dice.choice(['u', '', 'a:b'])}:{key}".encode()).decode()
        key = dice.choice([key, key, key[:-1], key + "=", "!" + key])
    return name.encode(), (scheme + key).encode("utf-8", "replace")


async def test_no_request_is_admitted_without_a_valid_key(tmp_path: Path) -> None:
    """Nothing is released, no page but /, /health and /ready is shown, and no bug is met on the way."""
    header_peers = TrustedHeader(name="x-sso-user", peers=("192.0.2.7",))
    settings = settings_for(tmp_path, trusted_header=header_peers, admin_token=Secret("env:ADMIN"))
    store_key(settings)
    store_key(settings, REVOKED, revoked_at=1.0)
    store_key(settings, EXPIRED, expires_at=1.0)
    store_key(settings, PAUSED, paused_at=1.0)
    dice = random.Random(4711)
    seen: Counter[tuple[str, int]] = Counter()
    with gate(settings, Audit, Identity, Router) as chain:
        for number in range(VARIANTS):
            flow = variant(dice)
            why = f"variant {number}: {flow.request.method} {flow.request.path} {flow.request.headers.fields}"
            if flow.request.method == "CONNECT" and flow.client_conn.proxy_mode.type_name != "reverse":
                await chain.http_connect(flow)
                assert flow.response, why
                assert flow.response.status_code == 407, why
                assert flow.client_conn.id not in chain._tunnels, why
            else:
                await descend(chain, flow)
                x = exchange_of(flow)
                assert flow.response, why
                assert x is not None, why
                assert x.routing.release is None, why
                if flow.response.status_code < 400:
                    assert x.is_admin_endpoint, why
                    assert flow.request.path.partition("?")[0] in ("/", "/health", "/ready"), why
                else:
                    assert flow.response.status_code in (400, 401, 403, 404, 405, 407), (why, flow.response.content)
                seen[x.door, flow.response.status_code] += 1
            state = repr(flow.get_state())
            for secret in (KEY, REVOKED, EXPIRED, PAUSED, REPLACED):
                assert secret not in state, why
        assert not chain.services.alarms
    for door in ("reverse", "regular", "upstream"):
        assert seen[door, 401] > 5, seen
    assert seen["regular", 407] > 500, seen


def variant(dice: random.Random) -> Any:
    headers = [header(dice) for _ in range(dice.choice([0, 1, 1, 1, 2, 3, 12]))]
    host = dice.choice(HOSTS)
    return make_flow(
        dice.choice(METHODS),
        dice.choice(PATHS),
        dice.choice([b"", b"{}", b'{"model": "claude-haiku-4-5"}', b"\xff"]),
        headers,
        mode=dice.choice(DOORS),
        origin=dice.choice([(True, host, 443), (False, host, 80)]),
        peer=dice.choice(PEERS),
        client_host=dice.choice(["localhost:4000", "gate.example", "", "127.0.0.1"]),
    )


async def test_the_same_chain_lets_the_right_ones_in(tmp_path: Path) -> None:
    """So the refusals above mean something."""
    settings = settings_for(tmp_path, admin_token=Secret("env:ADMIN"))
    store_key(settings)
    with gate(settings, Audit, Identity, Router) as chain:
        for key in (KEY, STATIC):
            flow = make_flow(headers=[(b"x-api-key", key.encode())])
            await descend(chain, flow)
            assert flow.response is None
        flow = make_flow("GET", "/stats", headers=[(b"x-sluicegate-admin", ENVIRON["ADMIN"].encode())])
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 200
