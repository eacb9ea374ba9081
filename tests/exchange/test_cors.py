"""CORS: pages of the origins that are named may call, nobody else's, and nothing changes without them."""

from pathlib import Path
from typing import Any

import pytest

from sluicegate.services.services import Services
from sluicegate.settings import ConfigError, load
from sluicegate.settings.identity import Identity as IdentitySettings
from sluicegate.settings.tree import Cors
from sluicegate.stages import Identity
from sluicegate.testing import (
    chain_of,
    descend,
    make_flow,
    quiet,
    send_answer,
    the_exchange,
)

APP = "https://app.example.com"
ALLOWED = quiet(cors=Cors(origins=(APP, "http://localhost:3000")))


def asks(origin: str = APP, method: str = "POST", names: str = "x-api-key,content-type") -> list[tuple[bytes, bytes]]:
    return [
        (b"origin", origin.encode()),
        (b"access-control-request-method", method.encode()),
        (b"access-control-request-headers", names.encode()),
    ]


def cors_of(response: Any) -> dict[str, str]:
    return {k.lower(): v for k, v in response.headers.items() if k.lower().startswith("access-control-")}


@pytest.mark.parametrize("path", ["/v1/messages", "/usage", "/anything"])
async def test_a_preflight_is_answered_here(path: str, tmp_path: Path) -> None:
    """Before identity, as browsers send no key with it; the one origin is named, credentials are not allowed."""
    keys = quiet(cors=ALLOWED.cors, state_dir=tmp_path, identity=IdentitySettings(mode="keys"))
    services = Services({})
    with chain_of(Identity, settings=keys, services=services) as chain:
        flow = make_flow("OPTIONS", path, headers=asks())
        await descend(chain, flow)
        assert flow.response
        assert the_exchange(flow).routing.release is None
        assert flow.response.status_code == 204
        send_answer(chain, flow)
        assert cors_of(flow.response) == {
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": "x-api-key,content-type",
            "access-control-max-age": "600",
        }
        assert "origin" in flow.response.headers["vary"]
    services.close()


@pytest.mark.parametrize(
    "headers",
    [
        asks("https://evil.example"),
        asks("null"),
        asks(APP + ".evil.example"),
        asks(APP.upper()),
        asks("http://app.example.com"),
        asks(APP + ":8443"),
        asks(APP)[:1],
        asks(APP)[1:],
        [*asks(APP), (b"origin", b"https://evil.example")],
    ],
)
async def test_nobody_elses_is(headers: Any) -> None:
    """Another origin, two at once, or an OPTIONS that is no preflight: goes the way of every request."""
    with chain_of(settings=ALLOWED) as chain:
        flow = make_flow("OPTIONS", headers=headers)
        await descend(chain, flow)
        assert flow.response is None


async def test_header_names_that_are_none_are_not_repeated() -> None:
    """A list of header names comes back as it is; anything else does not."""
    with chain_of(settings=ALLOWED) as chain:
        flow = make_flow("OPTIONS", headers=asks(names="x\x00<script>"))
        await descend(chain, flow)
        assert flow.response
        assert "access-control-allow-headers" not in flow.response.headers


async def test_answers_may_be_read_by_the_page_that_asked() -> None:
    """In place of what the provider says of its own pages; our headers and its limits are exposed."""
    with chain_of(settings=ALLOWED) as chain:
        flow = make_flow(headers=[(b"origin", APP.encode())])
        await descend(chain, flow)
        theirs = {"access-control-allow-origin": "*", "access-control-allow-credentials": "true", "vary": "accept"}
        send_answer(chain, flow, headers=theirs)
        assert flow.response
        assert set(cors_of(flow.response)) == {"access-control-allow-origin", "access-control-expose-headers"}
        assert flow.response.headers["access-control-allow-origin"] == APP
        assert "x-sluicegate-id" in flow.response.headers["access-control-expose-headers"]
        assert flow.response.headers.get_all("vary") == ["accept", "origin"]


async def test_refusals_and_own_pages_may_be_read_too(tmp_path: Path) -> None:
    """A page has to see why."""
    settings = quiet(cors=ALLOWED.cors, state_dir=tmp_path, identity=IdentitySettings(mode="keys"))
    services = Services({})
    with chain_of(Identity, settings=settings, services=services) as chain:
        for method, path in (("POST", "/v1/messages"), ("GET", "/health"), ("GET", "/usage")):
            flow = make_flow(method, path, headers=[(b"origin", APP.encode())])
            await descend(chain, flow)
            send_answer(chain, flow)
            assert flow.response
            assert flow.response.headers["access-control-allow-origin"] == APP
    services.close()


async def test_others_see_no_difference() -> None:
    """What the provider says stays, but caches are told that it depends on the origin."""
    with chain_of(settings=ALLOWED) as chain:
        flow = make_flow(headers=[(b"origin", b"https://evil.example")])
        await descend(chain, flow)
        send_answer(chain, flow, headers={"access-control-allow-origin": "https://console.anthropic.com"})
        assert flow.response
        assert cors_of(flow.response) == {"access-control-allow-origin": "https://console.anthropic.com"}
        assert flow.response.headers["vary"] == "origin"


async def test_without_origins_nothing_changes() -> None:
    """The default."""
    with chain_of() as chain:
        flow = make_flow("OPTIONS", headers=asks())
        await descend(chain, flow)
        assert flow.response is None
        send_answer(chain, flow)
        assert flow.response is not None
        assert cors_of(flow.response) == {}
        assert "vary" not in flow.response.headers


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.com", "https://a.example/", "example.com", "null", "HTTPS://A.example"]
)
def test_an_origin_is_an_exact_one(origin: str, tmp_path: Path) -> None:
    """As browsers write it: scheme, host, port."""
    file = tmp_path / "gate.yaml"
    file.write_text(f"cors: {{origins: ['{origin}']}}")
    with pytest.raises(ConfigError, match=r"cors\.origins\[0\]: expected an origin"):
        load(file, {"HOME": "/home/u"})


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000", "http://[::1]:8080", "vscode-webview://abc-1"])
def test_such_origins_are_taken(origin: str, tmp_path: Path) -> None:
    """Schemes of desktop programs among them."""
    file = tmp_path / "gate.yaml"
    file.write_text(f"cors: {{origins: ['{origin}']}}")
    assert load(file, {"HOME": "/home/u"}).cors.origins == (origin,)
