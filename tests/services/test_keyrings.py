"""Provider keys are kept up to date: when a key is read again, and what happens if that fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.services import keyrings
from sluicegate.services.keyrings import ASKED_EVERY_S, COMMAND_EVERY_S, HeldKey, ProviderKeys
from sluicegate.settings.secret import Secret, SecretError

Forward = Callable[[float], None]


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Forward:
    """Moves the clock forward, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(keyrings.time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def in_file(path: Path, value: str) -> Secret:
    """A file of that content, in place of the one that was there, as mounted secrets are replaced."""
    draft = path.with_suffix(".new")
    draft.write_text(value)
    draft.replace(path)
    return Secret(f"file:{path}")


async def test_a_changed_file_is_read_again(tmp_path: Path, forward: Forward) -> None:
    """An unchanged one is not."""
    keys = ProviderKeys({})
    key = keys.hold("anthropic/0", in_file(tmp_path / "key", "one"))
    assert await keys.refresh() == ([], [])
    in_file(tmp_path / "key", "two")
    assert await keys.refresh() == ([key], [])
    assert key.value == "two"
    assert await keys.refresh() == ([], [])


async def test_a_file_replaced_by_the_same_key_is_no_change(tmp_path: Path, forward: Forward) -> None:
    """Nothing rests because of it."""
    keys = ProviderKeys({})
    key = keys.hold("anthropic/0", in_file(tmp_path / "key", "one"))
    in_file(tmp_path / "key", "one")
    assert await keys.refresh() == ([], [])
    assert key.value == "one"


async def test_an_unreadable_file_keeps_the_key(tmp_path: Path, forward: Forward) -> None:
    """The reason is returned once, without the key; the file is read as soon as it is back."""
    keys = ProviderKeys({})
    key = keys.hold("anthropic/0", in_file(tmp_path / "key", "the-old-key"))
    (tmp_path / "key").unlink()
    changed, failed = await keys.refresh()
    assert (changed, [k for k, _ in failed], key.value) == ([], [key], "the-old-key")
    assert "the-old-key" not in failed[0][1]
    assert await keys.refresh() == ([], [])
    in_file(tmp_path / "key", "the-new-key")
    assert await keys.refresh() == ([key], [])


async def test_a_command_runs_again_every_five_minutes(tmp_path: Path, forward: Forward) -> None:
    """Or soon after the provider rejected its key."""
    (tmp_path / "key").write_text("one")
    keys = ProviderKeys({})
    key = keys.hold("anthropic/0", Secret(f"cmd:cat {tmp_path / 'key'}"))
    (tmp_path / "key").write_text("two")
    forward(COMMAND_EVERY_S - 1)
    assert await keys.refresh() == ([], [])
    forward(1)
    assert await keys.refresh() == ([key], [])
    (tmp_path / "key").write_text("three")
    key.ask_again()
    forward(ASKED_EVERY_S - 1)
    assert await keys.refresh() == ([], [])
    forward(1)
    assert await keys.refresh() == ([key], [])
    assert key.value == "three"


async def test_a_key_of_the_environment_never_changes(forward: Forward) -> None:
    """A process cannot see another environment than its own."""
    environ = {"KEY": "one"}
    keys = ProviderKeys(environ)
    key = keys.hold("anthropic/0", Secret("env:KEY"))
    environ["KEY"] = "two"
    key.ask_again()
    forward(COMMAND_EVERY_S)
    assert await keys.refresh() == ([], [])
    assert key.value == "one"


async def test_keys_of_ended_policies_are_not_read(tmp_path: Path, forward: Forward) -> None:
    """A key lasts as long as the policy or the request that uses it."""
    keys = ProviderKeys({})
    keys.hold("anthropic/0", in_file(tmp_path / "key", "one"))
    (tmp_path / "key").unlink()
    assert await keys.refresh() == ([], [])


def test_a_key_that_cannot_be_read_at_first_is_an_error() -> None:
    """A policy with it is not put in force."""
    with pytest.raises(SecretError):
        ProviderKeys({}).hold("anthropic/0", Secret("env:MISSING"))


def test_a_key_is_not_printed() -> None:
    """Its name and its reference are."""
    key = HeldKey("anthropic/0", Secret("env:KEY"), {"KEY": "sk-ant-secret"})
    assert repr(key) == "HeldKey('anthropic/0', 'env:KEY')"
