"""proxy/listeners.py: the door that a client came in by."""

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from sluicegate.proxy.listeners import door_of


@pytest.mark.parametrize(
    ("mode", "door"),
    [
        ("reverse:https://api.anthropic.com@4000", "reverse"),
        ("regular@8080", "regular"),
        ("upstream:http://corp:3128", "upstream"),
        ("socks5", "other"),
    ],
)
def test_doors(mode: str, door: str) -> None:
    """By the mode of the listener; a replay is a door of its own."""
    client = tflow.tclient_conn()
    client.proxy_mode = ProxyMode.parse(mode)
    assert door_of(client) == door
    assert door_of(client, replay=True) == "replay"
