"""One HTTP request for a token, blocking: bounded in time and size, redirects not followed, errors without contents."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from sluicegate.providers.credentials import CredentialError

__all__ = ["Fetch", "fetch_json"]

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 1 << 20


class Fetch(Protocol):
    """`fetch_json`, or what stands in for it."""

    def __call__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        proxy: bool = True,
    ) -> dict[str, Any]: ...


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def fetch_json(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    proxy: bool = True,
) -> dict[str, Any]:
    """The JSON object at a URL; POST where there is a form. `proxy`: as the environment says; else directly.

    CredentialError names the host and what went wrong, never what was sent or received.
    """
    host = urlsplit(url).hostname or "?"
    if urlsplit(url).scheme not in ("http", "https"):
        raise CredentialError(f"the address of {host} is not http(s)")
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url,
        data=urlencode(form).encode() if form is not None else None,
        headers={"accept": "application/json", **(headers or {})},
    )
    opener = urllib.request.build_opener(_NoRedirect(), *(() if proxy else (urllib.request.ProxyHandler({}),)))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as e:
        e.close()
        raise CredentialError(f"{host} answered {e.code}") from None
    except (OSError, HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None)
        raise CredentialError(f"{host} can not be reached ({type(reason or e).__name__})") from None
    try:
        value = json.loads(body) if len(body) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CredentialError(f"{host} answered something that is no JSON object")
    return value
