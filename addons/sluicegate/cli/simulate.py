"""`sluicegate simulate`: the Messages API stand-in, for trying things out without a key."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["simulate"]


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the simulator: answers /v1/messages like the real API, and keeps a bill."""
    from sluicegate.simulator.__main__ import main

    main(["--port", str(port), "--host", host])
