"""Virtual keys: made, hashed, judged, changed."""

import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.identity.caller import TeamDefaults
from sluicegate.core.identity.keys import (
    KeyFault,
    KeyRecord,
    caller_of,
    digest_of,
    new_id,
    new_key,
    parse_budget,
    paused,
    pseudonym,
    resumed,
    revoked,
    rotated,
    status_of,
)

OLD, NEW, NOW = b"o" * 32, b"n" * 32, 1000.0


def record(**about: Any) -> KeyRecord:
    return KeyRecord(**{"id": "key_1", "digest": NEW, "created_at": 0.0, **about})


@given(st.binary(min_size=32, max_size=32))
def test_a_key_holds_all_of_its_randomness(randomness: bytes) -> None:
    """256 bits, in characters that need no escaping in a URL or a shell; the id comes from elsewhere."""
    key = new_key(randomness)
    assert key.startswith("sk-sg-")
    assert len(key) == 6 + 43
    assert all(c.isalnum() or c in "-_" for c in key)
    assert new_key(bytes(b ^ 1 for b in randomness)) != key


def test_less_randomness_is_refused() -> None:
    """Rather than a key that can be guessed."""
    with pytest.raises(ValueError):
        new_key(b"x" * 31)


def test_ids_are_short_words() -> None:
    """Of eight random bytes."""
    assert new_id(bytes(8)) == "key_aaaaaaaaaaaaa"
    assert new_id(b"\xff" * 8) != new_id(bytes(8))


def test_hashes_are_keyed_and_apart() -> None:
    """HMAC-SHA256; what names a stranger's credential says nothing about the hash that a key is kept under."""
    assert digest_of(b"s", b"k") == hmac.new(b"s", b"key\0k", "sha256").digest()
    assert digest_of(b"s", b"k") != digest_of(b"t", b"k")
    assert pseudonym(b"s", b"k") not in (digest_of(b"s", b"k").hex(), pseudonym(b"t", b"k"))
    assert digest_of(b"s", b"k").hex()[:16] not in pseudonym(b"s", b"k")


@pytest.mark.parametrize(
    ("about", "digest", "worth"),
    [
        ({}, NEW, "valid"),
        ({}, OLD, "unknown"),
        ({"expires_at": NOW + 1}, NEW, "valid"),
        ({"expires_at": NOW}, NEW, "expired"),
        ({"paused_at": 1.0}, NEW, "paused"),
        ({"revoked_at": 1.0}, NEW, "revoked"),
        ({"revoked_at": 1.0, "paused_at": 1.0, "expires_at": 1.0}, NEW, "revoked"),
        ({"paused_at": 1.0, "expires_at": 1.0}, NEW, "expired"),
        ({"previous": OLD, "previous_until": NOW + 1}, NEW, "valid"),
        ({"previous": OLD, "previous_until": NOW + 1}, OLD, "valid"),
        ({"previous": OLD, "previous_until": NOW}, OLD, "replaced"),
        ({"previous": OLD, "previous_until": NOW + 1, "paused_at": 1.0}, OLD, "paused"),
        ({"previous": OLD, "previous_until": NOW + 1, "revoked_at": 1.0}, OLD, "revoked"),
    ],
)
def test_standing(about: dict[str, Any], digest: bytes, worth: str) -> None:
    """What a key is worth now; a stranger's hash is unknown whatever became of the record."""
    assert status_of(record(**about), digest, NOW) == worth


def test_what_becomes_of_a_key() -> None:
    """Paused and resumed; rotated with the id kept; revoked for good."""
    assert resumed(paused(record(), 5.0)) == record()
    turned = rotated(record(), OLD, NOW, 60.0)
    assert (turned.id, turned.digest, turned.previous, turned.previous_until) == ("key_1", OLD, NEW, NOW + 60)
    assert status_of(rotated(turned, b"3" * 32, NOW, 60.0), NEW, NOW) == "unknown"
    gone = revoked(record(), 7.0)
    assert revoked(gone, 9.0).revoked_at == 7.0
    for change in (lambda: paused(gone, 9.0), lambda: resumed(gone), lambda: rotated(gone, OLD, 9.0, 0)):
        with pytest.raises(KeyFault, match="permanently"):
            change()


def test_a_record_does_not_show_its_hashes() -> None:
    """In a repr, which may be logged."""
    assert "nnnn" not in repr(record())
    assert "oooo" not in repr(record(previous=OLD))


def test_a_key_has_its_own_and_its_teams() -> None:
    """What the key says comes first, tag by tag."""
    team = TeamDefaults("tp", {"cost_center": "1", "stage": "prod"}, ("claude-*",))
    caller = caller_of(record(team="a", tags={"cost_center": "2"}), team)
    assert (caller.team, caller.project, caller.models) == ("a", "tp", ("claude-*",))
    assert caller.tags == {"cost_center": "2", "stage": "prod"}
    own = caller_of(record(project="p", models=("x",), budget_usd={"day": 1.0}), team)
    assert (own.project, own.models, own.budget_usd, own.mode) == ("p", ("x",), {"day": 1.0}, "keys")


@pytest.mark.parametrize(
    ("written", "budget"),
    [
        ("50/month", {"month": 50.0}),
        ("0.5/day, 50/month", {"day": 0.5, "month": 50.0}),
        ("1/hour,2/week", {"hour": 1.0, "week": 2.0}),
    ],
)
def test_budgets(written: str, budget: dict[str, float]) -> None:
    """US dollars a window, one or several."""
    assert parse_budget(written) == budget


@pytest.mark.parametrize(
    "written", ["", "50", "50/year", "/day", "-1/day", "0/day", "1/day,2/day", "nan/day", "1e9/day", "$5/day"]
)
def test_what_is_no_budget(written: str) -> None:
    """Is refused in words."""
    with pytest.raises(ValueError, match=r"month|two budgets"):
        parse_budget(written)
