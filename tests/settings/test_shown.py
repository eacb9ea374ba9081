"""What may be shown of settings."""

import json
from collections.abc import Callable

import pytest

from sluicegate.settings import Settings
from sluicegate.settings.shown import mask_url


def test_effective_shows_everything_but_secrets(read: Callable[..., Settings]) -> None:
    """References are shown; passwords in URLs and the values of headers are not; the rest is JSON-ready."""
    settings = read(
        "providers: {a: {kind: anthropic, keys: [env:K], headers: {x-team: hunter2},"
        " proxy: 'http://u:hunter2@corp:3128'}}\n"
        "store: 'redis://:hunter2@h:6379/0'\naudit: {ledger: 'postgresql://u:hunter2@h/d?password=hunter2'}\n"
        "identity: {keys: [{key: env:V, expires: 2027-01-31T00:00:00Z}]}"
    )
    shown = settings.effective()
    text = json.dumps(shown)
    assert "hunter2" not in text
    provider = shown["providers"]["a"]  # type: ignore[index]
    assert provider["keys"] == ["env:K"]
    assert provider["headers"] == {"x-team": "***"}
    assert provider["proxy"] == "http://***@corp:3128"
    assert shown["store"] == "redis://***@h:6379/0"
    assert set(shown) == set(Settings.__struct_fields__)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://h/x", "https://h/x"),
        ("sqlite:///a/b", "sqlite:///a/b"),
        ("redis://:p/w?@h/0", "redis://***@h/0"),
        ("redis://:a@b@h", "redis://***@h"),
        ("postgresql://h/d?password=p", "postgresql://h/d?***"),
        ("stdout", "stdout"),
        ("a@b", "a@b"),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    """Userinfo is masked even where a password has characters that should have been escaped."""
    assert mask_url(url) == masked
