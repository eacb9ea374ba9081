"""`sluicegate demo`: see the gate at work with no account and no network; a simulator stands in for the provider.

The play is the table SCENES. Each scene is one call; what is shown of it comes from the gate's own audit record.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Self

import typer

import sluicegate
from sluicegate.cli.places import fail

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["demo"]

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
CALL_TIMEOUT_S = 10.0
RECORD_TIMEOUT_S = 3.0
NOT_INHERITED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ANTHROPIC_", "SLUICEGATE", "SSLKEYLOGFILE")

HAIKU, SONNET, OPUS = "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"
WEATHER = {
    "name": "weather",
    "description": "Tell the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

THINKING = {"type": "enabled", "budget_tokens": 1024}

CONFIG = """\
providers: {{anthropic: {{kind: anthropic, base_url: {upstream}}}}}
retry: {{attempts: 3, backoff: {{start_s: 0.2, max_s: 0.4}}}}
audit: {{log: {audit_log}}}
"""

LIVE = """\
Where to look next
  counters     {url}/stats
  live events  curl -N {url}/monitor
  audit log    {audit_log}
  Claude Code  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=demo claude
"""
GONE = """\
Where to look next
  sluicegate demo --keep   leaves this running, with /stats and /monitor
  sluicegate demo --web    the same, with mitmweb to look at each call
  sluicegate run           a gate for your own account; then
                           ANTHROPIC_BASE_URL=http://127.0.0.1:4000 claude
"""
READ_ON = "  README.md    doors, routes, what a configuration may say\n"

Json = dict[str, Any]


# -- the play
@dataclass(frozen=True, slots=True)
class Turn:
    """One call and its answer, for a scene that goes on from there."""

    body: Json
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """One call: what is sent, and what has to come back."""

    title: str
    body: Json | Callable[[Turn], Json]
    """A function makes it from the scene before."""
    status: int = 200
    holds: bytes = b'"type":"message"'
    """Has to be in the answer."""
    path: str = "/v1/messages"
    fault: Mapping[str, Any] | None = None
    """What the simulator does with this scene's calls, in the words of its script."""


def ask(model: str, text: str, **more: Any) -> Json:
    return {"model": model, "max_tokens": 256, "messages": [{"role": "user", "content": text}], **more}


def with_tool_result(before: Turn) -> Json:
    """The conversation so far, the model's tool call, and what the tool said."""
    content = json.loads(before.answer)["content"]
    call_id = next(block["id"] for block in content if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call_id, "content": "11 degrees, rain"}
    said = [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    return {**before.body, "messages": [*before.body["messages"], *said]}


SCENES = (
    Scene("a plain answer", ask(HAIKU, "Good morning!")),
    Scene("a streamed answer", ask(HAIKU, "Tell me a story.", stream=True), holds=b"event: message_stop"),
    Scene(
        "the model calls a tool",
        ask(SONNET, "Run the tool: how is the weather in Lisbon?", tools=[WEATHER]),
        holds=b'"type":"tool_use"',
    ),
    Scene("... and gets the tool's result", with_tool_result, holds=b"11 degrees, rain"),
    Scene(
        "thinking, streamed",
        ask(OPUS, "Why is the sky blue?", stream=True, max_tokens=2048, thinking=THINKING),
        holds=b'"thinking_delta"',
    ),
    Scene(
        "counting tokens",
        {"model": HAIKU, "messages": [{"role": "user", "content": "How long is this?"}]},
        holds=b'"input_tokens"',
        path="/v1/messages/count_tokens",
    ),
    Scene(
        "overloaded once: tried again",
        ask(SONNET, "Are you there?"),
        fault={"status": 529},
    ),
    Scene(
        "overloaded for good",
        ask(SONNET, "Are you there?"),
        status=529,
        holds=b"overloaded_error",
        fault={"status": 529, "times": -1},
    ),
    Scene(
        "a client forgets max_tokens",
        {"model": HAIKU, "messages": [{"role": "user", "content": "Oops."}]},
        status=400,
        holds=b"max_tokens: Field required",
    ),
)


# -- the command
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The gate's port; 0 chooses a free one.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C, to try things out.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Look at the traffic in mitmweb; leaves it running too.")] = False,
) -> None:
    """Send sample traffic through a gate to a simulated provider: no account, no network."""
    from rich.console import Console

    if port and not _is_free(port):
        fail(f"port {port} is in use; choose another with --port, or leave it out")
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _leave)  # so that the processes started here end with us
    console = Console(highlight=False, markup=False)
    try:
        with tempfile.TemporaryDirectory(prefix="sluicegate-demo-", ignore_cleanup_errors=True) as folder:
            fine = _demo(console, Path(folder), port, keep=keep or web, web=web)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except DemoError as e:
        fail(str(e), 1)
    if not fine:
        fail("not everything went as expected; see the lines marked with ! above", 1)


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _demo(console: Console, folder: Path, port: int, *, keep: bool, web: bool) -> bool:
    with ExitStack() as running:
        with console.status("Starting a simulator and a gate ..."):
            simulator = running.enter_context(_simulator(folder))
            gate = running.enter_context(_gate(folder, simulator.found, port, web=web))
        play = Play(console, simulator.found, gate.found, folder / "audit.jsonl")
        play.open()
        went = [play.scene(scene) for scene in SCENES]
        went.append(play.sum_up())
        play.where_next(keep=keep, web_url=gate.line("mitmweb"))
        if keep:
            _until_left(console, simulator, gate)
    return all(went)


