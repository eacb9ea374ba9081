"""Which tool inputs get their values back: those that stay on the client's machine.

A policy maps patterns of tool names to `True`, `False` or `"no-egress"`. With "no-egress", the input is checked as a whole
and gets its values only if it sends nothing to a host that is not allowed (egress.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.core.routing.routes import is_literal, matches

__all__ = ["DEFAULTS", "ToolPolicy", "ToolRule"]

ToolRule = bool | Literal["no-egress"]

DEFAULTS: Final[Mapping[str, ToolRule]] = {
    "Read": True,
    "Edit": True,
    "MultiEdit": True,
    "Write": True,
    "NotebookEdit": True,
    "Grep": True,
    "Glob": True,
    "Bash": "no-egress",
    "*": False,
}


class ToolPolicy:
    """Exact names take precedence over patterns, configured patterns over the defaults."""

    def __init__(self, configured: Mapping[str, ToolRule] | None = None, allow_hosts: Sequence[str] = ()) -> None:
        """`allow_hosts`: hosts, or `*.example.com`, to which a "no-egress" input may send."""
        self.hosts = AllowedHosts(allow_hosts)
        given = dict(configured or {})
        self._exact = {**({} if "*" in given else _only(DEFAULTS, exact=True)), **_only(given, exact=True)}
        self._patterns = [*_only(given, exact=False).items(), *_only(DEFAULTS, exact=False).items()]
        self._patterns.sort(key=lambda pair: pair[0] == "*")  # stable: the catch-all comes last, wherever it was configured

    def rule(self, name: str) -> ToolRule:
        if name in self._exact:
            return self._exact[name]
        return next((rule for pattern, rule in self._patterns if matches(pattern, name)), False)


def _only(rules: Mapping[str, ToolRule], *, exact: bool) -> dict[str, ToolRule]:
    return {name: rule for name, rule in rules.items() if is_literal(name) == exact}
