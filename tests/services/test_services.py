"""Services: alarms, prices, proxies."""

import base64
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import wait_until
from sluicegate.core.errors import StoreError
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.identity import Identity
from sluicegate.settings.prices import Price
from sluicegate.testing import quiet


def test_an_alarm_is_counted_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that fails disturbs neither the others nor the caller; hostile facts stay on one line."""
    services, told = Services({}), []
    services.started = True

    def bad(kind: str, facts: Any) -> None:
        raise RuntimeError

    services.on_alarm += [bad, lambda kind, facts: told.append((kind, facts))]
    services.alarm("stage.bug", stage="x", error='a\nlevel=info forged="1"')
    services.alarm("stage.bug", stage="x", error="again")
    assert services.alarms == {"stage.bug": 2}
    assert told[0] == ("stage.bug", {"stage": "x", "error": 'a\nlevel=info forged="1"'})
    assert len(caplog.records) == 2
    assert "\n" not in caplog.records[0].getMessage()
    assert caplog.records[0].levelname == "ERROR"


@pytest.mark.parametrize(
    ("url", "via"),
    [
        ("http://proxy.test:3128", ("http", ("proxy.test", 3128))),
        ("http://proxy.test", ("http", ("proxy.test", 8080))),
        ("https://proxy.test", ("https", ("proxy.test", 443))),
        ("http://u:p@[::1]:1", ("http", ("::1", 1))),
    ],
)
def test_proxies(url: str, via: Any) -> None:
    """Scheme, host and port of a proxy's URL."""
    assert Services({}).read_via(url) == via


@pytest.mark.parametrize("url", ["", "proxy.test:3128", "socks5://p:1", "http://", "http://p:x"])
def test_what_is_no_proxy(url: str) -> None:
    """ValueError, without the URL's password."""
    with pytest.raises(ValueError):
        Services({}).read_via(url)


def test_a_proxys_credentials_belong_to_its_address() -> None:
    """They are given for that host and port only, percent-decoded."""
    services = Services({})
    services.use_upstream("http://us%40er:p%3Aw@proxy.test:3128")
    expected = b"Basic " + base64.b64encode(b"us@er:p:w")
    assert services.via_auth(("proxy.test", 3128)) == expected
    assert services.via_auth(("proxy.test", 3129)) is None
    assert services.via_auth(("api.anthropic.com", 443)) is None
    assert services.via_auth(None) is None
    assert services.via_of("inherit") == ("http", ("proxy.test", 3128))
    assert services.via_of("none") is None
    assert services.via_of("https://other.test") == ("https", ("other.test", 443))


def test_prices_are_built_once_for_the_same_overrides() -> None:
    """Their memory outlives a reload that does not change them."""
    services = Services({})
    first = services.prices_for(quiet())
    assert services.prices_for(quiet()) is first
    changed = services.prices_for(quiet(prices={"*": Price(input=1, output=2)}))
    assert changed is not first
    assert changed.overrides["*"].output == 2


def in_folder(folder: Path, mode: Any = "keys", **identity: Any) -> Settings:
    return quiet(state_dir=folder, identity=Identity(mode=mode, **identity))


def test_the_keys_are_shared_between_policies(tmp_path: Path) -> None:
    """A reload opens no second key ring for the same store; another store gets its own."""
    services = Services({"H": "x"})
    ring = services.keyring_for(in_folder(tmp_path / "a"))
    assert services.keyring_for(in_folder(tmp_path / "a", keys=())) is ring
    assert services.keyring_for(in_folder(tmp_path / "b")) is not ring
    services.close()
    services.close()


def test_a_store_that_fails_is_an_alarm(tmp_path: Path) -> None:
    """The key ring's thread raises the alarm by itself."""
    services = Services({})
    ring = services.keyring_for(in_folder(tmp_path))
    ring._store.close()
    wait_until(lambda: services.alarms["identity.store"], "the alarm")
    ring._stop.set()
    services.close()


def test_a_passing_server_key_is_not_taken_for_keys(tmp_path: Path) -> None:
    """Mode open does without a state folder; when that is there again, mode keys uses the folder's own."""
    services, folder = Services({}), tmp_path / "state"
    folder.write_text("in the way")
    passing = services.server_key_for(in_folder(folder, "open"))
    with pytest.raises(StoreError, match="state_dir"):
        services.server_key_for(in_folder(folder))
    folder.unlink()
    assert services.server_key_for(in_folder(folder)) != passing
