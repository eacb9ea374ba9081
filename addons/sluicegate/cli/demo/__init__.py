"""`sluicegate demo`: sample traffic through a gate to a simulated provider, without an account or network.

The calls are the table SCENES. Each line of the output comes from the gate's audit record of the call.
"""

from __future__ import annotations

import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sluicegate.cli.demo.children import is_free, start_gate, start_simulator
from sluicegate.cli.demo.play import DemoError, Play
from sluicegate.cli.demo.scenes import SCENES
from sluicegate.cli.places import fail
from sluicegate.cli.processes import Child, ProcessError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SCENES", "demo"]


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gate; 0: any free port.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep running until Ctrl-C.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Show the traffic in mitmweb; implies --keep.")] = False,
) -> None:
    """Send sample traffic through a gate to a simulated provider. Needs no account and no network."""
    from rich.console import Console

    if port and not is_free(port):
        fail(f"port {port} is in use; choose another with --port, or omit it")
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _leave)  # so that the child processes end with this one
    console = Console(highlight=False, markup=False)
    try:
        with tempfile.TemporaryDirectory(prefix="sluicegate-demo-", ignore_cleanup_errors=True) as folder:
            fine = _demo(console, Path(folder), port, keep=keep or web, web=web)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (DemoError, ProcessError) as e:
        fail(str(e), 1)
    if not fine:
        fail("some calls did not go as expected; see the lines marked with ! above", 1)


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _demo(console: Console, folder: Path, port: int, *, keep: bool, web: bool) -> bool:
    with ExitStack() as running:
        with console.status("Starting a simulator and a gate ..."):
            simulator = running.enter_context(start_simulator(folder))
            gate = running.enter_context(start_gate(folder, simulator.found, port, web=web))
        play = Play(console, simulator.found, gate.found, folder / "audit.jsonl")
        play.open()
        went = [play.scene(scene) for scene in SCENES]
        went.append(play.sum_up())
        play.where_next(keep=keep, web_url=gate.line("mitmweb"))
        if keep:
            _until_left(console, simulator, gate)
    return all(went)


def _until_left(console: Console, *running: Child) -> None:
    console.print("Running until Ctrl-C.", style="bold")
    try:
        while True:
            for child in running:
                if child.ended:
                    raise child.failed("exited unexpectedly")
            time.sleep(0.2)
    except KeyboardInterrupt:
        console.print("\nStopped.")
