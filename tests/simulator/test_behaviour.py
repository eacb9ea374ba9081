import pytest

from sluicegate.simulator.behaviour import (
    PLAIN,
    BehaviourError,
    base_model,
    behaviour,
    header_knobs,
    model_knobs,
)


def test_pairs_and_json_say_the_same() -> None:
    """An x-sim header may be pairs or JSON; values are typed either way."""
    pairs = behaviour(header_knobs("events=3; delay_ms=1.5; thinking; at=2; fault=reset; header.retry-after=7"))
    json = behaviour(
        header_knobs('{"events":3,"delay_ms":1.5,"thinking":true,"at":2,"fault":"reset","headers":{"retry-after":"7"}}')
    )
    assert pairs == json
    assert pairs.headers == {"retry-after": "7"}
    assert pairs.place == 2


def test_pairs_may_hold_quoted_characters_and_objects() -> None:
    """Text is percent-decoded; an object is JSON."""
    knobs = behaviour(header_knobs('text=a%3Bb;tool_input={"x":1};at=headers'))
    assert (knobs.text, knobs.tool_input, knobs.place) == ("a;b", {"x": 1}, "headers")


def test_a_models_name_carries_knobs() -> None:
    """What follows a `+` in the model's name are knobs, and no part of the model."""
    name = "claude-sonnet-4-5+events=3+thinking=1"
    assert behaviour(model_knobs(name)).events == 3
    assert base_model(name) == "claude-sonnet-4-5"


def test_no_knobs_is_the_plain_behaviour() -> None:
    """Without knobs no object is made."""
    assert behaviour({}) is PLAIN


@pytest.mark.parametrize(
    "header", ["evens=3", "events=x", "events=-1", "fault=no", "{", "at=middle", "tool_input={", "find=("]
)
def test_a_wrong_knob_is_refused(header: str) -> None:
    """A knob that does not exist or has a wrong value is an error, never ignored."""
    with pytest.raises(BehaviourError):
        behaviour(header_knobs(header))
