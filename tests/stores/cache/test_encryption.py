"""Encrypted bodies."""

from sluicegate.stores.cache.base import Entry, Head
from sluicegate.stores.cache.encryption import BodyEncryption

ENTRY = Entry("a" * 64, 0, 1, Head("m", snippet="the prompt"), b"the answer")


def test_a_sealed_body_is_read_with_its_key_alone() -> None:
    """Nothing of it can be seen, twice the same looks different, and with another key it is as good as absent."""
    sealed = BodyEncryption("secret").encrypt(ENTRY)
    assert b"answer" not in sealed.body
    assert sealed.head.snippet == ""
    assert sealed.body != BodyEncryption("secret").encrypt(ENTRY).body
    opened = BodyEncryption("secret").decrypt(sealed)
    assert opened
    assert opened.body == ENTRY.body
    assert BodyEncryption("other").decrypt(sealed) is None
    assert BodyEncryption(None).decrypt(sealed) is None


def test_a_body_stands_under_its_own_key_alone() -> None:
    """Moved to another entry, or changed, it is not read."""
    sealed = BodyEncryption("secret").encrypt(ENTRY)
    moved = Entry("b" * 64, 0, 1, sealed.head, sealed.body)
    changed = Entry(sealed.key, 0, 1, sealed.head, sealed.body[:-1] + bytes([sealed.body[-1] ^ 1]))
    short = Entry(sealed.key, 0, 1, sealed.head, b"")
    assert [BodyEncryption("secret").decrypt(e) for e in (moved, changed, short)] == [None, None, None]


def test_without_a_key_nothing_changes() -> None:
    """And what was kept without one can still be read with one."""
    assert BodyEncryption(None).encrypt(ENTRY) is ENTRY
    assert BodyEncryption("secret").decrypt(ENTRY) is ENTRY
