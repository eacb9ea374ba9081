"""The blocks of an answer, as far as restoring goes: a text, and the three ways to treat a tool's input.

Each takes its text in pieces, `feed(text) -> text`, and gives what was held back with `end(whole)`; `whole` says whether
the block came to its end. A tool's text is its input as JSON.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.core.redact.restore.text_restorer import PlaceholderCounter, PlaceholderMap, TextRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy, has_egress

__all__ = ["BlockRestorer", "RestoreReport", "block_restorer"]

_MAX_TOOL: int = 8 * 1024 * 1024


@dataclass(slots=True)
class RestoreReport:
    """What was done to one answer."""

    restored: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    """Tool → placeholders in its inputs that were left as they are."""
    unknown: int = 0
    """What looks like a placeholder and is none of this request."""


class BlockRestorer(Protocol):
    def feed(self, text: str) -> str: ...

    def end(self, *, whole: bool) -> str: ...


class _Given:
    """The values go in as the text comes."""

    def __init__(self, names: PlaceholderMap, report: RestoreReport, restorer: TextRestorer) -> None:
        self._restorer = restorer
        self._seen = PlaceholderCounter(names, restorer.context)
        self._report = report

    def feed(self, text: str) -> str:
        self._seen.feed(text)
        return self._restorer.feed(text)

    def end(self, *, whole: bool) -> str:
        out = self._restorer.end()
        self._report.restored += self._restorer.count
        self._report.unknown += self._seen.unknown
        return out


class _Withheld:
    """The text stays as it is."""

    def __init__(self, names: PlaceholderMap, report: RestoreReport, tool: str) -> None:
        self._seen = PlaceholderCounter(names, "json")
        self._report = report
        self._tool = tool

    def feed(self, text: str) -> str:
        self._seen.feed(text)
        return text

    def end(self, *, whole: bool) -> str:
        self._report.unknown += self._seen.unknown
        if self._seen.known:
            self._report.withheld[self._tool] += self._seen.known
        return ""


class _Examined:
    """From its first placeholder on the text is held until all of it is there to be judged."""

    def __init__(self, names: PlaceholderMap, report: RestoreReport, tool: str, hosts: AllowedHosts) -> None:
        self._seen = PlaceholderCounter(names, "json")
        self._hosts = hosts
        self._restorer = TextRestorer(names, "json")
        self._report = report
        self._tool = tool
        self._all: list[str] = []
        self._size = 0
        self._sent = 0
        self._restored: list[str] = []

    def feed(self, text: str) -> str:
        self._seen.feed(text)
        self._all.append(text)
        self._size += len(text)
        if self._size > _MAX_TOOL:
            raise ValueError("a tool's input is larger than can be examined")
        out = self._restorer.feed(text)
        if self._restorer.count == 0:  # nothing to restore so far: what comes out is what went in
            self._sent += len(out)
            return out
        self._restored.append(out)
        return ""

    def end(self, *, whole: bool) -> str:
        rest = self._restorer.end()
        as_it_is = "".join(self._all)
        self._report.unknown += self._seen.unknown
        if not self._seen.known and not self._restorer.count:
            return rest
        if not whole or has_egress(as_it_is, self._hosts):
            self._report.withheld[self._tool] += self._seen.known
            return as_it_is[self._sent :]
        self._report.restored += self._restorer.count
        return "".join(self._restored) + rest


def block_restorer(
    kind: object, tool: object, names: PlaceholderMap, policy: ToolPolicy, report: RestoreReport
) -> BlockRestorer | None:
    """How to treat a block of this type (and tool); None: never touched (thinking, server tools, what is not known)."""
    if kind == "text":
        return _Given(names, report, TextRestorer(names))
    if kind != "tool_use" or not isinstance(tool, str):
        return None
    match policy.rule(tool):
        case True:
            return _Given(names, report, TextRestorer(names, "json"))
        case False:
            return _Withheld(names, report, tool[:128])
        case "no-egress":
            return _Examined(names, report, tool[:128], policy.hosts)
