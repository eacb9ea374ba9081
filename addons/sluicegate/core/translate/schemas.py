"""JSON schemas in translation: their objects are closed, as structured outputs require on both sides."""

from __future__ import annotations

from typing import Any, Final

from sluicegate.core.translate.base import Malformed
from sluicegate.core.translate.reading import Json

__all__ = ["closed", "is_strict", "parameters"]

_MAX_DEPTH: Final = 100
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "definitions")


def parameters(schema: Json) -> Json:
    """A tool's schema: an object with `properties`, because some servers refuse one without."""
    if schema.get("type", "object") == "object" and "properties" not in schema:
        return {"type": "object", **schema, "properties": {}}
    return schema if "type" in schema else {"type": "object", **schema}


def closed(schema: Json, path: str, depth: int = 0) -> Json:
    """The schema with `additionalProperties: false` in each object that does not set it."""
    if depth > _MAX_DEPTH:
        raise Malformed(path, f"the schema is nested deeper than {_MAX_DEPTH}")
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            out[key] = {k: _closed(v, path, depth) for k, v in value.items()}
        elif key in _LISTS and isinstance(value, list):
            out[key] = [_closed(v, path, depth) for v in value]
        else:
            out[key] = _closed(value, path, depth) if key == "items" else value
    if _is_object(schema) and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


def is_strict(schema: Json, depth: int = 0) -> bool:
    """Whether OpenAI's strict mode accepts this schema: each object is closed and requires all of its properties."""
    if depth > _MAX_DEPTH:
        return False
    if _is_object(schema):
        required = schema.get("required")
        names = schema.get("properties")
        wanted = set(names) if isinstance(names, dict) else set()
        if schema.get("additionalProperties") is not False:
            return False
        if wanted and not (isinstance(required, list) and wanted <= {r for r in required if isinstance(r, str)}):
            return False
    return all(is_strict(part, depth + 1) for part in _parts(schema))


def _closed(value: object, path: str, depth: int) -> object:
    return closed(value, path, depth + 1) if isinstance(value, dict) else value


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or (kind is None and "properties" in schema)


def _parts(schema: Json) -> list[Json]:
    found = [schema.get("items")]
    for key in _MAPS:
        value = schema.get(key)
        found += value.values() if isinstance(value, dict) else ()
    for key in _LISTS:
        value = schema.get(key)
        found += value if isinstance(value, list) else ()
    return [part for part in found if isinstance(part, dict)]
