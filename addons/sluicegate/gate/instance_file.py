"""One file per running gate with the addresses of its doors and the path of its CA, for `sluicegate exec` and `env`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mitmproxy import ctx

from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["announce", "living"]


def announce(state: Path) -> Path:
    """Write the file of this process (0600); the caller removes it at the end."""
    folder = state / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{os.getpid()}.json"
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(_describe()))
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


def living(state: Path) -> list[dict[str, Any]]:
    """The running gates of this state folder, newest first; files of dead ones are removed."""
    found: list[tuple[float, dict[str, Any]]] = []
    for path in (state / "run").glob("*.json"):
        try:
            gate = json.loads(path.read_text())
            os.kill(int(gate["pid"]), 0)
            found.append((path.stat().st_mtime, gate))
        except (ProcessLookupError, ValueError, KeyError):
            path.unlink(missing_ok=True)
        except OSError:
            continue
    return [gate for _, gate in sorted(found, key=lambda f: -f[0])]