def _until_left(console: Console, *running: Child) -> None:
    console.print("Running until Ctrl-C.", style="bold")
    try:
        while True:
            for child in running:
                if child.ended:
                    raise child.failed("ended by itself")
            time.sleep(0.2)
    except KeyboardInterrupt:
        console.print("\nStopped.")


class Play:
    """Sends the scenes through the gate and shows what the gate has to say about each."""

    def __init__(self, console: Console, simulator_url: str, gate_url: str, audit_log: Path) -> None:
        self.console = console
        self.simulator_url = simulator_url
        self.gate_url = gate_url
        self.audit_log = audit_log
        self.sent = 0
        self.before = Turn({}, 0, b"")
        self.went_well = False

    def open(self) -> None:
        self.console.print("Sluicegate demo: nothing leaves this machine.", style="bold")
        self.console.print(f"  the provider  {self.simulator_url}  (a simulator)")
        self.console.print(f"  the gate      {self.gate_url}\n")
        self.console.print(_line("call", "status", "tokens", "cost", "time"), style="dim")

    def scene(self, scene: Scene) -> bool:
        """Play one scene; False where it did not go as written."""
        if callable(scene.body) and not self.went_well:
            self.console.print(f"  ! {scene.title}: left out, there is nothing to go on from", style="bold red")
            return False
        body = scene.body(self.before) if callable(scene.body) else scene.body
        with self.console.status(scene.title):
            self._script([scene.fault] if scene.fault else [])
            status, answer = _http("POST", self.gate_url + scene.path, body)
            self.sent += 1
            record = self._record()
        self.before = Turn(body, status, answer)
        wrong = ""
        if status != scene.status:
            wrong = f"expected status {scene.status}, got {status}: {answer[:200].decode(errors='replace')}"
        elif scene.holds not in answer:
            wrong = f"expected {scene.holds.decode()} in the answer"
        elif record.get("status") != status:
            wrong = f"the audit log says status {record.get('status')}"
        style = "red" if wrong else "green" if status < 400 else "yellow"
        cost = record.get("cost_usd")
        self.console.print(
            _line(
                scene.title,
                str(status),
                str(_tokens(record) or "-"),
                "-" if cost is None else f"${cost:.6f}",
                f"{record.get('duration_ms', 0):.0f} ms",
            ),
            style=style,
        )
        if wrong:
            self.console.print(f"  ! {wrong}", style="bold red")
        self.went_well = not wrong
        return self.went_well

    def _script(self, steps: list[Mapping[str, Any]]) -> None:
        status, answer = _http("POST", f"{self.simulator_url}/_sim/script", steps)
        if status >= 300:
            raise DemoError(f"the simulator refused its script: {answer.decode(errors='replace')}")

    def _record(self) -> Json:
        """The audit record of the newest call; written when the call has ended, so it may take a moment."""
        deadline = time.monotonic() + RECORD_TIMEOUT_S
        while len(records := _records(self.audit_log)) < self.sent:
            if time.monotonic() > deadline:
                return {}
            time.sleep(0.01)
        return records[-1]

    def sum_up(self) -> bool:
        """The gate's own counters as a table; False where they do not match what was sent."""
        from rich import box
        from rich.table import Table

        _, answer = _http("GET", f"{self.gate_url}/stats")
        stats = json.loads(answer)
        run, alarms, records = stats["run"], stats["alarms"], len(_records(self.audit_log))
        total = _row(run["requests"], run["tokens"], run["cost_usd"])
        table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
        table.add_column("model", "all")
        for name, footer in zip(("calls", "tokens in", "tokens out", "cost"), total, strict=True):
            table.add_column(name, footer, justify="right")
        for model, row in sorted(run["models"].items()):
            table.add_row(model, *_row(row["requests"], row, row["cost_usd"]))
        self.console.print()
        self.console.print(table)
        outcomes = ", ".join(f"{n} {name}" for name, n in sorted(run["outcomes"].items()))
        self.console.print(f"outcomes   {outcomes}")
        self.console.print(f"audit log  {records} records, one for each call")
        if run["requests"] == records == self.sent and not alarms:
            return True
        told = f"{self.sent} calls were sent, {run['requests']} counted; alarms: {alarms}"
        self.console.print(f"  ! {told}", style="bold red")
        return False

    def where_next(self, *, keep: bool, web_url: str) -> None:
        text = (LIVE if keep else GONE).format(url=self.gate_url, audit_log=self.audit_log)
        if web_url:
            text += f"  mitmweb      {web_url}\n"
        self.console.print(f"\n{text}{READ_ON}", soft_wrap=True)


