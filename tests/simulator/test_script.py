from typing import Any

import pytest

from sluicegate.simulator.behaviour import BehaviourError
from sluicegate.simulator.script import Asked, Script


def asked(**fields: Any) -> Asked:
    given = {"method": "POST", "path": "/v1/messages", "model": "claude-x", "credential": "k", "stream": False}
    return Asked(**(given | fields))


def test_entries_are_used_in_order_and_count_down() -> None:
    """Each call takes the first entry that fits; an entry without knobs is a plain call."""
    script = Script()
    script.set([{"status": 529, "times": 2}, {}, {"fault": "reset"}])
    taken = [script.take(asked()) for _ in range(5)]
    assert taken == [{"status": 529}, {"status": 529}, {}, {"fault": "reset"}, None]


def test_an_entry_may_last_for_ever() -> None:
    """times=-1 never runs out; entries behind it are reached by other calls only."""
    script = Script()
    script.set([{"status": 500, "times": -1, "match": {"credential": "bad"}}, {"status": 429}])
    assert script.take(asked(credential="bad")) == {"status": 500}
    assert script.take(asked()) == {"status": 429}
    assert script.take(asked(credential="bad")) == {"status": 500}


@pytest.mark.parametrize(
    ("match", "fits", "misses"),
    [
        ({}, {}, {"path": "/v1/messages/count_tokens"}),
        ({}, {"path": "/prefix/v1/messages"}, {"method": "GET"}),
        ({"path": "/v1/models"}, {"path": "/v1/models", "method": "GET"}, {}),
        ({"path": "/v1/*"}, {"path": "/v1/messages/count_tokens"}, {"path": "/x"}),
        ({"model": "claude-h*"}, {"model": "claude-haiku"}, {}),
        ({"model": "claude-opus-5[1m]"}, {"model": "claude-opus-5[1m]"}, {"model": "claude-opus-51"}),
        ({"stream": True}, {"stream": True}, {}),
        ({"method": "POST"}, {}, {"method": "GET"}),
    ],
)
def test_match_says_which_calls(match: dict[str, Any], fits: dict[str, Any], misses: dict[str, Any]) -> None:
    """Only calls that every given condition fits take the entry."""
    script = Script()
    script.set([{"status": 500, "match": match}])
    assert script.take(asked(**misses)) is None
    assert script.take(asked(**fits)) == {"status": 500}


def test_a_wrong_entry_changes_nothing() -> None:
    """All entries are checked before the queue is replaced."""
    script = Script()
    script.set([{"status": 500}])
    for wrong in ({"statu": 1}, {"times": 0}, {"match": {"pat": "x"}}, {"times": "x"}):
        with pytest.raises(BehaviourError):
            script.set([{}, wrong])
    assert script.dump() == [{"times": 1, "match": {}, "status": 500}]


def test_append_adds_to_the_end() -> None:
    """append=True keeps what is queued."""
    script = Script()
    script.set([{"status": 500}])
    script.set([{"status": 502}], append=True)
    assert [entry["status"] for entry in script.dump()] == [500, 502]
