"""The gates that run on this machine, as they list themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from sluicegate.cli.places import read_settings

__all__ = ["ANY", "address_of_door", "none_runs", "running"]

ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach what listens there


def running(config: Path | None) -> list[dict[str, Any]]:
    """The running gates, newest first. With --config only those that use it, or else a state folder of its own."""
    from sluicegate.gate.instance_file import living, state_folders

    settings = read_settings(config)
    folders = state_folders(settings, os.environ)
    gates = living(folders)
    named = config or os.environ.get("SLUICEGATE_CONFIG")
    if not named:
        return gates
    file = os.path.realpath(Path(named).expanduser())
    same = [gate for gate in gates if gate.get("config") and os.path.realpath(gate["config"]) == file]
    return same or (living(folders[1:]) if config else gates)


def address_of_door(door: dict[str, Any]) -> tuple[str, int]:
    """Host and port at which a door of a gate on this machine is reached."""
    return ANY.get(door["host"], door["host"]), door["port"]


def none_runs(config: Path | None) -> str:
    """What to say if there is no gate."""
    if config:
        return f"no gate is running with the configuration {config}; start it with `sluicegate run --config {config}`"
    return "no gate is running on this machine; start one with `sluicegate run`"
