"""Google access tokens: from a service account's key, a user's own login (gcloud), or the metadata server. Blocks.

developers.google.com/identity/protocols/oauth2/service-account; cloud.google.com, "Application Default Credentials"
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sluicegate.providers.auth.held_keys import CredentialError, Fresh
from sluicegate.providers.base import is_loopback
from sluicegate.providers.fetch import Fetch, fetch_json

__all__ = ["application_default", "from_key_file", "from_metadata", "read_key_file"]

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_EARLY_S: Final = 300.0
_LIFE_S: Final = 3600
_WHAT_TO_DO: Final = "set providers.<name>.token or credentials.service_account, or GOOGLE_APPLICATION_CREDENTIALS"


def application_default(
    environ: Mapping[str, str], clock: Callable[[], float], fetch: Fetch = fetch_json
) -> Callable[[], Fresh[str]]:
    """Google's order: the file in GOOGLE_APPLICATION_CREDENTIALS, gcloud's own login, the metadata server."""
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    folder = environ.get("CLOUDSDK_CONFIG") or (f"{environ['HOME']}/.config/gcloud" if environ.get("HOME") else "")
    gcloud = Path(folder) / "application_default_credentials.json" if folder else None

    def token() -> Fresh[str]:
        if named:
            return from_key_file(read_key_file(Path(named)), clock, fetch)
        if gcloud is not None and gcloud.is_file():
            return from_key_file(read_key_file(gcloud), clock, fetch)
        return from_metadata(environ, clock, fetch)

    return token


def read_key_file(path: Path) -> str:
    """Raises CredentialError."""
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise CredentialError(f"Google's credentials file cannot be read ({type(e).__name__}); {_WHAT_TO_DO}") from None


def from_key_file(text: str, clock: Callable[[], float], fetch: Fetch = fetch_json) -> Fresh[str]:
    """A token for what a credentials file says: a service account's private key, or a user's refresh token."""
    try:
        key = json.loads(text)
        kind = key["type"]
    except (ValueError, KeyError, TypeError):
        raise CredentialError("Google's credentials are not a JSON object with a type") from None
    match kind:
        case "service_account":
            form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": _assertion(key, clock())}
        case "authorized_user":
            names = ("client_id", "client_secret", "refresh_token")
            form = {"grant_type": "refresh_token", **{name: str(key.get(name, "")) for name in names}}
        case _:
            raise CredentialError("Google's credentials are of an unsupported type; " + _WHAT_TO_DO)
    return _fresh(fetch(_token_uri(key), form=form), clock())


def _token_uri(key: Mapping[str, Any]) -> str:
    """Where a private key's signature goes: to Google, whatever the file says (or to this machine)."""
    given = str(key.get("token_uri") or TOKEN_URI)
    parts = urlsplit(given)
    host = parts.hostname or ""
    if is_loopback(host) or (
        parts.scheme == "https" and (host.endswith(".googleapis.com") or host == "accounts.google.com")
    ):
        return given
    raise CredentialError("the credentials file's token_uri is not one of Google's")


def _assertion(key: Mapping[str, Any], now: float) -> str:
    """A signed statement of who asks (RFC 7523)."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    claims = {
        "iss": key.get("client_email"),
        "scope": SCOPE,
        "aud": key.get("token_uri") or TOKEN_URI,
        "iat": int(now),
        "exp": int(now) + _LIFE_S,
    }
    head = {"alg": "RS256", "typ": "JWT", "kid": key.get("private_key_id")}
    signed = f"{_part(head)}.{_part(claims)}"
    try:
        private = serialization.load_pem_private_key(str(key.get("private_key")).encode(), None)
    except (ValueError, TypeError):
        raise CredentialError("the service account's private_key cannot be read") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise CredentialError("the service account's private_key is not an RSA key")
    signature = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_base64(signature)}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_metadata(environ: Mapping[str, str], clock: Callable[[], float], fetch: Fetch = fetch_json) -> Fresh[str]:
    """The token of the machine's own service account (on Google Cloud)."""
    host = environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    try:
        return _fresh(fetch(url, headers={"metadata-flavor": "Google"}, proxy=False), clock())
    except CredentialError as e:
        raise CredentialError(f"{e}; {_WHAT_TO_DO}") from None


def _fresh(answer: Mapping[str, Any], now: float) -> Fresh[str]:
    token, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or type(life) not in (int, float):
        raise CredentialError("Google's answer has no access_token with an expires_in")
    life_s = min(float(life or 0), 24 * 3600.0)
    return Fresh(token, now + life_s - min(_EARLY_S, life_s / 2), now + life_s - min(30.0, life_s / 10))
