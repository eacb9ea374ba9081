"""The published JSON Schema."""

from pathlib import Path
from typing import Any

from sluicegate.settings import Settings
from sluicegate.settings.schema import rendered, schema

PUBLISHED = Path(__file__).parents[2] / "config" / "sluicegate.schema.json"


def test_published_schema_is_current() -> None:
    """`python -m sluicegate.settings.schema > config/sluicegate.schema.json` has been run after the last change."""
    assert PUBLISHED.read_text(encoding="utf-8") == rendered()


def test_schema_is_strict_and_complete() -> None:
    """Every section is in it, and no section takes unknown keys."""
    definitions: dict[str, Any] = schema()["$defs"]
    assert set(definitions["Settings"]["properties"]) == set(Settings.__struct_fields__)
    assert all(section["additionalProperties"] is False for section in definitions.values())


def test_notations_are_in_the_schema() -> None:
    """An editor accepts `7d` and `32MB` where the gate does."""
    settings = schema()["$defs"]["Settings"]["properties"]
    assert settings["ping_s"]["type"] == ["number", "string"]
    assert settings["max_body"]["type"] == ["integer", "string"]
