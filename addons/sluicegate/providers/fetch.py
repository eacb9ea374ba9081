"""One HTTP request of the gate's own, blocking: bounded in time and size, no redirects, errors without contents."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import certifi

from sluicegate.providers.auth.held_keys import CredentialError

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
    file, folder = (str(Path(given).expanduser()) if given else None for given in (ca_file, ca_folder))
    _trusted = (file, folder, anybody)


@lru_cache(maxsize=4)
def _context(ca_file: str | None, ca_folder: str | None, anybody: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file, capath=ca_folder)
    except OSError as e:
        why = e.strerror or "they are no PEM certificates"
        raise CredentialError(f"the CA certificates at {ca_file or ca_folder} cannot be read: {why}") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on since Python 3.13; many a company's CA would fail it
    if not (ca_file or ca_folder):
        context.load_verify_locations(certifi.where())
    if anybody:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


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
    """The JSON object at a URL; POST if a form is given. `proxy`: use the environment's proxy; else connect directly.

    CredentialError names the host and what went wrong, never what was sent or received.
    """
    data = urlencode(form).encode() if form is not None else None
    opened = _Opened(TIMEOUT_S, proxies=None if proxy else {})
    body = _answer(opened, url, {"accept": "application/json", **(headers or {})}, data, MAX_BYTES)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CredentialError(f"{urlsplit(url).hostname} did not answer with a JSON object")
    return value


def fetch(
    url: str,
    *,
    headers: Mapping[str, str],
    via: Mapping[str, str],
    timeout_s: float,
    most: int = MAX_BYTES,
) -> bytes:
    """What is at a URL, `most` bytes of it. `via`: {} for directly, else the `url` of a proxy and its `authorization`.

    Errors as those of `fetch_json`.
    """
    proxies = dict.fromkeys(("http", "https"), via["url"]) if via else {}
    entry = {"Proxy-Authorization": via["authorization"]} if "authorization" in via else {}
    return _answer(_Opened(timeout_s, proxies=proxies), url, {**headers, **entry}, None, most)


class _Opened:
    """One request's connections and its deadline: a socket's own timeout starts again with each byte."""

    def __init__(self, timeout_s: float, *, proxies: dict[str, str] | None) -> None:
        """`proxies`: None for what the environment says."""
        self.timeout_s = timeout_s
        self._over_at = time.monotonic() + timeout_s
        self._connections: list[HTTPConnection] = []
        self._opener = urllib.request.build_opener(
            _NoRedirect(),
            *(() if proxies is None else (urllib.request.ProxyHandler(proxies),)),
            _Http(self._connections),
            _Https(self._connections),
        )

    def read(self, request: urllib.request.Request, most: int) -> bytes:
        """The body, one byte more than `most` of it at most. Raises TimeoutError if it takes too long."""
        timer = threading.Timer(self.timeout_s, self._end)
        timer.daemon = True
        timer.start()
        body = bytearray()
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                while len(body) <= most and (piece := answer.read1(min(65536, most + 1 - len(body)))):
                    body += piece
                    self._check()
                self._check()  # a head that was cut off reads as one that has ended
                if answer.length:  # known only where the server said it
                    raise IncompleteRead(b"")
        finally:
            timer.cancel()
        return bytes(body)

    def _check(self) -> None:
        if time.monotonic() > self._over_at:
            raise TimeoutError

    def _end(self) -> None:
        for connection in self._connections:
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, made: list[HTTPConnection]) -> None:
        super().__init__()
        self._made = made

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        def make(host: str, **given: Any) -> HTTPConnection:
            self._made.append(HTTPConnection(host, **given))
            return self._made[-1]

        return self.do_open(make, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, made: list[HTTPConnection]) -> None:
        super().__init__()
        self._made = made

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        context = _context(*_trusted)

        def make(host: str, **given: Any) -> HTTPConnection:
            self._made.append(HTTPSConnection(host, context=context, **given))
            return self._made[-1]

        return self.do_open(make, req)


def _answer(opened: _Opened, url: str, headers: Mapping[str, str], data: bytes | None, most: int) -> bytes:
    host = urlsplit(url).hostname or "?"
    if urlsplit(url).scheme not in ("http", "https"):
        raise CredentialError(f"the address of {host} is not an http(s) URL")
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url,
        data=data,
        headers=dict(headers),
    )
    try:
        body = opened.read(request, most)
    except urllib.error.HTTPError as e:
        e.close()
        raise CredentialError(f"{host} answered {e.code}") from None
    except (OSError, HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None)
        raise CredentialError(f"{host} cannot be reached ({type(reason or e).__name__})") from None
    if len(body) > most:
        raise CredentialError(f"{host} answered with more than {most:,} bytes")
    return body
