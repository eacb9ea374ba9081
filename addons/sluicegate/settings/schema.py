"""The JSON Schema of the configuration, for editors: `python -m sluicegate.settings.schema`."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from sluicegate.settings.secret import Secret
from sluicegate.settings.tree import Settings


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of sluicegate.yaml. Rules between keys are checked by `load` only."""
    described = _with_notations(msgspec.json.schema(Settings, schema_hook=_own_types))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluicegate's configuration",
        **described,
    }


def rendered() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _with_notations(node: Any) -> Any:
    """Durations and sizes (they come with examples) may be written as text as well."""
    match node:
        case dict():
            node = {key: _with_notations(value) for key, value in node.items()}
            return {**node, "type": [node["type"], "string"]} if "examples" in node else node
        case list():
            return [_with_notations(item) for item in node]
    return node


def _own_types(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {
            "type": "string",
            "pattern": r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|cmd:.+)$",
            "description": "a reference to a secret: env:NAME, file:PATH or cmd:COMMAND",
        }
    if kind is Path:
        return {"type": "string", "description": "a path"}
    raise NotImplementedError(kind.__name__)


if __name__ == "__main__":
    sys.stdout.write(rendered())
