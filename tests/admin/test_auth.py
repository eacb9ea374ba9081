"""Who may see an admin page, decided from one request."""

from pathlib import Path
from typing import Any

import pytest

from kits.identitykit import settings_for
from sluicegate.admin.auth import AdminAuth
from sluicegate.services.services import Services
from sluicegate.settings.identity import Identity, TrustedHeader
from sluicegate.settings.secret import Secret, SecretError
from sluicegate.stages import Identity as IdentityStage
from sluicegate.testing import make_exchange, make_flow, quiet

TOKEN = "the-admin-token"
WITH_TOKEN = quiet(identity=Identity(admin_token=Secret("env:ADMIN")))


def why(
    auth: AdminAuth | None = None,
    *,
    settings: Any = None,
    identity: IdentityStage | None = None,
    peer: tuple[str, int] = ("127.0.0.1", 1),
    host: str = "localhost:4000",
    headers: Any = (),
    credentials: Any = (),
) -> str | None:
    x = make_exchange(
        make_flow("GET", "/stats", headers=headers, peer=peer),
        settings=settings,
        client_host=host,
        client_credentials=credentials,
    )
    return (auth or AdminAuth({"ADMIN": TOKEN})).why_denied(x, identity)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:4000", "127.0.0.1:1", "[::1]:4000", "sluicegate.local"])
def test_a_local_client_needs_no_token(peer: str, host: str) -> None:
    """From a loopback address, under a loopback name or the magic host."""
    assert why(peer=(peer, 1), host=host) is None


@pytest.mark.parametrize("peer", ["192.168.1.2", "203.0.113.9", "::ffff:10.0.0.1"])
def test_another_machine_needs_a_token(peer: str) -> None:
    """The refusal names the configuration key that opens the pages."""
    assert "identity.admin_token" in (why(peer=(peer, 1)) or "")


@pytest.mark.parametrize(
    "host", ["", "gate.example", "localhost.evil.example", "127.0.0.1.evil.example", "sluicegate.local.x"]
)
def test_a_foreign_host_name_is_denied(host: str) -> None:
    """DNS rebinding: a name that an attacker controls may resolve to loopback."""
    assert "loopback name" in (why(host=host) or "")


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b"http://localhost.evil.example"])
def test_a_foreign_origin_is_denied(origin: bytes) -> None:
    """A page of another site in a browser on this machine."""
    assert "cross-origin" in (why(headers=[(b"origin", origin)]) or "")
    assert why(headers=[(b"origin", b"http://localhost:4000")]) is None


@pytest.mark.parametrize("name", [b"forwarded", b"X-Forwarded-For", b"x-forwarded-host", b"x-real-ip", b"via"])
def test_a_forwarded_request_is_denied(name: bytes) -> None:
    """A forwarder on this machine passes on requests of other machines."""
    assert "from this machine only" in (why(headers=[(name, b"127.0.0.1")]) or "")


def test_a_peer_of_the_trusted_header_is_a_forwarder(tmp_path: Path) -> None:
    """Also without a header that says so."""
    header = TrustedHeader(name="x-user", peers=("127.0.0.2",))
    identity = IdentityStage(settings_for(tmp_path, "open", trusted_header=header), Services({}))
    assert "from this machine only" in (why(identity=identity, peer=("127.0.0.2", 1)) or "")
    assert why(identity=identity, peer=("127.0.0.1", 1)) is None


@pytest.mark.parametrize(
    ("credentials", "allowed"),
    [
        ([(b"x-sluicegate-admin", TOKEN.encode())], True),
        ([(b"Authorization", b"Bearer " + TOKEN.encode())], True),
        ([(b"x-sluicegate-admin", b""), (b"authorization", b"Bearer " + TOKEN.encode())], True),
        ([(b"x-sluicegate-admin", b"wrong"), (b"authorization", b"Bearer " + TOKEN.encode())], False),
        ([(b"authorization", b"Bearer ")], False),
        ([(b"authorization", b"Basic " + TOKEN.encode())], False),
        ([(b"x-api-key", TOKEN.encode())], False),
        ([], False),
    ],
)
def test_a_configured_token_is_required_everywhere(credentials: Any, allowed: bool) -> None:
    """Of a local client, too; nothing else is asked for, and the token is never quoted."""
    for peer, host in (("127.0.0.1", "localhost"), ("203.0.113.9", "gate.example")):
        denied = why(settings=WITH_TOKEN, credentials=credentials, peer=(peer, 1), host=host)
        assert (denied is None) == allowed
        assert TOKEN not in (denied or "")


def test_a_token_that_cannot_be_resolved_allows_nobody() -> None:
    """An error instead of a comparison with an empty token."""
    with pytest.raises(SecretError):
        why(AdminAuth({}), settings=WITH_TOKEN, credentials=[(b"x-sluicegate-admin", b"")])


def test_a_token_is_resolved_once_per_configuration(tmp_path: Path) -> None:
    """It may be the output of a command; another configuration resolves its own."""
    file, auth = tmp_path / "token", AdminAuth({})
    file.write_text(TOKEN)
    settings = quiet(identity=Identity(admin_token=Secret(f"file:{file}")))
    sent = [(b"x-sluicegate-admin", TOKEN.encode())]
    assert why(auth, settings=settings, credentials=sent) is None
    file.write_text("another-token")
    assert why(auth, settings=settings, credentials=sent) is None
    reloaded = quiet(identity=Identity(admin_token=Secret(f"file:{file}")))
    assert why(auth, settings=reloaded, credentials=sent) is not None
