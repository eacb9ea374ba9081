"""This machine's address on the network."""

from __future__ import annotations

import subprocess

import pytest


def own_address() -> str:
    """This machine's own address that is not loopback."""
    listed = subprocess.run(["hostname", "-I"], capture_output=True, text=True, timeout=5, check=False).stdout.split()
    found = [address for address in listed if ":" not in address and not address.startswith("127.")]
    if not found:
        pytest.skip("this machine has no address but loopback")
    return found[0]
