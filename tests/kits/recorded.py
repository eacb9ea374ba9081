"""Recorded exchanges with real providers, where they lie beside the checkout."""

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "recorded"


@dataclass(frozen=True)
class Recording:
    id: str
    kind: str
    status: int
    headers: dict[str, str]
    body: bytes
    request: bytes
    method: str
    target: str
    """Path and query."""


def recordings(kind: str = "") -> list[Recording]:
    """All of a kind (anthropic-sse, anthropic-json…), or all; none where the folder is not there."""
    manifest = FOLDER / "MANIFEST.json"
    if not manifest.exists():
        return []
    found = []
    for entry in json.loads(manifest.read_text())["entries"]:
        if not entry["kind"].startswith(kind):
            continue
        base = FOLDER / entry["id"]
        head = json.loads(Path(f"{base}.response.json").read_text())
        found.append(
            Recording(
                entry["id"],
                entry["kind"],
                entry["status"],
                {k.lower(): v for k, v in head["headers"]},
                Path(f"{base}.response.bin").read_bytes(),
                Path(f"{base}.request.json").read_bytes(),
                entry["method"],
                "/" + entry["uri"].split("/", 3)[3],
            )
        )
    return found
