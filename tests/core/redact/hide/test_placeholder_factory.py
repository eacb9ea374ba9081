"""core/redact/hide/placeholder_factory.py: the names of hidden values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kits.hiding import KEY, factory_of
from sluicegate.core.redact.hide.placeholder_factory import AssignedPlaceholders, PlaceholderFactory
from sluicegate.core.redact.hide.placeholders import GRAMMARS


def test_a_secret_has_the_number_of_its_key() -> None:
    """The store's number; the same value has the same name again."""
    factory = factory_of()
    assigned = AssignedPlaceholders(factory, {("API_KEY", factory.digest("API_KEY", "v")): 7})
    assert assigned.name_of("API_KEY", "v", "secret") == "API_KEY_7"
    assert assigned.name_of("API_KEY", "v", "secret") == "API_KEY_7"
    assert assigned.values == {"API_KEY_7": "v"}


def test_a_missing_number_is_an_error() -> None:
    """A guess could give one name to two values."""
    with pytest.raises(KeyError):
        AssignedPlaceholders(factory_of(), {}).name_of("API_KEY", "v", "secret")


def test_two_values_never_share_a_hashed_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 32 bits of two digests collide, the second value is hashed again."""

    def digest(_: PlaceholderFactory, kind: str, value: str, attempt: int = 0, tier: str = "secret") -> bytes:
        return bytes([attempt]) * 16

    monkeypatch.setattr(PlaceholderFactory, "digest", digest)
    assigned = AssignedPlaceholders(factory_of(numbered=False), {})
    assert assigned.name_of("EMAIL", "a@b.com", "identifier") == "EMAIL_HMAC:01010101"
    assert assigned.name_of("EMAIL", "c@d.com", "identifier") == "EMAIL_HMAC:02020202"
    assert assigned.values == {"EMAIL_HMAC:01010101": "a@b.com", "EMAIL_HMAC:02020202": "c@d.com"}


def test_a_line_number_mark_restores_as_its_number() -> None:
    """The mark is named after the whole span, and alone it is restored as the number."""
    assigned = AssignedPlaceholders(factory_of(numbered=False), {})
    name = assigned.name_of("LINES", "  1→x", "secret", restore_as="  1")
    assert assigned.values == {name: "  1"}


def test_digests_depend_on_everything_that_tells_values_apart() -> None:
    """Key, conversation, type and value of a secret; of an identifier not the conversation."""
    factory = factory_of()
    other = replace(factory, conversation=b"two")
    digests = [
        factory.digest("API_KEY", "v"),
        factory.digest("API_KEY", "w"),
        factory.digest("OTHER", "v"),
        factory.digest("API_KEY", "v", 1),
        other.digest("API_KEY", "v"),
        replace(factory, key=KEY[::-1]).digest("API_KEY", "v"),
    ]
    assert len(set(digests)) == len(digests)
    assert factory.digest("EMAIL", "v", tier="identifier") == other.digest("EMAIL", "v", tier="identifier")


@pytest.mark.parametrize("style", ["angle", "plain"])
def test_a_one_way_placeholder(style: str) -> None:
    """For headers: the same in every conversation, a placeholder of its style, and not the value."""
    grammar = GRAMMARS[style]  # type: ignore[index]
    one = PlaceholderFactory(KEY, b"one", grammar).one_way("my-key", "secret")
    assert one == PlaceholderFactory(KEY, b"two", grammar, numbered=False).one_way("my-key", "secret")
    assert grammar.patterns["text"].fullmatch(one)
    assert one.strip("<").startswith("MY_KEY")
