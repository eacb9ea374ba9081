"""Store URLs: one parser for all stores."""

from pathlib import Path

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache import cache_location
from sluicegate.stores.urls import parse_store_url


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("off", "off"),
        ("memory", "memory"),
        ("sqlite", "sqlite"),
        ("sqlite:///x.db", "sqlite"),
        ("redis://h", "redis"),
        ("rediss://u:p@h:6380/0", "redis"),
        ("postgres://h/d", "postgresql"),
        ("postgresql://h/d", "postgresql"),
    ],
)
def test_kinds(url: str, kind: str) -> None:
    """By name or by scheme; the URL itself is kept as it was written."""
    parsed = parse_store_url(url)
    assert (parsed.kind, parsed.url) == (kind, url)


@pytest.mark.parametrize("url", ["", "mysql://u:hunter2@h/d", "sqlite://x", "redis:h", "redis", "SQLITE", "/var/x.db"])
def test_unknown_kinds_are_refused(url: str) -> None:
    """With the known ones; a password in the URL is not quoted."""
    with pytest.raises(StoreError, match="use memory, sqlite") as raised:
        parse_store_url(url)
    assert "hunter2" not in str(raised.value)


def test_a_password_is_not_in_the_repr() -> None:
    """It may end up in a log."""
    assert "hunter2" not in repr(parse_store_url("redis://u:hunter2@h"))


def test_files(tmp_path: Path) -> None:
    """In the state folder, in the named folder, or beside the named file."""
    state = tmp_path / "state"
    assert parse_store_url("sqlite").file("limits", state) == state / "limits.sqlite"
    assert parse_store_url(f"sqlite:///{tmp_path}").file("limits", state) == tmp_path / "limits.sqlite"
    beside = parse_store_url(f"sqlite:///{tmp_path / 'gate.db'}")
    assert beside.file("cache", state) == tmp_path / "gate-cache.sqlite"
    assert beside.file("limits", state, keep_suffix=True) == tmp_path / "gate-limits.db"
    bare = parse_store_url(f"sqlite:///{tmp_path / 'gate'}")
    assert bare.file("limits", state, keep_suffix=True) == tmp_path / "gate-limits.sqlite"
    assert parse_store_url("sqlite:///rel/x.db").file("cache", state) == Path("rel/x-cache.sqlite")


def test_the_cache_location_the_cache(tmp_path: Path) -> None:
    """A Redis URL as it is, else a file; in memory mode too, as cached answers outlive the process."""
    assert cache_location("redis://h", tmp_path) == "redis://h"
    assert cache_location("memory", tmp_path) == cache_location("sqlite", tmp_path) == str(tmp_path / "cache.sqlite")
