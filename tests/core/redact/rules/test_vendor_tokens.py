"""core/redact/rules/vendor_tokens.py: keys of providers, and our own."""

from __future__ import annotations

import string
from random import Random

import pytest

from kits.labelled import ALNUM, FOLLOWERS, finder_of
from sluicegate.core.identity.caller import KEY_PREFIX
from sluicegate.core.identity.keys import new_key

FINDER = finder_of("basic")
BEGINNINGS = {
    "gsk_": (52, ALNUM),
    "xai-": (80, ALNUM),
    "csk-": (48, string.ascii_lowercase + string.digits),
    "nvapi-": (64, ALNUM + "-_"),
    "fw_": (24, ALNUM),
    "pplx-": (48, ALNUM),
    "hf_": (34, string.ascii_letters),
    "r8_": (37, ALNUM),
    "ABSK": (120, ALNUM + "+/"),
    "ya29.": (120, ALNUM + "-_"),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_provider_s_key(beginning: str) -> None:
    """All of it, and nothing around it, whatever follows."""
    size, alphabet = BEGINNINGS[beginning]
    random = Random(beginning)
    for follower in (f for f in FOLLOWERS if f not in alphabet or not f):
        key = beginning + "".join(random.choices(alphabet, k=size - 1)) + "a"
        text = f"export KEY={key}{follower}"
        (found,) = FINDER.find(text)
        assert (text[found.start : found.end], found.rule) == (key, "provider_key")


def test_our_own_key() -> None:
    """What `sluicegate keys add` gives out is found in a prompt."""
    key = new_key(bytes(range(32)))
    assert key.startswith(KEY_PREFIX)
    (found,) = FINDER.find(f"use {key} please")
    assert (found.start, found.end, found.type) == (4, 4 + len(key), "SLUICEGATE_KEY")


def test_names_in_code_are_not_keys() -> None:
    """Words that start with the same prefix."""
    text = "fw_update_firmware_image(x) hf_transfer gsk_main; r8_format xai-sdk nvapi-client csk-learn ya29. pplx-online"
    assert FINDER.find(text) == ()
