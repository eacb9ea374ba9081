"""`python -m sluicegate.simulator`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from collections.abc import Sequence

from sluicegate.simulator.server import Simulator


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sluicegate.simulator", description="A simulated LLM provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port (the default)")
    parser.add_argument("--tls-cert", help="PEM file with the certificate (chain)")
    parser.add_argument("--tls-key", help="PEM file with the key; default: in --tls-cert")
    parser.add_argument("--require-auth", action="store_true", help="return 401 without a credential")
    parser.add_argument("--bind-thinking", action="store_true", help="thinking signatures cover the whole prefix")
    arguments = parser.parse_args(argv)
    if arguments.tls_key and not arguments.tls_cert:
        parser.error("--tls-key needs --tls-cert")
    return arguments


async def _serve(arguments: argparse.Namespace) -> None:
    context = None
    if arguments.tls_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    simulator = Simulator(require_auth=arguments.require_auth, bind_thinking=arguments.bind_thinking)
    await simulator.start(arguments.host, arguments.port, context)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises instead
            loop.add_signal_handler(name, stopped.set)
    print(f"simulator listening on {simulator.url}", flush=True)
    await stopped.wait()
    await simulator.stop()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_arguments(argv)))


if __name__ == "__main__":
    main()
