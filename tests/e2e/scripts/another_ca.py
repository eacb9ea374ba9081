"""Makes another CA when the first client comes: what a second process does that starts at the same moment."""

from pathlib import Path

from mitmproxy import connection, ctx
from mitmproxy.certs import CertStore

made: list[Path] = []


def client_connected(client: connection.Client) -> None:
    if not made:
        made.append(Path(ctx.options.confdir))
        CertStore.create_store(made[0], "mitmproxy", ctx.options.key_size)
        print("another CA was made", flush=True)
