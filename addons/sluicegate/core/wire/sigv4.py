"""AWS Signature Version 4 (docs.aws.amazon.com, IAM user guide, "Signing AWS API requests"). Pure: time is an argument."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

__all__ = ["Keys", "sign"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key; temporary ones come with a session token."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def sign(
    keys: Keys,
    *,
    method: str,
    host: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes,
    region: str,
    service: str,
    now: float,
) -> list[tuple[str, str]]:
    """The header fields that sign a request: authorization, x-amz-date and, with temporary keys, x-amz-security-token.

    `host` as in the Host header; `path` as on the wire, with its query; `headers`: more fields to be signed
    (content-type and x-amz-*), which must arrive as they are. `now` in Unix seconds.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): " ".join(value.split()) for name, value in headers}
    signed |= {"host": host, "x-amz-date": moment}
    if keys.session_token:
        signed["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(signed))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    request = "\n".join(
        (
            method.upper(),
            _canonical_path(path.partition("?")[0]),
            _canonical_query(path.partition("?")[2]),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_key(keys.secret_key, scope), to_sign.encode(), "sha256").hex()
    credential = f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    fields = [("x-amz-date", moment), ("authorization", credential)]
    if keys.session_token:
        fields.append(("x-amz-security-token", keys.session_token))
    return fields


def _key(secret_key: str, scope: str) -> bytes:
    """The signing key of a day, region and service."""
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_path(path: str) -> str:
    """Dot segments and empty ones resolved, then encoded once more (all services but S3)."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    whole = "/" + "/".join(parts) + ("/" if parts and path.endswith("/") else "")
    return quote(whole, safe="/~")


def _canonical_query(query: str) -> str:
    """Sorted by encoded name and value. The pairs are not encoded again: on the wire they are already."""
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
