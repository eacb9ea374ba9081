"""Private addresses: which host names lead to one."""

import socket
from typing import Any

import pytest

from sluicegate.exchange.private_addresses import resolves_to_private

PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "168.63.129.16", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255"),
    *("240.0.0.1", "::1", "::", "fe80::1", "fd00:ec2::254", "fc00::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:a00:1::", "fec0::1"),
]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]", "fe80::1%lo", *PRIVATE]
)
async def test_names_and_odd_spellings_are_resolved(host: str) -> None:
    """The result of the resolver counts, not the spelling."""
    assert await resolves_to_private(host, 80)


@pytest.mark.parametrize("host", ["1.1.1.1", "no-such-host.invalid", "", "a" * 300, "xn--", "\udcff"])
async def test_public_and_unknown_names(host: str) -> None:
    """Are not refused: a connection to an unknown name fails by itself."""
    assert not await resolves_to_private(host, 80)


async def test_one_address_inside_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public address and a private one: which would be taken is the name server's choice."""

    async def resolve(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, 1, 6, "", (ip, 80)) for ip in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", resolve)
    assert await resolves_to_private("two.example", 80)
