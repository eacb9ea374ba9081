"""core/translate/schemas.py: JSON schemas as each side wants them."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.core.translate.pairs import Malformed
from sluicegate.core.translate.schemas import closed, is_strict, parameters

Json = dict[str, Any]
OBJECT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_objects_are_closed_wherever_they_stand() -> None:
    """In properties, items, alternatives and definitions; a word that is there already stays."""
    schema = {
        "anyOf": [OBJECT, {"type": ["object", "null"]}],
        "properties": {"l": {"type": "array", "items": OBJECT}, "m": {"type": "object", "additionalProperties": True}},
        "$defs": {"d": OBJECT},
        "required": ["l"],
    }
    done = OBJECT | {"additionalProperties": False}
    assert closed(schema, "") == {
        "anyOf": [done, {"type": ["object", "null"], "additionalProperties": False}],
        "properties": {"l": {"type": "array", "items": done}, "m": {"type": "object", "additionalProperties": True}},
        "$defs": {"d": done},
        "required": ["l"],
        "additionalProperties": False,
    }
    assert "additionalProperties" not in OBJECT


def test_a_property_of_a_schemas_own_words_is_a_property() -> None:
    """What stands under `properties` is a name, whatever it is called; values of `enum` and `default` are left alone."""
    schema = {"type": "object", "properties": {"properties": {"type": "string"}, "a": {"default": {"type": "object"}}}}
    assert closed(schema, "") == schema | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (OBJECT, False),
        (OBJECT | {"additionalProperties": False}, False),
        (OBJECT | {"additionalProperties": False, "required": ["a"]}, True),
        ({"type": "array", "items": OBJECT}, False),
        ({"type": "string"}, True),
        ({"type": "object", "additionalProperties": False}, True),
    ],
)
def test_what_strict_mode_takes(schema: Json, strict: bool) -> None:
    """Closed objects whose properties are all required."""
    assert is_strict(schema) is strict


def test_a_bottomless_schema() -> None:
    """Is refused by its path."""
    schema: Json = {}
    for _ in range(200):
        schema = {"items": schema}
    with pytest.raises(Malformed, match="tools"):
        closed(schema, "tools[0]")
    assert not is_strict(schema)


def test_parameters_are_an_object() -> None:
    """With its type and its properties; the order of the keys that are there stays."""
    assert parameters({}) == {"type": "object", "properties": {}}
    assert list(parameters({"$schema": "x", "type": "object"})) == ["type", "$schema", "properties"]
    assert parameters(OBJECT) is OBJECT
