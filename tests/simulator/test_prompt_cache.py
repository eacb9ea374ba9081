from typing import Any

import pytest

from sluicegate.simulator.errors import NativeError
from sluicegate.simulator.prompt import prompt_blocks
from sluicegate.simulator.prompt_cache import InputTokens, PromptCache

MODEL = "claude-sonnet-4-5"
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Account:
    """One cache, and requests made of texts of a thousand tokens each."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cache = PromptCache(self.clock)

    def __call__(self, *blocks: Any, model: str = MODEL, workspace: str = "w", **fields: Any) -> InputTokens:
        body = {"messages": [{"role": "user", "content": list(blocks)}], **fields}
        return self.cache.account(workspace, model, prompt_blocks(body))


def text(name: str, control: Any = None, tokens: int = 1000) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": name[0] * (tokens * 4)}
    return block | ({"cache_control": control} if control else {})


@pytest.fixture
def account() -> Account:
    return Account()


def test_without_a_breakpoint_all_input_is_fresh(account: Account) -> None:
    """Nothing is cached unless a breakpoint says so."""
    assert account(text("a"), text("b")) == account(text("a"), text("b")) == InputTokens(2000)


def test_a_prefix_is_written_once_and_then_read(account: Account) -> None:
    """The second call reads what the first one wrote; what follows the breakpoint stays fresh."""
    assert account(text("a"), text("b", MARK), text("c")) == InputTokens(1000, 0, 2000)
    assert account(text("a"), text("b", MARK), text("d")) == InputTokens(1000, 2000)


def test_a_growing_conversation_reads_the_old_and_writes_the_new(account: Account) -> None:
    """A breakpoint that moved on finds the earlier one within the lookback."""
    account(text("a"), text("b", MARK))
    assert account(text("a"), text("b"), text("c", MARK)) == InputTokens(0, 2000, 1000)


def test_the_lookback_is_twenty_blocks(account: Account) -> None:
    """Nineteen blocks before the breakpoint are still found; twenty are not."""
    account(text("a", MARK, 2000))
    near = [text("b", tokens=1) for _ in range(18)]
    assert account(text("a", tokens=2000), *near, text("c", MARK)).read == 2000
    far = [text("d", tokens=1) for _ in range(19)]
    assert account(text("a", tokens=2000), *far, text("c", MARK)).read == 0


def test_any_change_before_the_breakpoint_is_a_miss(account: Account) -> None:
    """Order is tools, system, messages: a changed tool invalidates all."""
    tools = [{"name": "one", "input_schema": {}}]
    account(text("a", MARK, 2000), tools=tools, system="s")
    assert account(text("a", MARK, 2000), tools=tools, system="s").read > 2000
    assert account(text("a", MARK, 2000), tools=[{"name": "two"}], system="s").read == 0
    assert account(text("a", MARK, 2000), tools=tools, system="t").read == 0


def test_a_workspace_and_a_model_have_caches_of_their_own(account: Account) -> None:
    """No credential reads another's prefix, no model another's."""
    account(text("a", MARK, 5000))
    assert account(text("a", MARK, 5000), workspace="other").read == 0
    assert account(text("a", MARK, 5000), model="claude-haiku-4-5").read == 0


@pytest.mark.parametrize(
    ("model", "least"),
    [("claude-sonnet-4-5", 1024), ("claude-opus-4-5", 4096), ("claude-haiku-4-5", 4096), ("claude-opus-5", 512)],
)
def test_short_prefixes_are_not_cached(account: Account, model: str, least: int) -> None:
    """Under the model's minimum a breakpoint does nothing, and that silently."""
    assert account(text("a", MARK, least - 1), model=model) == InputTokens(least - 1)
    assert account(text("b", MARK, least), model=model) == InputTokens(0, 0, least)


@pytest.mark.parametrize(("control", "life_s"), [(MARK, 300), (HOUR, 3600)])
def test_an_entry_expires_and_a_read_renews_it(account: Account, control: Any, life_s: float) -> None:
    """The TTL counts from the last use."""
    account(text("a", control, 2000))
    for _ in range(3):
        account.clock.now += life_s - 1
        assert account(text("a", control, 2000)).read == 2000
    account.clock.now += life_s
    assert account(text("a", control, 2000)).read == 0


def test_two_ttls_are_billed_apart(account: Account) -> None:
    """Tokens up to the 1h breakpoint are 1h writes, those after it 5m writes."""
    assert account(text("a", HOUR, 2000), text("b", MARK), text("c")) == InputTokens(1000, 0, 1000, 2000)
    account.clock.now += 301
    assert account(text("a", HOUR, 2000), text("b", MARK), text("c")) == InputTokens(1000, 2000, 1000)


def test_automatic_caching_marks_the_last_block(account: Account) -> None:
    """Top-level cache_control follows the conversation by itself."""
    assert account(text("a", tokens=2000), cache_control=MARK) == InputTokens(0, 0, 2000)
    assert account(text("a", tokens=2000), text("b"), cache_control=MARK) == InputTokens(0, 2000, 1000)


def test_a_string_counts_as_one_text_block(account: Account) -> None:
    """`content: "x"` and a single text block are the same prefix."""
    body = {"cache_control": MARK, "messages": [{"role": "user", "content": "a" * 8000}]}
    account.cache.account("w", MODEL, prompt_blocks(body))
    assert account(text("a", MARK, 2000)).read == 2000


@pytest.mark.parametrize(
    ("blocks", "fields", "words"),
    [
        ([text(name, MARK) for name in "abcde"], {}, "maximum of 4"),
        ([text(name, MARK) for name in "abcd"] + [text("e")], {"cache_control": MARK}, "Found 5"),
        ([text("a", MARK), text("b", HOUR)], {}, "must not come after"),
        ([{"type": "text", "text": "", "cache_control": MARK}], {}, "empty text"),
        ([{"type": "thinking", "thinking": "x", "cache_control": MARK}], {}, "thinking"),
        ([text("a", {"type": "eternal"})], {}, "ephemeral"),
        ([text("a", {"type": "ephemeral", "ttl": "2h"})], {}, "'5m' or '1h'"),
        ([text("a", MARK)], {"cache_control": HOUR}, "conflicts"),
    ],
)
def test_wrong_breakpoints_are_refused(blocks: list[Any], fields: dict[str, Any], words: str) -> None:
    """Too many, misplaced or malformed cache_controls are a 400."""
    with pytest.raises(NativeError, match=words) as caught:
        prompt_blocks({"messages": [{"role": "user", "content": blocks}], **fields})
    assert caught.value.status == 400
