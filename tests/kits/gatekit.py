"""Real processes for tests: the gate (mitmdump, mitmweb, `sluicegate run`) and the simulator, on free ports.

    with Simulator(tmp_path / "sim") as sim, Gate(tmp_path / "gate", upstream=sim.url) as gate:
        gate.get("/health")            # the reverse door
        gate.proxy_url, gate.ca_cert   # the regular door, for clients that take HTTPS_PROXY
        gate.audit_records(count=1)    # waits until the record is there

Every wait is for a condition, with a deadline; one that fails raises `ProcessFailed` with the end of the output.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GATE_SCRIPT = ROOT / "addons" / "gate.py"
READY_SCRIPT = Path(__file__).parent / "ready.py"

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
WAIT_TIMEOUT_S = 30.0
EXCERPT_CHARS = 3000
START_TRIES = 3
PASS_THROUGH = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}
audit: {log: "file:${STATE}/audit.jsonl"}
"""

WEB_PASSWORD = "test"
PORT_TAKEN = ("address already in use", "cannot listen on")
REVERSE_DOOR = "reverse:{upstream}@127.0.0.1:{port}"
NOT_INHERITED = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY", "NODE_OPTIONS"),
    *("ANTHROPIC_", "CLAUDE", "OPENAI_", "AWS_", "SLUICEGATE"),
    "PYTHONDONTWRITEBYTECODE",  # each gate would compile its modules anew
)

LIVE: list["Process"] = []
"""Every process started and not yet stopped; a failing test's report shows the end of their output."""


class ProcessFailed(AssertionError):
    """A process did not start, do or stop as a test expects; the message ends with its output."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def wait_until[T](condition: Callable[[], T], what: str, timeout_s: float = WAIT_TIMEOUT_S) -> T:
    """The first true value of `condition`, asked every 20 ms; AssertionError with `what` after that time."""
    deadline = time.monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A port nobody listens on, below those that the kernel takes for outgoing connections."""
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 20000 and 32000")


def clean_env(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment without proxies, provider keys and CAs; a None in `extra` removes a name."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(NOT_INHERITED)}
    for name, value in (extra or {}).items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


def request(
    method: str,
    url: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    proxy: str | None = None,
    timeout_s: float = 30.0,
) -> Answer:
    """One HTTP request; a `body` that is not bytes is sent as JSON. A 4xx or 5xx is an answer too."""
    sent = dict(headers or {})
    payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if payload is not None:
        sent.setdefault("content-type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
    asked = urllib.request.Request(url, data=payload, headers=sent, method=method)
    try:
        with opener.open(asked, timeout=timeout_s) as got:
            return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, {k.lower(): v for k, v in refused.headers.items()}, refused.read())


class Process:
    """A child in a process group of its own, its output in a file; stopped by SIGTERM to its pid."""

    def __init__(self, name: str, workdir: Path) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.workdir = workdir
        self.log = workdir / "output.log"
        self._child: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The argument list; called again for each try, so that a try can take other ports."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return clean_env()

    def answers(self) -> bool:
        """Whether the process does its work by now."""
        raise NotImplementedError

    @property
    def child(self) -> "subprocess.Popen[bytes]":
        assert self._child is not None, f"{self.name} was not started"
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def output(self) -> str:
        """Everything printed so far, stdout and stderr together."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def excerpt(self) -> str:
        """The output, without its middle if it is long: the first error is at the start, before what follows from it."""
        output = self.output()
        if len(output) <= 2 * EXCERPT_CHARS:
            return output
        return f"{output[:EXCERPT_CHARS]}\n[…]\n{output[-EXCERPT_CHARS:]}"

    def fail(self, what: str) -> ProcessFailed:
        return ProcessFailed(f"{self.name}: {what}\n--- its output ---\n{self.excerpt()}")

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Wait for `condition`; ProcessFailed when the process ends or the time is up before that."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if not self.running:
                raise self.fail(f"ended with {self.child.returncode} while waited for: {what}")
            if time.monotonic() > deadline:
                raise self.fail(f"not within {timeout_s:g} s: {what}")
            time.sleep(0.02)

    def wait_for_output(self, text: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        self.wait(lambda: text in self.output(), f"{text!r} in the output", timeout_s)

    def start(self) -> Self:
        """Start and wait until it answers; where another process took a port first, try again with others."""
        for attempt in range(START_TRIES):
            self._spawn()
            try:
                self.wait(self.answers, "an answer after the start", START_TIMEOUT_S)
                break
            except ProcessFailed:
                in_use = any(words in self.output().lower() for words in PORT_TAKEN)
                self.kill()
                if not in_use or attempt == START_TRIES - 1:
                    raise
        return self

    def _spawn(self) -> None:
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                self.command(),
                cwd=self.workdir,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        LIVE.append(self)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM, wait, and make sure that nothing of its group is left; gives the exit code."""
        child = self.child
        if child.poll() is None:
            child.terminate()
        try:
            code = child.wait(timeout_s)
            wait_until(lambda: not self._group_lives(), f"the children of {self.name} gone", timeout_s)
        except (subprocess.TimeoutExpired, AssertionError) as late:
            self.kill()
            raise self.fail(f"still there {timeout_s:g} s after SIGTERM") from late
        self._forget()
        return code

    def kill(self) -> None:
        """End it and its group at once: for a process that failed, or a test that means it."""
        if self._child is None:
            return
        if self._group_lives():
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(STOP_TIMEOUT_S)
        self._forget()

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.child.pid, 0)
        except (ProcessLookupError, PermissionError):  # macOS says EPERM of a group that is only a zombie
            return False
        return True

    def _forget(self) -> None:
        if self in LIVE:
            LIVE.remove(self)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, failed: object, *_: object) -> None:
        if self not in LIVE:  # the test stopped it
            return
        seen_to_end = self.child.returncode is not None  # by the test
        if self.running and not failed:
            self.stop()
            return
        ended = not self.running
        self.kill()
        if ended and not seen_to_end and not failed:
            raise self.fail(f"ended by itself with {self.child.returncode}")


