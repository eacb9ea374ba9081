"""Addresses: what is this machine, what is inside, what is out in the world."""

import ipaddress

import pytest

from sluicegate.core.addresses import (
    address_of,
    canonical_host,
    is_local,
    is_within,
    may_reach,
)

INSIDE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "168.63.129.16", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255"),
    *("240.0.0.1", "::1", "::", "fe80::1", "fd00:ec2::254", "fc00::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:a00:1::", "fec0::1"),
]
OUTSIDE = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("name", ["api.anthropic.com", "API.Anthropic.COM", "api.anthropic.com.", "Api.anthropic.com.."])
def test_one_host_has_one_spelling(name: str) -> None:
    """Case and the dot of a fully qualified name make no other host."""
    assert canonical_host(name) == "api.anthropic.com"


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    """Private, loopback, link-local, metadata, multicast, reserved, in all the spellings that carry IPv4."""
    assert not may_reach(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    """Public ones."""
    assert may_reach(ipaddress.ip_address(address))


def test_socket_addresses() -> None:
    """What is none has no IP, is not local and belongs to no network."""
    assert str(address_of(("::ffff:10.0.0.1", 1, 0, 0))) == "10.0.0.1"
    assert str(address_of(("fe80::1%eth0", 1))) == "fe80::1"
    for odd in (None, (), ("",), ("/run/x.sock",), "/run/x.sock", ("localhost", 1)):
        assert address_of(odd) is None
        assert not is_local(odd)
        assert not is_within(odd, [ipaddress.ip_network("0.0.0.0/0")])
    assert is_within(("::ffff:10.0.0.1", 1), [ipaddress.ip_network("10.0.0.0/8")])
    assert not is_within(("10.0.0.1", 1), [ipaddress.ip_network("::/0")])