def _line(title: str, status: str, tokens: str, cost: str, duration: str) -> str:
    return f"{title:<32}{status:>7}{tokens:>9}{cost:>13}{duration:>10}"


def _row(calls: int, tokens: Mapping[str, int], cost_usd: float) -> tuple[str, str, str, str]:
    into = sum(n for name, n in tokens.items() if name.endswith("_tokens") and name != "output_tokens")
    return str(calls), str(into), str(tokens.get("output_tokens", 0)), f"${cost_usd:.6f}"


def _tokens(record: Json) -> int:
    return sum(n for name, n in record.items() if name.endswith("_tokens") and n)


def _records(file: Path) -> list[Json]:
    if not file.exists():
        return []
    lines = file.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def _http(method: str, url: str, body: object = None) -> tuple[int, bytes]:
    """Status and whole body of an answer."""
    authority, _, path = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(authority, timeout=CALL_TIMEOUT_S)
    headers = {"content-type": "application/json", "x-api-key": "demo", "anthropic-version": "2023-06-01"}
    try:
        connection.request(method, f"/{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as e:
        raise DemoError(f"{method} {url} got no whole answer: {e or type(e).__name__}") from e
    finally:
        connection.close()


# -- the processes
class DemoError(Exception):
    """The demo can not go on; the message says why."""


class Child:
    """A process of ours, from its start to its end. `found` is what `ready` found in its output: where it listens."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, ready: str) -> None:
        self.name = name
        self.found = ""
        self._arguments = arguments
        self._folder = folder
        self._ready = re.compile(ready)
        self._log = folder / f"{name}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", *self._arguments],
                env=_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end them in order
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (found := self._ready.search(self._output())):
            if self.ended:
                raise self.failed("did not start")
            if time.monotonic() > deadline:
                raise self.failed(f"did not start within {START_TIMEOUT_S:g} s")
            time.sleep(0.02)
        self.found = found[1]

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def line(self, word: str) -> str:
        """The rest of the output's line that begins with that word."""
        found = re.search(rf"^ *{word} +(.+)$", self._output(), re.MULTILINE)
        return found[1] if found else ""

    def failed(self, what: str) -> DemoError:
        tail = self._output()[-1500:].strip()
        return DemoError(f"the {self.name} {what}" + (f"; it said:\n{tail}" if tail else ""))

    def _output(self) -> str:
        return self._log.read_text(errors="replace")


def _simulator(folder: Path) -> Child:
    return Child("simulator", ["sluicegate.simulator", "--port", "0"], folder, r"listening on (http://\S+)\n")


def _gate(folder: Path, upstream: str, port: int, *, web: bool) -> Child:
    config = folder / "sluicegate.yaml"
    audit_log = json.dumps(f"file:{folder / 'audit.jsonl'}")
    config.write_text(CONFIG.format(upstream=json.dumps(upstream), audit_log=audit_log))
    arguments = ["sluicegate", "run", "--config", str(config), "--reverse", str(port)]
    if web:
        arguments += ["--web", "--web-port", str(8081 if _is_free(8081) else _free_port())]
    return Child("gate", arguments, folder, r"reverse +(http://\S+) [^\n]*\n" + (r"(?s:.*)mitmweb +\S+\n" if web else ""))


def _environment(folder: Path) -> dict[str, str]:
    """This process's, without proxies, keys and settings of its own; all state goes into the demo's folder."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(NOT_INHERITED)}
    path = [str(Path(sluicegate.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "SLUICEGATE_STATE_DIR": str(folder / "state"),
        "SLUICEGATE_CERTS": str(folder / "certs"),
    }


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
