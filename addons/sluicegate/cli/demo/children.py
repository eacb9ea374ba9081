"""The processes of the demo: a simulator, and a gate in front of it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from sluicegate.cli.processes import Child

__all__ = ["is_free", "start_gate", "start_simulator"]

CONFIG = """\
providers: {{anthropic: {{kind: anthropic, base_url: {upstream}}}}}
scrub: {{mode: pseudonymize}}
cache: {{mode: exact}}
retry: {{attempts: 3, backoff: {{start_s: 0.2, max_s: 0.4}}}}
audit: {{log: {audit_log}}}
"""


def start_simulator(folder: Path) -> Child:
    return Child("simulator", ["sluicegate.simulator", "--port", "0"], folder, r"listening on (http://\S+)\n")


def start_gate(folder: Path, upstream: str, port: int, *, web: bool) -> Child:
    config = folder / "sluicegate.yaml"
    audit_log = json.dumps(f"file:{folder / 'audit.jsonl'}")
    config.write_text(CONFIG.format(upstream=json.dumps(upstream), audit_log=audit_log))
    arguments = ["sluicegate", "run", "--config", str(config), "--reverse", str(port)]
    if web:
        arguments += ["--web", "--web-port", str(8081 if is_free(8081) else _free_port())]
    return Child("gate", arguments, folder, r"reverse +(http://\S+) [^\n]*\n" + (r"(?s:.*)mitmweb +\S+\n" if web else ""))


def is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
