"""AWS credentials: where they come from."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from sluicegate.core.errors import Refused
from sluicegate.providers.base import SigningInput
from sluicegate.settings.providers import Credentials

AWS = {"kind": "bedrock", "region": "us-west-2"}
SENT = SigningInput("POST", True, "127.0.0.1", "127.0.0.1", "/", (), b"", 0.0, "r")


@pytest.fixture(autouse=True)
def _no_chain_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def authorization(provider: Any) -> bytes:
    (source,) = provider.sources
    asyncio.run(source.ready())
    return dict(source.fields(SENT))[b"authorization"]


def test_the_environments_keys_need_no_botocore(provider) -> None:
    """A session token is sent along."""
    p = provider({"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, **AWS)
    assert b"Credential=AKENV/" in authorization(p)
    assert dict(p.sources[0].fields(SENT))[b"x-amz-security-token"] == b"t"
    assert not p.sources[0].refused()


def test_a_profile_comes_from_the_shared_file(provider, tmp_path) -> None:
    """By botocore's chain; after a 401 it is read anew."""
    file = tmp_path / "credentials"
    file.write_text("[work]\naws_access_key_id = AKONE\naws_secret_access_key = s\n")
    p = provider({"AWS_ACCESS_KEY_ID": "no", "AWS_SECRET_ACCESS_KEY": "no"}, credentials=Credentials(profile="work"), **AWS)
    assert b"Credential=AKONE/" in authorization(p)
    assert p.sources[0].refused()
    assert b"Credential=AKONE/" in authorization(p)


@pytest.mark.parametrize("profile", [None, "nobody"])
def test_no_credentials_at_all(provider, profile: str | None) -> None:
    """Refused with what to do, before anything is sent."""
    p = provider({}, credentials=Credentials(profile=profile), **AWS)
    with pytest.raises(Refused) as caught:
        authorization(p)
    assert caught.value.status == 502


def test_without_botocore_the_extra_is_named(provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("botocore"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match=r"pip install 'botocore>="):
        authorization(provider({}, **AWS))
