"""How commands reach a gate: the address from --url, the admin token from the environment, and errors in one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import typer

from sluicegate.cli.reach import ask


class Gate(BaseHTTPRequestHandler):
    """Answers with `reply`, and remembers the token that it was sent."""

    reply: tuple[int, bytes] = (200, b"{}")
    token: str | None = None

    def do_GET(self) -> None:
        Gate.token = self.headers["x-sluicegate-admin"]
        status, body = Gate.reply
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("SLUICEGATE_ADMIN_TOKEN", raising=False)
    server = HTTPServer(("127.0.0.1", 0), Gate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def refused(page: str, url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The line on stderr with which the command ends."""
    with pytest.raises(typer.Exit) as ended:
        ask(page, url)
    assert ended.value.exit_code == 2
    return capsys.readouterr().err.strip()


def test_a_page_is_read_with_the_admin_token_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without a scheme; without a token in the environment no token is sent."""
    Gate.reply = 200, json.dumps({"run": 1}).encode()
    assert ask("/stats", url) == {"run": 1}
    assert Gate.token is None
    monkeypatch.setenv("SLUICEGATE_ADMIN_TOKEN", "secret")
    assert ask("/stats", url.removeprefix("http://")) == {"run": 1}
    assert Gate.token == "secret"


def test_a_refusal_is_shown_with_the_gate_s_own_message(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, page and message."""
    Gate.reply = 401, json.dumps({"error": {"message": "admin token required"}}).encode()
    assert refused("/stats", url, capsys) == "sluicegate: the gate returned 401 for /stats: admin token required"


def test_another_server_is_not_taken_for_a_gate(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An error, or a page, that is not JSON."""
    Gate.reply = 404, b"<html>"
    assert "is this the right URL?" in refused("/stats", url, capsys)
    Gate.reply = 200, b"<html>"
    assert refused("/stats", url, capsys) == "sluicegate: cannot read /stats of the gate: DecodeError"


@pytest.mark.parametrize("wrong", ["https://127.0.0.1:4000", "ftp://x", "http://"])
def test_a_url_that_commands_cannot_use_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The gate's pages are plain HTTP."""
    assert refused("/stats", wrong, capsys) == "sluicegate: --url: expected a URL such as http://127.0.0.1:4000"


def test_without_a_listener_the_command_says_how_to_start_a_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """Port 1 has no listener."""
    line = refused("/stats", "http://127.0.0.1:1", capsys)
    assert line.startswith("sluicegate: no gate answers at 127.0.0.1:1: Connection refused")
    assert line.endswith("start one with `sluicegate run`")
