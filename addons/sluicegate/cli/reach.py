"""Ask a running gate for one of its pages: the gate of --url, of --config, else the newest one of this machine."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from sluicegate.cli.places import fail
from sluicegate.cli.running import address_of_door, none_runs, running
from sluicegate.core.addresses import MAGIC_HOST, host_port

__all__ = ["UrlOption", "ask", "open_page"]

TOKEN = "SLUICEGATE_ADMIN_TOKEN"  # noqa: S105 - a variable's name
_TIMEOUT_S = 10.0

UrlOption = Annotated[
    str | None, typer.Option("--url", help=f"URL of the gate, e.g. http://127.0.0.1:4000. {TOKEN} holds its admin token.")
]


def ask(page: str, url: str | None, config: Path | None = None) -> Any:
    """One of the gate's pages, decoded from JSON; ends the command if the page is not available."""
    connection, response = open_page(page, url, config)
    try:
        return msgspec.json.decode(response.read())
    except (msgspec.DecodeError, OSError) as e:
        fail(f"cannot read {page} of the gate: {type(e).__name__}")
    finally:
        connection.close()


def open_page(
    page: str, url: str | None, config: Path | None = None, timeout_s: float | None = _TIMEOUT_S
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Open a page for reading; the caller closes the connection. Ends the command if the gate refuses."""
    host, port, target = _where(page, url, config)
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    headers = {"accept": "*/*"}
    if token := os.environ.get(TOKEN):
        headers["x-sluicegate-admin"] = token
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
    except OSError as e:
        fail(
            f"no gate answers at {host_port(host, port)}: {e.strerror or type(e).__name__}; start one with `sluicegate run`"
        )
    if response.status != 200:
        fail(f"the gate returned {response.status} for {page}: {_why(response.read())}")
    return connection, response


def _where(page: str, url: str | None, config: Path | None) -> tuple[str, int, str]:
    """Host, port and request target; on the regular door the pages have a host name of their own."""
    if url:
        u = urlsplit(url if "://" in url else f"http://{url}")
        if u.scheme != "http" or not u.hostname:
            fail("--url: expected a URL such as http://127.0.0.1:4000")
        return u.hostname, u.port or 80, page
    gates = running(config)
    doors = [d for gate in gates for d in gate["doors"]]
    door = next((d for d in doors if d["mode"] == "reverse"), None) or next(iter(doors), None)
    if door is None:
        fail(f"{none_runs(config)}, or point to one with --url")
    return *address_of_door(door), page if door["mode"] == "reverse" else f"http://{MAGIC_HOST}{page}"


def _why(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])[:300]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "not a gateway's error; is this the right URL?"
