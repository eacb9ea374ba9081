"""core/redact/scan/base64_secrets.py: secrets in base64."""

from __future__ import annotations

import base64
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.labelled import finder_of, secret
from sluicegate.core.redact.scan.base64_secrets import base64_forms

FINDER = finder_of("basic")


@pytest.mark.parametrize(
    "kind", ["anthropic_key", "github_token", "aws_access_key", "google_api_key", "private_key", "ansible_vault"]
)
@pytest.mark.parametrize("before", ["", "=", "k=", '{"auth": "'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_a_secret_in_base64_is_found_at_each_alignment(kind: str, before: str, encode: object) -> None:
    """As Kubernetes and Docker keep them: what is left in clear does not decode to the secret."""
    value = secret(kind, Random(before))
    encoded = encode(f"{before}{value}".encode()).decode()  # type: ignore[operator]
    text = f'data:\n  key: "{encoded}"\n'
    left = text
    for f in reversed(FINDER.find(text)):
        left = left[: f.start] + "#" + left[f.end :]
    assert "base64" in [f.rule for f in FINDER.find(text)]
    kept = left.split('"')[1].replace("\n", "").replace("#", "")
    assert len(kept) <= len(base64.b64encode(before.encode())) + 4


@given(st.text(min_size=4, max_size=20), st.binary(max_size=5), st.binary(max_size=5))
def test_one_of_the_forms_is_in_every_encoding(text: str, before: bytes, after: bytes) -> None:
    """Whatever bytes precede and follow a text, its base64 contains one of the three forms."""
    encoded = base64.b64encode(before + text.encode() + after).decode()
    assert any(form in encoded for form, _ in base64_forms(text.encode()))


def test_assets_are_no_secrets() -> None:
    """Random bytes in base64 may start like a secret; they do not decode to one."""
    noise = base64.b64encode(Random(3).randbytes(300_000)).decode()
    assert FINDER.find(f"url(data:font/woff2;base64,{noise})") == ()
    assert FINDER.find(f"c2stYW50L{noise[:500]}") == ()