class Simulator(Process):
    """`python -m sluicegate.simulator` on a port of its own choice."""

    def __init__(self, workdir: Path, arguments: Sequence[str] = (), name: str = "simulator") -> None:
        super().__init__(name, workdir)
        self.arguments = list(arguments)
        self.url = ""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "sluicegate.simulator", "--port", "0", *self.arguments]

    def environment(self) -> dict[str, str]:
        return clean_env({"PYTHONPATH": str(ROOT / "addons"), "PYTHONUNBUFFERED": "1"})

    def answers(self) -> bool:
        prefix = "simulator listening on "
        lines = [line for line in self.output().splitlines(keepends=True) if line.startswith(prefix)]
        if lines and lines[0].endswith("\n"):
            self.url = lines[0].removeprefix(prefix).strip().rstrip("/")
        return bool(self.url)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def _control(self, method: str, path: str, body: object = None) -> Answer:
        answer = request(method, f"{self.url}/_sim/{path}", body=body)
        if answer.status >= 300:
            raise self.fail(f"{method} /_sim/{path} answered {answer.status}: {answer.text}")
        return answer

    def calls(self, count: int | None = None, timeout_s: float = WAIT_TIMEOUT_S) -> list[Any]:
        """The calls it has served; with `count`, waits until there are that many."""

        def seen() -> list[Any]:
            calls: list[Any] = self._control("GET", "calls").json()
            return calls

        if count is not None:
            self.wait(lambda: len(seen()) >= count, f"{count} calls", timeout_s)
        return seen()

    def script(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """What it does with the next calls, one step each."""
        self._control("POST", "script", list(steps))

    def release(self, count: int = 1) -> None:
        """End the pause of each answer that is in one (first_byte_ms, delay_ms, stall); waits for `count` of them."""
        released = 0

        def enough() -> bool:
            nonlocal released
            released += self._control("POST", "release").json()["released"]
            return released >= count

        self.wait(enough, f"{count} answers in a pause")

    def clear(self) -> None:
        """Forget the calls served so far."""
        self._control("DELETE", "calls")

    def stats(self) -> Any:
        return self._control("GET", "stats").json()


class Gate(Process):
    """The gate between a test and `upstream`; its config, CA folder and state folder are under `workdir`.

    `config` is the text of a sluicegate.yaml; `${STATE}` in it is the state folder, `${UPSTREAM}` the upstream.
    `program` is mitmdump, mitmweb or sluicegate. With `bare=True` it is mitmproxy alone: the yardstick.
    `web=True` opens mitmweb with `sluicegate run`; its password is WEB_PASSWORD.
    The reverse door is open unless other `modes` are given; the regular door is, with `regular=True`.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        upstream: str = "",
        config: str = PASS_THROUGH,
        program: str = "mitmdump",
        bare: bool = False,
        regular: bool = False,
        web: bool = False,
        modes: Sequence[str] = (REVERSE_DOOR,),
        scripts: Sequence[Path | str] = (GATE_SCRIPT,),
        options: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        name: str = "gate",
    ) -> None:
        super().__init__(name, workdir)
        self.upstream = upstream or "https://api.anthropic.com"
        self.program, self.bare, self.regular, self.modes = program, bare, regular, tuple(modes)
        self.scripts = () if bare else tuple(Path(script) for script in scripts)
        self.web = web or program == "mitmweb"
        self.options, self.arguments, self.extra_env = dict(options or {}), list(arguments), dict(env or {})
        self.confdir, self.state_dir = workdir / "ca", workdir / "state"
        for folder in (self.confdir, self.state_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.config_file = workdir / "sluicegate.yaml"
        self.config_file.write_text(config)
        self.port = self.proxy_port = self.web_port = 0
        self._ready = workdir / "ready"

    @property
    def url(self) -> str:
        """The reverse door, as a base URL."""
        return f"http://127.0.0.1:{self.port}" if self.port else ""

    @property
    def proxy_url(self) -> str:
        """The regular door, for HTTP_PROXY and HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.proxy_port}" if self.proxy_port else ""

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}" if self.web_port else ""

    @property
    def ca_cert(self) -> Path:
        """The CA that a client of the regular door has to trust."""
        return self.confdir / "mitmproxy-ca-cert.pem"

    def command(self) -> list[str]:
        self._ready.unlink(missing_ok=True)
        self.port = free_port() if any("{port}" in mode for mode in self.modes) else 0
        self.proxy_port = free_port() if self.regular else 0
        self.web_port = free_port() if self.web else 0
        return self._sluicegate() if self.program == "sluicegate" else self._mitmproxy()

    def _sluicegate(self) -> list[str]:
        doors = ["--reverse", str(self.port)] if self.port else []
        if self.regular:
            doors += ["--regular", str(self.proxy_port)]
        if self.web_port:
            doors += ["--web", "--web-port", str(self.web_port), "--set", f"web_password={WEB_PASSWORD}"]
        doors += [part for name, value in self.options.items() for part in ("--set", f"{name}={value}")]
        return [str(BIN / "sluicegate"), "run", "--config", str(self.config_file), *doors, *self.arguments]

    def _mitmproxy(self) -> list[str]:
        modes = [mode.format(upstream=self.upstream, port=self.port) for mode in self.modes]
        if self.regular:
            modes.append(f"regular@127.0.0.1:{self.proxy_port}")
        options = {"confdir": str(self.confdir)}
        if not self.bare:
            options["sluicegate_config"] = str(self.config_file)
        if self.web_port:
            options |= {"web_port": str(self.web_port), "web_open_browser": "false"}
            options |= {"web_password": WEB_PASSWORD}
        options |= self.options
        return [
            str(BIN / self.program),
            *(part for script in (*self.scripts, READY_SCRIPT) for part in ("-s", str(script))),
            *(part for mode in modes for part in ("--mode", mode)),
            *(part for name, value in options.items() for part in ("--set", f"{name}={value}")),
            *self.arguments,
        ]

    def environment(self) -> dict[str, str]:
        own = {
            "SLUICEGATE_STATE_DIR": str(self.state_dir),
            "STATE": str(self.state_dir),
            "UPSTREAM": self.upstream,
            "PYTHONUNBUFFERED": "1",
            "GATEKIT_READY": str(self._ready),
            "SLUICEGATE__RETRY__ATTEMPTS": "1",  # a test that wants retries takes this out of `env` with None
        }
        if self.program == "sluicegate":
            own["SLUICEGATE_CERTS"] = str(self.confdir)
        return clean_env({**own, **self.extra_env})

    def answers(self) -> bool:
        ports = [port for port in (self.port, self.proxy_port, self.web_port) if port]
        if not all(_listens(port) for port in ports):
            return False
        if self.program != "sluicegate" and not self._ready.exists():
            return False
        return self.bare or not (self.port or self.proxy_port) or self._healthy()

    def _healthy(self) -> bool:
        try:
            return self.health().status == 200
        except OSError:
            return False

    def health(self) -> Answer:
        """GET /health, at the reverse door if there is one and at the regular door's magic host otherwise."""
        if self.port:
            return request("GET", f"{self.url}/health", timeout_s=5)
        return request("GET", "http://sluicegate.local/health", proxy=self.proxy_url, timeout_s=5)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return request("GET", self.url + path, headers=headers)

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        return request("POST", self.url + path, body=body, headers=headers)

    def audit_records(
        self, count: int | None = None, file: Path | None = None, timeout_s: float = WAIT_TIMEOUT_S
    ) -> list[dict[str, Any]]:
        """The JSON lines of the audit log (or of `file`); with `count`, waits until there are that many."""
        source = file or self.state_dir / "audit.jsonl"

        def written() -> list[dict[str, Any]]:
            return list(_json_lines(source))

        if count is not None:
            self.wait(lambda: len(written()) >= count, f"{count} records in {source.name}", timeout_s)
        return written()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The records of the finished lines; the line being written at this moment is left for the next look."""
    if not file.exists():
        return
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n") and line.strip():
            yield json.loads(line)


type StartGate = Callable[..., Gate]
"""Starts a gate with the options of `Gate`; stopped when the test ends."""
type StartSimulator = Callable[..., Simulator]
