"""Encrypted bodies."""

from sluicegate.stores.cache.base import Entry, Head
from sluicegate.stores.cache.encryption import BodyEncryption

ENTRY = Entry("a" * 64, 0, 1, Head("m", snippet="the prompt"), b"the answer")


def test_an_encrypted_body_needs_its_secret() -> None:
    """Nothing of it is visible, equal bodies look different, and with another key it cannot be decrypted."""
    encrypted = BodyEncryption("secret").encrypt(ENTRY)
    assert b"answer" not in encrypted.body
    assert encrypted.head.snippet == ""
    assert encrypted.body != BodyEncryption("secret").encrypt(ENTRY).body
    opened = BodyEncryption("secret").decrypt(encrypted)
    assert opened
    assert opened.body == ENTRY.body
    assert BodyEncryption("other").decrypt(encrypted) is None
    assert BodyEncryption(None).decrypt(encrypted) is None


def test_a_body_is_bound_to_its_entry() -> None:
    """Moved to another entry, or changed, it is not read."""
    encrypted = BodyEncryption("secret").encrypt(ENTRY)
    moved = Entry("b" * 64, 0, 1, encrypted.head, encrypted.body)
    changed = Entry(encrypted.key, 0, 1, encrypted.head, encrypted.body[:-1] + bytes([encrypted.body[-1] ^ 1]))
    short = Entry(encrypted.key, 0, 1, encrypted.head, b"")
    assert [BodyEncryption("secret").decrypt(e) for e in (moved, changed, short)] == [None, None, None]


def test_without_a_key_nothing_changes() -> None:
    """And what was stored without a secret can still be read with one."""
    assert BodyEncryption(None).encrypt(ENTRY) is ENTRY
    assert BodyEncryption("secret").decrypt(ENTRY) is ENTRY
