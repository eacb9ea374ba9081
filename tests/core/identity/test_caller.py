"""What a request presents, and what a caller may."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.identity.caller import (
    Caller,
    holds_key,
    is_provider_key,
    may_hold_key,
    presented_keys,
    proxy_password,
)


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ([], []),
        ([(b"X-Api-Key", b" k ")], [b"k"]),
        ([(b"authorization", b"bearer  t ")], [b"t"]),
        ([(b"Authorization", b"BEARER t")], [b"t"]),
        ([(b"authorization", b"t")], [b"t"]),
        ([(b"authorization", b"Bearer t"), (b"x-api-key", b"k")], [b"k", b"t"]),
        ([(b"x-goog-api-key", b"g"), (b"api-key", b"a"), (b"authorization", b"Bearer t")], [b"t", b"a", b"g"]),
        ([(b"x-api-key", b"1"), (b"x-api-key", b"2")], [b"1", b"2"]),
        ([(b"cookie", b"c"), (b"x-sluicegate-admin", b"s"), (b"proxy-authorization", b"p")], []),
    ],
)
def test_presented_keys(fields: list[tuple[bytes, bytes]], keys: list[bytes]) -> None:
    """x-api-key first, as in Anthropic's API; cookies and proxy credentials are not keys."""
    assert presented_keys(fields) == keys


@pytest.mark.parametrize(
    ("value", "password"),
    [
        (basic(b"u:secret"), b"secret"),
        (basic(b":secret"), b"secret"),
        (basic(b"u:a:b"), b"a:b"),
        (basic("ü:sécret".encode()), "sécret".encode()),
        (b"basic " + base64.b64encode(b"u:s"), b"s"),
        (basic(b"secret"), None),
        (basic(b"secret:"), None),
        (basic(b""), None),
        (b"Basic", None),
        (b"Basic !!!", None),
        (b"Basic dTpz=", None),
        (b"Bearer " + base64.b64encode(b"u:s"), None),
        (b"", None),
    ],
)
def test_proxy_password(value: bytes, password: bytes | None) -> None:
    """Of Basic only, whatever the user is."""
    assert proxy_password([(b"Proxy-Authorization", value)]) == password


def test_two_proxy_passwords_are_none() -> None:
    """Which of them counts would be a matter of taste."""
    assert proxy_password([(b"proxy-authorization", basic(b"u:a"))] * 2) is None


@given(st.binary(max_size=80))
def test_no_bytes_trip_the_reading(value: bytes) -> None:
    """A header's value can be anything."""
    for scheme in (b"", b"Basic ", b"Bearer "):
        proxy_password([(b"proxy-authorization", scheme + value)])
        presented_keys([(b"authorization", scheme + value)])
        holds_key(scheme + value)


@pytest.mark.parametrize(
    ("key", "vendors"),
    [
        (b"sk-ant-api03-x", True),
        (b"sk-ant-oat01-x", True),
        (b"sk-proj-x", True),
        (b"AIzaSy", True),
        (b"gsk_x", True),
        (b"AWS4-HMAC-SHA256 Credential=x", True),
        (b"sk-sg-x", False),
        (b"dummy", False),
        (b"", False),
    ],
)
def test_vendors_keys_are_known_by_their_beginning(key: bytes, vendors: bool) -> None:
    """Ours is none of them."""
    assert is_provider_key(key) is vendors


def test_a_virtual_key_is_seen_wherever_it_stands() -> None:
    """Inside a value, inside Basic."""
    assert holds_key(b"x=sk-sg-abc; y")
    assert holds_key(basic(b"u:sk-sg-abc"))
    assert not holds_key(basic(b"u:other"))
    assert not holds_key(b"sk-ant-sg")


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"xsk-sg-y", basic(b"u:sk-sg-a"), b"BASIC c2stc2ctYQ=="])))
def test_the_quick_look_misses_nothing(values: list[bytes]) -> None:
    """Where a value holds a key, the look at all of them says so."""
    assert may_hold_key(values) or not any(holds_key(value) for value in values)


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        ((), "m", True),
        ((), None, True),
        (("claude-haiku-*",), "claude-haiku-4-5", True),
        (("claude-haiku-*", "x"), "x", True),
        (("claude-haiku-*",), "claude-opus-4-1", False),
        (("claude-haiku-*",), "CLAUDE-HAIKU-4-5", False),
        (("claude-opus-5[1m]",), "claude-opus-5[1m]", True),
        (("claude-haiku-*",), None, False),
        (("claude-haiku-*",), "", False),
    ],
)
def test_models(models: tuple[str, ...], model: str | None, may: bool) -> None:
    """No pattern means all; where there are patterns, an unreadable model is none of them."""
    assert Caller("k", models=models).may_ask_for(model) is may
