"""A mitmproxy script for the gate of the client tests: nothing they send leaves this machine.

In interception Claude Code also asks its vendor's host for settings; the gate passes that on to the host named, as it
should, and here it must fail at once instead of reaching anybody.
"""

from mitmproxy.proxy.server_hooks import ServerConnectionHookData


def server_connect(data: ServerConnectionHookData) -> None:
    address = data.server.address
    if address and address[0] != "127.0.0.1":
        data.server.error = f"the tests do not connect to {address[0]}"
