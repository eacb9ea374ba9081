"""Restores one content block of an answer: a text, or a tool input in one of three ways.

A block arrives in pieces, `feed(text) -> text`; `end(whole)` returns the text held back. `whole`: the block is complete.
The text of a tool block is its input as JSON.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.core.redact.restore.egress import has_egress
from sluicegate.core.redact.restore.text_restorer import PlaceholderCounter, TextRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

__all__ = ["BlockRestorer", "RestoreReport", "block_restorer"]

_MAX_TOOL: int = 8 * 1024 * 1024


@dataclass(slots=True)
class RestoreReport:
    """What restoring did to one answer."""

    restored: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    """Tool → placeholders in its inputs that were not restored."""
    unknown: int = 0
    """Placeholders that do not belong to the request."""


class BlockRestorer(Protocol):
    def feed(self, text: str) -> str: ...

    def end(self, *, whole: bool) -> str: ...


class _Restored:
    """Restores the values as the text arrives."""

    def __init__(self, placeholders: PlaceholderMap, report: RestoreReport, restorer: TextRestorer) -> None:
        self._restorer = restorer
        self._seen = PlaceholderCounter(placeholders, restorer.context)
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
    """Leaves the text unchanged."""

    def __init__(self, placeholders: PlaceholderMap, report: RestoreReport, tool: str) -> None:
        self._seen = PlaceholderCounter(placeholders, "json")
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


class _EgressChecked:
    """Holds the text back from its first placeholder on, until the whole input can be checked."""

    def __init__(self, placeholders: PlaceholderMap, report: RestoreReport, tool: str, hosts: AllowedHosts) -> None:
        self._seen = PlaceholderCounter(placeholders, "json")
        self._hosts = hosts
        self._restorer = TextRestorer(placeholders, "json")
        self._report = report
        self._tool = tool
        self._all: list[str] = []
        self._size = 0
        self._sent = 0
        self._held: list[str] = []

    def feed(self, text: str) -> str:
        self._seen.feed(text)
        self._all.append(text)
        self._size += len(text)
        if self._size > _MAX_TOOL:
            raise ValueError("tool input too large to be checked for egress")
        out = self._restorer.feed(text)
        if self._restorer.count == 0:  # no placeholder so far: the output equals the input
            self._sent += len(out)
            return out
        self._held.append(out)
        return ""

    def end(self, *, whole: bool) -> str:
        rest = self._restorer.end()
        unrestored = "".join(self._all)
        self._report.unknown += self._seen.unknown
        if not self._seen.known and not self._restorer.count:
            return rest
        if not whole or has_egress(unrestored, self._hosts):
            self._report.withheld[self._tool] += self._seen.known
            return unrestored[self._sent :]
        self._report.restored += self._restorer.count
        return "".join(self._held) + rest


def block_restorer(
    kind: object, tool: object, placeholders: PlaceholderMap, policy: ToolPolicy, report: RestoreReport
) -> BlockRestorer | None:
    """The restorer for a block of this type (and tool); None if it never changes (thinking, server tools, …)."""
    if kind == "text":
        return _Restored(placeholders, report, TextRestorer(placeholders))
    if kind != "tool_use" or not isinstance(tool, str):
        return None
    match policy.rule(tool):
        case True:
            return _Restored(placeholders, report, TextRestorer(placeholders, "json"))
        case False:
            return _Withheld(placeholders, report, tool[:128])
        case "no-egress":
            return _EgressChecked(placeholders, report, tool[:128], policy.hosts)
