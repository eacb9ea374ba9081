"""A file per running gate: its doors, its CA and the hosts that it decrypts, for the commands that look for a gate.

A gate lists itself in two folders: the default state folder, which is where commands look that know no configuration, and
the state folder of its own configuration, which is writable where a home folder is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mitmproxy import ctx

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings.reading.environment import default_state_dir

__all__ = ["announce", "living", "state_folders"]


def state_folders(settings: Settings, environ: Mapping[str, str]) -> list[Path]:
    """The folders that a gate with these settings lists itself in."""
    return list(dict.fromkeys((default_state_dir(environ), settings.state_dir.expanduser())))


def announce(folders: Iterable[Path], *, config: Path | None, hosts: Collection[str]) -> list[Path]:
    """Write this process's files (0600) into the folders that are writable; the caller removes them at the end."""
    folders = list(folders)
    description = _describe() | {
        "config": str(config) if config else None,
        "state": str(folders[-1]),
        "hosts": sorted(hosts),
    }
    written, failed = [], []
    for folder in folders:
        try:
            written.append(_write(folder / "run", description))
        except OSError as e:
            failed.append(f"{folder}: {e.strerror}")
    if failed and not written:
        log.warning("gate.unlisted", why="; ".join(failed), effect="commands find this gate by --url or --proxy only")
    return written


def _write(folder: Path, description: dict[str, Any]) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"{os.getpid()}.json"
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(description))
    temporary.replace(path)
    return path


def _describe() -> dict[str, Any]:
    doors = [
        {"mode": s.mode.type_name, "host": address[0], "port": address[1]}
        for s in internals.listeners()
        for address in s.listen_addrs[:1]
    ]
    confdir = Path(ctx.options.confdir).expanduser().absolute()
    return {"pid": os.getpid(), "doors": doors, "ca": str(confdir / "mitmproxy-ca-cert.pem")}


def living(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """The running gates that are listed in these folders, newest first; files of dead ones are removed."""
    found: dict[int, tuple[float, dict[str, Any]]] = {}
    for folder in folders:
        for path in (folder / "run").glob("*.json"):
            try:
                gate = json.loads(path.read_text())
                os.kill(int(gate["pid"]), 0)
                found[int(gate["pid"])] = path.stat().st_mtime, gate
            except (ProcessLookupError, ValueError, KeyError):
                path.unlink(missing_ok=True)
            except OSError:
                continue
    return [gate for _, gate in sorted(found.values(), key=lambda f: -f[0])]
