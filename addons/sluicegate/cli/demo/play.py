"""Plays the scenes and prints one line for each, from the gate's audit record."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.cli.demo.scenes import Json, Scene, Turn

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["DemoError", "Play"]

CALL_TIMEOUT_S = 10.0
RECORD_TIMEOUT_S = 3.0

LIVE = """\
Where to look next
  counters     {url}/stats
  live events  curl -N {url}/monitor
  audit log    {audit_log}
  Claude Code  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=demo claude
"""
GONE = """\
Where to look next
  sluicegate demo --keep   keep this running, with /stats and /monitor
  sluicegate demo --web    the same, with mitmweb to inspect each call
  sluicegate run           a gate for your own account; then
                           ANTHROPIC_BASE_URL=http://127.0.0.1:4000 claude
"""
READ_ON = "  README.md    doors, routes and the configuration\n"


class DemoError(Exception):
    """The demo cannot continue; the message says why."""


class Play:
    """Sends the scenes through the gate and prints the gate's record of each."""

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
        """Play one scene; False if the result is not the expected one."""
        if callable(scene.body) and not self.went_well:
            self.console.print(f"  ! {scene.title}: skipped, the previous scene failed", style="bold red")
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
            wrong = f"expected status {status} in the audit log, got {record.get('status')}"
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
            raise DemoError(f"the simulator rejected its script: {answer.decode(errors='replace')}")

    def _record(self) -> Json:
        """The audit record of the latest call; the gate writes it after the call has ended."""
        deadline = time.monotonic() + RECORD_TIMEOUT_S
        while len(records := _records(self.audit_log)) < self.sent:
            if time.monotonic() > deadline:
                return {}
            time.sleep(0.01)
        return records[-1]

    def sum_up(self) -> bool:
        """Print the gate's counters as a table; False if they do not match the calls sent."""
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
        self.console.print(f"audit log  {records} records, one per call")
        if run["requests"] == records == self.sent and not alarms:
            return True
        mismatch = f"{self.sent} calls were sent, {run['requests']} counted; alarms: {alarms}"
        self.console.print(f"  ! {mismatch}", style="bold red")
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
    """Status and body of a response."""
    authority, _, path = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(authority, timeout=CALL_TIMEOUT_S)
    headers = {"content-type": "application/json", "x-api-key": "demo", "anthropic-version": "2023-06-01"}
    try:
        connection.request(method, f"/{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as e:
        raise DemoError(f"{method} {url}: incomplete response: {e or type(e).__name__}") from e
    finally:
        connection.close()
