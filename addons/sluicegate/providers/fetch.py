"""One HTTP request of the gate's own, blocking: bounded in time and size, no redirects, errors without contents."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import lru_cache
from http.client import HTTPException
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import certifi

from sluicegate.providers.credentials import CredentialError

__all__ = ["Fetch", "fetch", "fetch_json", "trust"]

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 1 << 20


type _Trusted = tuple[str | None, str | None, bool]

_trusted: _Trusted = (None, None, False)


def trust(*, ca_file: str | None = None, ca_folder: str | None = None, anybody: bool = False) -> None:
    """Whom to take for a provider from here on, in this process: who has a certificate of these CAs, as in the proxy core.

    With neither: of the system's, or of those that ship with certifi, as some systems' Python finds none.
    """
    global _trusted
    _trusted = (ca_file or None, ca_folder or None, anybody)


@lru_cache(maxsize=4)
def _https(ca_file: str | None, ca_folder: str | None, anybody: bool) -> urllib.request.HTTPSHandler:
    try:
        context = ssl.create_default_context(cafile=ca_file, capath=ca_folder)
    except OSError as e:
        why = e.strerror or "they are no PEM certificates"
        raise CredentialError(f"the CA certificates at {ca_file or ca_folder} can not be read: {why}") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on since Python 3.13; many a company's CA would fail it
    if not (ca_file or ca_folder):
        context.load_verify_locations(certifi.where())
    if anybody:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.HTTPSHandler(context=context)


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
    opener = _opener({} if not proxy else None)
    data = urlencode(form).encode() if form is not None else None
    body = _answer(opener, url, {"accept": "application/json", **(headers or {})}, data, TIMEOUT_S)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CredentialError(f"{urlsplit(url).hostname} answered something that is no JSON object")
    return value


def fetch(url: str, *, headers: Mapping[str, str], via: Mapping[str, str], timeout_s: float) -> bytes:
    """What is at a URL. `via`: {} for directly, else the `url` of a proxy and its `authorization`.

    Errors as those of `fetch_json`.
    """
    proxies = dict.fromkeys(("http", "https"), via["url"]) if via else {}
    entry = {"Proxy-Authorization": via["authorization"]} if "authorization" in via else {}
    return _answer(_opener(proxies), url, {**headers, **entry}, None, timeout_s)


def _opener(proxies: dict[str, str] | None) -> urllib.request.OpenerDirector:
    """None: as the environment says."""
    proxy = () if proxies is None else (urllib.request.ProxyHandler(proxies),)
    return urllib.request.build_opener(_NoRedirect(), _https(*_trusted), *proxy)


def _answer(
    opener: urllib.request.OpenerDirector, url: str, headers: Mapping[str, str], data: bytes | None, timeout_s: float
) -> bytes:
    host = urlsplit(url).hostname or "?"
    if urlsplit(url).scheme not in ("http", "https"):
        raise CredentialError(f"the address of {host} is not http(s)")
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url,
        data=data,
        headers=dict(headers),
    )
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as e:
        e.close()
        raise CredentialError(f"{host} answered {e.code}") from None
    except (OSError, HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None)
        raise CredentialError(f"{host} can not be reached ({type(reason or e).__name__})") from None
    if len(body) > MAX_BYTES:
        raise CredentialError(f"{host} answered with more than {MAX_BYTES:,} bytes")
    return body
