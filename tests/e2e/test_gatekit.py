"""The harness by itself, with bare mitmdump and a tiny upstream: a failure elsewhere is then not the harness's."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kits.gatekit import (
    WEB_PASSWORD,
    Gate,
    ProcessFailed,
    request,
)


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers every GET with its path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_both_doors_of_a_bare_mitmdump_answer_and_close(tmp_path: Path, upstream: str) -> None:
    """A started process is reachable at both doors, has made its CA, and is gone after the block."""
    with Gate(tmp_path, upstream=upstream, bare=True, regular=True) as gate:
        assert gate.get("/a").body == b"/a"
        assert request("GET", f"{upstream}/b", proxy=gate.proxy_url).body == b"/b"
        assert gate.ca_cert.exists()
        assert gate.running
    assert not gate.running
    with pytest.raises(OSError, match="refused"):
        gate.get("/a")


def test_mitmweb_starts_with_its_page_on_a_port_of_its_own(tmp_path: Path, upstream: str) -> None:
    """mitmweb opens no browser and answers at web_url."""
    with Gate(tmp_path, upstream=upstream, bare=True, program="mitmweb") as gate:
        assert request("GET", gate.web_url + "/", headers={"authorization": f"Bearer {WEB_PASSWORD}"}).status == 200
        assert gate.get("/a").body == b"/a"


def test_a_start_that_fails_says_what_was_printed(tmp_path: Path) -> None:
    """The end of the output is in the error, so that nobody has to look for a log file."""
    gate = Gate(tmp_path, bare=True, modes=["no_such_mode@{port}"])
    with pytest.raises(ProcessFailed, match="no_such_mode"), gate:
        pass
