"""Google's tokens: from a service account's key, a user's login, the metadata server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sluicegate.providers.auth.google import (
    TOKEN_URI,
    application_default,
    from_key_file,
    from_metadata,
)
from sluicegate.providers.auth.held_keys import CredentialError

NOW = 1000.0
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any) -> str:
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*kinds).decode()


ACCOUNT = {
    "type": "service_account",
    "client_email": "gate@p.iam.gserviceaccount.com",
    "private_key_id": "k1",
    "private_key": pem(PRIVATE),
    "token_uri": TOKEN_URI,
}
USER = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}


class Fetched:
    """Stands in for the network: remembers what was asked."""

    def __init__(self, **answer: Any) -> None:
        self.answer = {"access_token": "tok", "expires_in": 3600, **answer}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, url: str, **how: Any) -> dict[str, Any]:
        self.asked.append((url, how))
        return self.answer


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_service_account_signs_who_it_is() -> None:
    """RFC 7523, with the key's own signature; the token is renewed five minutes before its end."""
    fetch = Fetched()
    fresh = from_key_file(json.dumps(ACCOUNT), lambda: NOW, fetch)
    assert (fresh.value, fresh.refresh_at, fresh.expires_at) == ("tok", NOW + 3300, NOW + 3570)
    ((url, how),) = fetch.asked
    assert url == TOKEN_URI
    head, claims, signature = how["form"]["assertion"].split(".")
    PRIVATE.public_key().verify(part(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    said = json.loads(part(claims))
    assert (said["iss"], said["aud"], said["exp"] - said["iat"]) == (ACCOUNT["client_email"], TOKEN_URI, 3600)


def test_a_users_login_is_refreshed() -> None:
    """What gcloud keeps."""
    fetch = Fetched()
    assert from_key_file(json.dumps(USER), lambda: NOW, fetch).value == "tok"
    assert fetch.asked[0][1]["form"]["refresh_token"] == "r"


@pytest.mark.parametrize(
    "uri",
    ["https://evil.example/token", "http://oauth2.googleapis.com/token", "https://googleapis.com.evil/x", "file:///x"],
)
def test_a_signature_goes_to_google_only(uri: str) -> None:
    """Whatever the file says."""
    fetch = Fetched()
    with pytest.raises(CredentialError, match="not one of Google's"):
        from_key_file(json.dumps({**ACCOUNT, "token_uri": uri}), lambda: NOW, fetch)
    assert fetch.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"type": "external_account"}),
        json.dumps({**ACCOUNT, "private_key": "hunter2"}),
        json.dumps({**ACCOUNT, "private_key": pem(ec.generate_private_key(ec.SECP256R1()))}),
    ],
)
def test_files_that_are_none(text: str) -> None:
    """Told without their contents."""
    with pytest.raises(CredentialError) as caught:
        from_key_file(text, lambda: NOW, Fetched())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [{"access_token": None}, {"access_token": ""}, {"expires_in": "3600"}, {"expires_in": None}]
)
def test_answers_that_are_none(answer: dict[str, Any]) -> None:
    """No token without an end."""
    with pytest.raises(CredentialError):
        from_key_file(json.dumps(USER), lambda: NOW, Fetched(**answer))


def test_the_metadata_server_is_asked_directly() -> None:
    """Never through a proxy, and with the header that it wants."""
    fetch = Fetched()
    assert from_metadata({"GCE_METADATA_HOST": "127.0.0.1:1"}, lambda: NOW, fetch).value == "tok"
    ((url, how),) = fetch.asked
    assert url.startswith("http://127.0.0.1:1/computeMetadata/v1/")
    assert (how["headers"], how["proxy"]) == ({"metadata-flavor": "Google"}, False)


def test_googles_order(tmp_path) -> None:
    """The file that is named, gcloud's, the machine's own."""
    named, gcloud = tmp_path / "named.json", tmp_path / "application_default_credentials.json"
    named.write_text(json.dumps(USER))

    def asked(environ: dict[str, str]) -> str:
        fetch = Fetched()
        application_default(environ, lambda: NOW, fetch)()
        return fetch.asked[0][0]

    assert asked({"GOOGLE_APPLICATION_CREDENTIALS": str(named)}) == TOKEN_URI
    assert "metadata" in asked({"CLOUDSDK_CONFIG": str(tmp_path)})
    gcloud.write_text(json.dumps(USER))
    assert asked({"CLOUDSDK_CONFIG": str(tmp_path)}) == TOKEN_URI
    with pytest.raises(CredentialError, match="cannot be read"):
        asked({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "nothing")})
