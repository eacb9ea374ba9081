"""stages/scrubber/toolkit.py: the scrubber's tools as the settings ask for them, and the store that all policies share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.services.services import Services
from sluicegate.settings import ConfigError, Secret, Settings
from sluicegate.settings.scrub import Restore, Scrub
from sluicegate.stages.scrubber.toolkit import ScrubToolkit, build_toolkit
from sluicegate.stores.placeholder_numbers.redis import RedisPlaceholderNumbers
from sluicegate.stores.placeholder_numbers.sqlite import SqlitePlaceholderNumbers

KEY = "ab" * 32
REDIS = "redis://127.0.0.1:1/0"


def toolkit(
    folder: Path, services: Services | None = None, *, mode: Any = "pseudonymize", store: str | None = None, **scrub: Any
) -> ScrubToolkit:
    settings = Settings(
        scrub=Scrub(mode=mode, key=Secret.parse("env:K"), **scrub), state_dir=folder, **({"store": store} if store else {})
    )
    return build_toolkit(settings, services or Services({"K": KEY}))


async def test_all_policies_of_a_process_share_a_store(tmp_path: Path) -> None:
    """One object, one cache and one thread for a file or a URL, however often the configuration is reloaded."""
    services = Services({"K": KEY})
    first = toolkit(tmp_path, services).numbers
    assert isinstance(first, SqlitePlaceholderNumbers)
    assert toolkit(tmp_path, services, rules=("gitleaks",)).numbers is first
    shared = toolkit(tmp_path, services, store=REDIS).numbers
    assert isinstance(shared, RedisPlaceholderNumbers)
    assert toolkit(tmp_path, services, store=REDIS).numbers is shared
    (tmp_path / "other").mkdir()
    assert toolkit(tmp_path / "other", services).numbers not in (first, shared)
    await services.state.close(lambda e: pytest.fail(repr(e)))


async def test_the_store_is_closed_with_the_process(tmp_path: Path) -> None:
    """Its thread has ended, and what it assigned is in the file."""
    services = Services({"K": KEY})
    numbers = toolkit(tmp_path, services).numbers
    assert isinstance(numbers, SqlitePlaceholderNumbers)
    value = ("API_KEY", b"1" * 16)
    assert await numbers.assign(b"one", [value]) == {value: 1}
    await services.state.close(lambda e: pytest.fail(repr(e)))
    assert not numbers._thread.is_alive()
    again = SqlitePlaceholderNumbers(tmp_path / "conversations.sqlite")
    assert await again.assign(b"one", [("API_KEY", b"2" * 16), value]) == {("API_KEY", b"2" * 16): 2, value: 1}
    await again.close()


@pytest.mark.parametrize(
    ("mode", "numbering", "known_values", "numbers"),
    [
        ("pseudonymize", "ranked", True, True),
        ("pseudonymize", "hmac", True, False),
        ("block", "ranked", False, False),
        ("detect", "ranked", False, False),
    ],
)
def test_only_what_the_mode_needs_is_built(
    tmp_path: Path, mode: str, numbering: str, known_values: bool, numbers: bool
) -> None:
    """Without hiding, other spellings are not searched for; without numbering, no file is created."""
    made = toolkit(tmp_path, mode=mode, numbering=numbering)
    assert (made.known_values is not None, made.numbers is not None) == (known_values, numbers)
    assert (tmp_path / "conversations.sqlite").exists() == numbers


def test_a_conversation_has_another_key_for_each_owner(tmp_path: Path) -> None:
    """The same conversation of two callers shares no numbers and no digests; an identifier's hash is the same."""
    made = toolkit(tmp_path, numbering="hmac")
    one, two = made.placeholder_factory(b"c", "team:a"), made.placeholder_factory(b"c", "team:b")
    assert one.conversation != two.conversation
    assert one.digest("API_KEY", "value") != two.digest("API_KEY", "value")
    assert one.digest("EMAIL", "ann@corp.com", tier="identifier") == two.digest("EMAIL", "ann@corp.com", tier="identifier")
    assert made.placeholder_factory(b"c", "team:a") == one


def test_tools_and_hosts_are_the_configured_ones(tmp_path: Path) -> None:
    """`restore.tools` and `restore.allow_hosts` decide which tool inputs get values."""
    restore = Restore(tools={"mcp__db__*": True, "Read": False}, allow_hosts=("api.example.com",))
    policy = toolkit(tmp_path, restore=restore).tools
    assert [policy.rule(tool) for tool in ("mcp__db__query", "Read", "Edit", "Bash", "Unknown")] == [
        True,
        False,
        True,
        "no-egress",
        False,
    ]
    assert isinstance(policy.hosts, AllowedHosts)
    assert "api.example.com" in policy.hosts
    assert "evil.example.com" not in policy.hosts


@pytest.mark.parametrize("rules", [("file:missing.toml",), ("file:broken.toml",)])
def test_a_rule_file_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: tuple[str, ...]) -> None:
    """A ConfigError at scrub.rules that names the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.toml").write_text("[[rules")
    with pytest.raises(ConfigError, match=r"scrub\.rules.*\.toml"):
        toolkit(tmp_path, rules=rules)
