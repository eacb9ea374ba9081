"""core/messages/models_list.py: which models are listed, and in which words."""

from __future__ import annotations

import json

import pytest
from anthropic.types import ModelInfo
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.messages.models_list import (
    Model,
    RouteFacts,
    entry,
    listing,
    read_listing,
    served,
)

OPUS, HAIKU = Model("claude-opus-4-5", "Claude Opus 4.5", 1_764_000_000, "a"), Model("claude-haiku-4-5", owner="a")
LLAMA = Model("llama-3.3-70b", owner="g")
LISTED = {"a": [OPUS, HAIKU], "g": [LLAMA]}


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], ["claude-opus-4-5", "claude-haiku-4-5", "llama-3.3-70b"]),
        ([("*", [("a", None)])], ["claude-opus-4-5", "claude-haiku-4-5"]),
        ([("claude-haiku-*", [("g", "llama-3.3-70b")])], ["claude-haiku-4-5"]),
        ([("fast", [("g", "llama-3.3-70b")]), ("*", [("a", None)])], ["fast", "claude-opus-4-5", "claude-haiku-4-5"]),
        ([("claude-*", [("g", None)]), ("*", [("a", None)])], []),
        ([("*", [("g", None), ("a", None)])], ["claude-opus-4-5", "claude-haiku-4-5", "llama-3.3-70b"]),
        ([("*", [("silent", None)])], []),
        ([("claude-opus-4-5", [("silent", None)])], ["claude-opus-4-5"]),
        ([("claude-opus-5[1m]", [("silent", None)])], ["claude-opus-5[1m]"]),
    ],
)
def test_what_is_served(routes: list[tuple[str, list[tuple[str, str | None]]]], expected: list[str]) -> None:
    """What the first route that fits would take; a name of the configuration's own in any case."""
    assert [m.id for m in served([RouteFacts(*r) for r in routes], LISTED)] == expected


def test_an_alias_is_as_old_as_what_is_behind_it() -> None:
    """And is shown by its name."""
    (model,) = served([RouteFacts("best", [("a", "claude-opus-4-5")])], {"a": [OPUS]})
    assert model == Model("best", "best", OPUS.created, "a")


def test_one_document_for_both_kinds_of_clients() -> None:
    """Anthropic's SDK reads it, and it is what OpenAI's page says."""
    document = listing([OPUS, HAIKU])
    info = ModelInfo.construct(**document["data"][0])
    assert (info.id, info.display_name, info.created_at.year) == ("claude-opus-4-5", "Claude Opus 4.5", 2025)
    assert document["object"] == "list"
    assert {"id", "object", "created", "owned_by"} <= document["data"][0].keys()
    assert (document["has_more"], document["first_id"], document["last_id"]) == (False, OPUS.id, HAIKU.id)
    assert entry(HAIKU)["display_name"] == HAIKU.id
    assert entry(HAIKU)["created_at"] == "1970-01-01T00:00:00Z"


@given(st.integers(0, 12), st.integers(1, 5), st.booleans())
def test_pages_hold_each_model_once(n: int, limit: int, backwards: bool) -> None:
    """From the front by the last id, from the back by the first."""
    models = [Model(str(i)) for i in range(n)]
    found: list[str] = []
    mark: str | None = None
    while True:
        page = listing(models, limit=limit, **{"before_id" if backwards and mark else "after_id": mark})
        ids = [row["id"] for row in page["data"]]
        if backwards and mark is None:
            page = listing([*models, Model("end")], limit=limit, before_id="end")
            ids = [row["id"] for row in page["data"]]
        found = [*ids, *found] if backwards else [*found, *ids]
        if not page["has_more"]:
            break
        mark = page["first_id"] if backwards else page["last_id"]
    assert found == [m.id for m in models]


def test_both_kinds_of_lists_are_read() -> None:
    """With what each says of a model."""
    theirs = listing([OPUS])
    assert read_listing(json.dumps(theirs).encode(), "a") == [OPUS]
    native = (
        b'{"data":[{"type":"model","id":"claude-opus-4-5","display_name":"Claude Opus 4.5",'
        b'"created_at":"2025-11-24T16:00:00Z"}]}'
    )
    assert read_listing(native, "a") == [OPUS]
    assert read_listing(b'{"object":"list","data":[{"id":"llama-3.3-70b","created":0}]}', "g") == [LLAMA]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data":{}}',
        b'{"data":[1,{"id":5},{"id":""},{"id":"a\\nb"}]}',
        b'{"data":[{"id":"%b"}]}' % (b"x" * 300),
    ],
)
def test_nonsense_is_left_out(body: bytes) -> None:
    """It never becomes an entry."""
    assert read_listing(body, "a") == []


@pytest.mark.parametrize(
    "created", ['"created":1e400', '"created":-1', '"created_at":"never"', '"created_at":"9999-12-31T23:59:59-23:59"']
)
def test_odd_dates(created: str) -> None:
    """Count as not known, or as what they say; never an error."""
    (model,) = read_listing(b'{"data":[{"id":"m",%b}]}' % created.encode(), "a")
    assert entry(model)["id"] == "m"


@given(st.binary(max_size=80))
def test_nothing_makes_it_raise(body: bytes) -> None:
    """Whatever a provider sends."""
    read_listing(body, "a")
