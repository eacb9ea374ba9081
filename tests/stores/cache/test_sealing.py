"""Encrypted bodies."""

from sluicegate.stores.cache.base import Entry, Head
from sluicegate.stores.cache.sealing import Sealing

ENTRY = Entry("a" * 64, 0, 1, Head("m", snippet="the prompt"), b"the answer")


def test_a_sealed_body_is_read_with_its_key_alone() -> None:
    """Nothing of it can be seen, twice the same looks different, and with another key it is as good as absent."""
    sealed = Sealing("secret").seal(ENTRY)
    assert b"answer" not in sealed.body
    assert sealed.head.snippet == ""
    assert sealed.body != Sealing("secret").seal(ENTRY).body
    opened = Sealing("secret").open(sealed)
    assert opened
    assert opened.body == ENTRY.body
    assert Sealing("other").open(sealed) is None
    assert Sealing(None).open(sealed) is None


def test_a_body_stands_under_its_own_key_alone() -> None:
    """Moved to another entry, or changed, it is not read."""
    sealed = Sealing("secret").seal(ENTRY)
    moved = Entry("b" * 64, 0, 1, sealed.head, sealed.body)
    changed = Entry(sealed.key, 0, 1, sealed.head, sealed.body[:-1] + bytes([sealed.body[-1] ^ 1]))
    short = Entry(sealed.key, 0, 1, sealed.head, b"")
    assert [Sealing("secret").open(e) for e in (moved, changed, short)] == [None, None, None]


def test_without_a_key_nothing_changes() -> None:
    """And what was kept without one can still be read with one."""
    assert Sealing(None).seal(ENTRY) is ENTRY
    assert Sealing("secret").open(ENTRY) is ENTRY
