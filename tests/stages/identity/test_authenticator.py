"""The authenticator: from credentials to a caller, or to the refusal that says why there is none."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from kits.identitykit import ENVIRON, KEY, STATIC, settings_for, store_key
from sluicegate.core.errors import Refused
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.identity import Team, TrustedHeader, VirtualKey
from sluicegate.settings.secret import Secret
from sluicegate.stages.identity.authenticator import Authenticator, ProxyAuthRequired

FRONT = ("10.0.0.7", 1)


@pytest.fixture
def services() -> Generator[Services]:
    services = Services(ENVIRON)
    yield services
    services.close()


def open_with(tmp_path: Path, services: Services, **header: Any) -> Authenticator:
    trusted = TrustedHeader(**{"name": "X-User", "peers": ("10.0.0.0/8",), **header})
    teams = {"research": Team(project="p", tags={"cost_center": "1"}, models=("claude-*",))}
    return Authenticator(settings_for(tmp_path, "open", trusted_header=trusted, teams=teams), services)


def test_static_and_stored_keys_are_found_by_their_hash(tmp_path: Path, services: Services) -> None:
    """With their own properties; a key of neither kind is unknown."""
    settings = settings_for(tmp_path)
    record = store_key(settings, name="laptop")
    authenticator = Authenticator(settings, services)
    stored, status = authenticator.look_up(authenticator.digest(KEY.encode()))
    assert (stored and stored.key_id, stored and stored.name, status) == (record.id, "laptop", "valid")
    static = authenticator.by_digest(authenticator.digest(STATIC.encode()))
    assert (static.team, static.tags, static.mode) == ("a", {"cost_center": "4711"}, "keys")
    assert static.key_id.startswith("static_")
    assert authenticator.look_up(authenticator.digest(b"sk-sg-other")) == (None, "unknown")


@pytest.mark.parametrize(
    ("about", "words"),
    [({"expires_at": 1.0}, "expired"), ({"revoked_at": 1.0}, "revoked"), ({"paused_at": 1.0}, "paused"), (None, "invalid")],
)
def test_a_key_that_is_not_valid_is_refused_with_the_reason(
    tmp_path: Path, services: Services, about: dict[str, Any] | None, words: str
) -> None:
    """401, or 407 for the password of the proxy; the key is not quoted, and the client does not retry."""
    settings = settings_for(tmp_path)
    if about is not None:
        store_key(settings, **about)
    authenticator = Authenticator(settings, services)
    with pytest.raises(Refused, match=words) as refused:
        authenticator.by_digest(authenticator.digest(KEY.encode()))
    assert (refused.value.status, refused.value.should_retry) == (401, False)
    with pytest.raises(ProxyAuthRequired, match=words) as denied:
        authenticator.by_proxy_password(KEY.encode())
    assert denied.value.status == 407
    assert (b"proxy-authenticate", b'Basic realm="sluicegate"') in denied.value.headers()
    assert KEY not in refused.value.message + denied.value.message


def test_a_missing_proxy_password_is_a_407(tmp_path: Path, services: Services) -> None:
    """The message shows how to send one."""
    with pytest.raises(ProxyAuthRequired, match="HTTPS_PROXY"):
        Authenticator(settings_for(tmp_path), services).by_proxy_password(None)


def test_a_rotated_key_works_until_its_grace_ends(tmp_path: Path, services: Services) -> None:
    """After that it says that there is a new one."""
    settings = settings_for(tmp_path)
    authenticator = Authenticator(settings, services)
    old = authenticator.digest(KEY.encode())
    store_key(settings, "sk-sg-the-new-key", previous=old, previous_until=time.time() + 60)
    authenticator = Authenticator(settings, Services(ENVIRON))
    assert authenticator.look_up(old)[1] == "valid"
    store_key(settings, "sk-sg-a-newer-key", previous=authenticator.digest(b"x"), previous_until=1.0)
    authenticator = Authenticator(settings, Services(ENVIRON))
    assert authenticator.look_up(authenticator.digest(b"x"))[1] == "replaced"


def test_static_keys_must_differ(tmp_path: Path, services: Services) -> None:
    """Two entries with the same key: whose would it be?"""
    twice = tuple(VirtualKey(key=Secret("env:KEY_A"), team=team) for team in "ab")
    with pytest.raises(ValueError, match=r"identity\.keys\[1\]\.key") as raised:
        Authenticator(settings_for(tmp_path, keys=twice), services)
    assert STATIC not in str(raised.value)


def test_static_keys_count_in_mode_keys_only(tmp_path: Path, services: Services) -> None:
    """Elsewhere they open nothing, and their secrets are not even read."""
    settings: Settings = settings_for(tmp_path, "passthrough", keys=(VirtualKey(key=Secret("env:MISSING")),))
    authenticator = Authenticator(settings, services)
    assert authenticator.look_up(authenticator.digest(STATIC.encode())) == (None, "unknown")


def test_unverified_callers_are_distinguished_by_a_keyed_hash(tmp_path: Path, services: Services) -> None:
    """The same credential gives the same caller, whatever header it is in; without one it is anonymous."""
    authenticator = Authenticator(settings_for(tmp_path, "open"), services)
    one = authenticator.unverified([(b"x-api-key", b"sk-ant-1")])
    assert one == authenticator.unverified([(b"authorization", b"Bearer sk-ant-1")])
    assert one != authenticator.unverified([(b"x-api-key", b"sk-ant-2")])
    assert "sk-ant-1" not in repr(one)
    assert authenticator.unverified([]).key_id == authenticator.unverified([(b"x-api-key", b"")]).key_id == "anonymous"


@pytest.mark.parametrize(
    ("fields", "peer", "value"),
    [
        ([(b"x-user", b"ada")], FRONT, "ada"),
        ([(b"X-USER", b" ada lovelace ")], FRONT, "ada lovelace"),
        ([(b"x-user", "ådå".encode())], FRONT, "ådå"),
        ([(b"x-user", b"ada")], ("::ffff:10.0.0.7", 1), "ada"),
        ([(b"x-user", b"ada")], ("127.0.0.1", 1), None),
        ([(b"x-user", b"ada")], ("11.0.0.7", 1), None),
        ([(b"x-user", b"ada")], None, None),
        ([(b"x-user", b"ada"), (b"x-user", b"eve")], FRONT, None),
        ([(b"x-user", b"ada, eve")], FRONT, None),
        ([(b"x-user", b"")], FRONT, None),
        ([(b"x-user", b"a\x00b")], FRONT, None),
        ([(b"x-user", b"\xff")], FRONT, None),
        ([(b"x-user", b"a" * 129)], FRONT, None),
        ([], FRONT, None),
    ],
)
def test_the_trusted_header(tmp_path: Path, services: Services, fields: Any, peer: Any, value: str | None) -> None:
    """From one of its peers, once, and a plain name; anything else counts as missing."""
    assert open_with(tmp_path, services).trusted_value(fields, peer) == value


def test_without_a_trusted_header_no_header_is_trusted(tmp_path: Path, services: Services) -> None:
    """And no peer is a forwarder."""
    authenticator = Authenticator(settings_for(tmp_path, "open"), services)
    assert authenticator.trusted_value([(b"x-user", b"ada")], FRONT) is None
    assert not authenticator.is_forwarder(FRONT)


@pytest.mark.parametrize("means", ["user", "project", "team"])
def test_what_the_trusted_header_names(tmp_path: Path, services: Services, means: str) -> None:
    """A user, a project, or a team with its defaults."""
    caller = open_with(tmp_path, services, means=means).from_trusted_header("research")
    assert (caller.key_id, getattr(caller, means)) == (f"{means}:research", "research")
    if means == "team":
        assert (caller.project, caller.tags, caller.models) == ("p", {"cost_center": "1"}, ("claude-*",))
