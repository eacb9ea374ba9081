"""Read NO_PROXY as the most liberal client does, and take out of it what would lead past the gate."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from sluicegate.core.addresses import canonical_host

__all__ = ["without_hosts"]


def without_hosts(no_proxy: str, hosts: Iterable[str]) -> tuple[str, list[str]]:
    """The entries that cover none of these hosts (names, or `*.` and a name), joined again; and those that cover one.

    curl and Python take `example.com` for every host below it, Node wants a dot or `*.` before it, and all know `*`.
    This machine's own addresses are always kept: its local servers are no providers to a client that uses a proxy.
    """
    names = [canonical_host(host) for host in hosts]
    kept, removed = list[str](), list[str]()
    for entry in filter(None, re.split(r"[,\s]+", no_proxy)):
        (removed if _covers_one(entry, names) else kept).append(entry)
    return ",".join(kept), removed


def _covers_one(entry: str, hosts: list[str]) -> bool:
    if entry == "*":
        return True
    if network := _network(entry):
        return not network.is_loopback and any(_is_in(host, network) for host in hosts)
    domain = canonical_host(re.sub(r":\d+$", "", entry)).removeprefix("*").lstrip(".")
    if not domain or domain == "localhost":
        return False
    return any(_overlap(domain, host) for host in hosts)


def _overlap(domain: str, host: str) -> bool:
    below = host.removeprefix("*.")
    return below == domain or below.endswith(f".{domain}") or (below != host and domain.endswith(f".{below}"))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    address = re.sub(r"^\[(.*)\](:\d+)?$", r"\1", entry)
    for text in (address, re.sub(r":\d+$", "", address)):
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
    return None


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")) in network
    except ValueError:
        return False
