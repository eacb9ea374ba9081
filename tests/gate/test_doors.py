"""Doors: which one, who may come in, which TLS is opened."""

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from sluicegate.core.addresses import is_local
from sluicegate.gate.doors import opens_tls, reject_remote_client
from sluicegate.gate.policy import Policy
from sluicegate.services.services import Services
from sluicegate.settings.identity import Identity
from sluicegate.settings.providers import Provider
from sluicegate.testing import chain_of, quiet

POLICY = Policy(quiet(providers={"l": Provider(kind="anthropic", base_url="https://LLM.corp.example/x")}), (), Services({}))


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("::1%lo", 1), True),
        (("0.0.0.0", 1), False),
        (("::", 1), False),
        (("::ffff:10.0.0.1", 1), False),
        (("10.0.0.1", 1), False),
        (("fe80::1%eth0", 1), False),
        (("localhost", 1), False),
        (("127.evil.example", 1), False),
        (("", 1), False),
        ((), False),
        (None, False),
        ("/run/gate.sock", False),
    ],
)
def test_loopback_addresses(address: Any, local: bool) -> None:
    """IPv4, IPv6, IPv4 in IPv6, scopes; what is no address is not local."""
    assert is_local(address) is local


@pytest.mark.parametrize("mode", ["open", "passthrough", "keys", None])
@pytest.mark.parametrize(
    ("sockname", "local"), [(("127.0.0.1", 4000), True), (("192.168.1.5", 4000), False), (("::", 1), False)]
)
def test_clients_of_other_machines(mode: Any, sockname: tuple[str, int], local: bool) -> None:
    """Without identity, and before there is a policy, only what arrived on loopback is let in."""
    client = tflow.tclient_conn()
    client.sockname, client.error = sockname, None
    policy = Policy(quiet(identity=Identity(mode=mode)), (), Services({})) if mode else None
    rejected = reject_remote_client(client, policy)
    assert bool(rejected) == (not local and mode in ("open", None))
    with chain_of() as chain:
        chain.policy = policy
        chain.client_connected(client)
    assert bool(client.error) == bool(rejected)


@pytest.mark.parametrize(
    ("host", "sni", "opened"),
    [
        ("api.anthropic.com", "api.anthropic.com", True),
        ("API.ANTHROPIC.COM.", None, True),
        ("203.0.113.7", "api.anthropic.com", True),
        ("api.anthropic.com", "other.example", True),
        ("llm.corp.example", None, True),
        ("sluicegate.local", None, True),
        ("203.0.113.7", None, False),
        ("bank.example", "bank.example", False),
        ("api.anthropic.com.evil.example", None, False),
        ("xapi.anthropic.com", None, False),
    ],
)
def test_which_tls_is_opened(host: str, sni: str | None, opened: bool) -> None:
    """On the regular door only what is a provider's by CONNECT host or SNI; on the reverse door all of it."""
    client = tflow.tclient_conn()
    client.proxy_mode = ProxyMode.parse("regular")
    data: Any = SimpleNamespace(
        context=SimpleNamespace(client=client, server=SimpleNamespace(address=(host, 443))),
        client_hello=SimpleNamespace(sni=sni),
    )
    assert opens_tls(data, POLICY) is opened
    assert opens_tls(data, None) is False
    client.proxy_mode = ProxyMode.parse("reverse:https://x.example")
    assert opens_tls(data, None) is True
