import pytest

from sluicegate.simulator import simulator


def turns(block, first="hi"):
    return [
        {"role": "user", "content": first},
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "and now?"},
    ]


def test_a_genuine_block_may_come_back(client) -> None:
    """What the simulator signed it accepts, after any prefix."""
    block = client.ask("thinking=1").json["content"][0]
    assert client.ask(messages=turns(block)).status == 200
    assert client.ask(messages=turns(block, first="other")).status == 200


@pytest.mark.parametrize("change", [{"thinking": "forged"}, {"signature": "AAAA"}, {"signature": "ü"}])
def test_a_changed_block_is_refused(client, change) -> None:
    """A signature belongs to its text; the error names the block."""
    block = client.ask("thinking=1").json["content"][0] | change
    refused = client.ask(messages=turns(block))
    assert refused.status == 400
    assert refused.json["error"]["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"


def test_signatures_can_be_bound_to_the_prefix(client_of) -> None:
    """With bind_thinking a block is genuine only after the turns it was made for; breakpoints may move."""
    with simulator(bind_thinking=True) as sim:
        client = client_of(sim)
        block = client.ask("thinking=1").json["content"][0]
        assert client.ask(messages=turns(block)).status == 200
        assert client.ask(messages=turns(block, first="other")).status == 400
        marked = [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]
        plain = [{"type": "text", "text": "q"}]
        block = client.ask("thinking=1", messages=[{"role": "user", "content": marked}]).json["content"][0]
        assert client.ask(messages=turns(block, first=plain)).status == 200
