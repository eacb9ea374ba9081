"""NO_PROXY without the entries that cover a provider's host."""

from __future__ import annotations

import pytest

from sluicegate.cli.no_proxy import without_hosts

HOSTS = ["api.anthropic.com", "Gateway.Corp.Example.", "*.models.example", "10.1.2.3", "[fd00::7]"]


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "api.anthropic.com",
        "API.Anthropic.COM.",
        ".anthropic.com",
        "*.anthropic.com",
        "anthropic.com",
        "com",
        "api.anthropic.com:443",
        "corp.example",
        "models.example",
        "one.models.example",
        "10.1.2.3",
        "10.0.0.0/8",
        "10.1.2.3:443",
        "fd00::/8",
        "[fd00::7]:443",
    ],
)
def test_an_entry_that_some_client_takes_for_a_provider_s_host_is_taken_out(entry: str) -> None:
    """As curl, Python, Node and Go read them: by suffix, with a dot or a star, with a port, by network."""
    assert without_hosts(f"localhost,{entry},.internal", HOSTS) == ("localhost,.internal", [entry])


@pytest.mark.parametrize(
    "entry",
    [
        "localhost",
        "127.0.0.1",
        "127.0.0.0/8",
        "::1",
        "[::1]:8080",
        "git.corp.example",
        "notanthropic.com",
        "thropic.com",
        "console.anthropic.com",
        "11.0.0.0/8",
        "192.168.1.7:80",
        ".local",
    ],
)
def test_other_entries_stay(entry: str) -> None:
    """Hosts that are no provider's, and this machine itself, are still called without a proxy."""
    assert without_hosts(entry, [*HOSTS, "127.0.0.1", "localhost"]) == (entry, [])


def test_entries_may_be_separated_by_commas_and_spaces() -> None:
    """What is left is separated by commas alone, which every client reads."""
    assert without_hosts(" a.b , api.anthropic.com  c.d,,", HOSTS) == ("a.b,c.d", ["api.anthropic.com"])
    assert without_hosts("", HOSTS) == ("", [])
