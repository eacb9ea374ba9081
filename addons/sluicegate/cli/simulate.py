"""`sluicegate simulate`: a simulated provider, to try things without an API key."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["simulate"]


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free port.")] = 9000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run a simulated provider: it answers /v1/messages like the real API and keeps a bill."""
    from sluicegate.simulator.__main__ import main

    main(["--port", str(port), "--host", host])
