"""proxy/connections/outbound.py: a connection whose target cannot be checked is not opened."""

from __future__ import annotations

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from sluicegate.testing import chain_of, make_flow


def test_a_bug_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy connects when a hook raises; here the connection gets an error instead, and an alarm is raised."""
    with chain_of() as chain:
        server = Server(address=("api.anthropic.com", 443))

        def broken(*_: object, **__: object) -> None:
            raise KeyError

        monkeypatch.setattr(chain.policy, "limits_at", broken)
        chain.server_connect(ServerConnectionHookData(server=server, client=make_flow().client_conn))
        assert server.error == "internal error in the gate"
        assert chain.services.alarms["chain.server_connect"] == 1
