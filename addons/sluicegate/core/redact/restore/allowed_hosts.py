"""Allowed hosts: whether a tool's input sends only to hosts that the configuration allows.

Of all programs, only curl is understood, with its usual options and full URLs. Anything that cannot be interpreted with
certainty is not allowed: another program, a variable in a host, an option that sends elsewhere or follows redirects (wget
does so by default).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

from sluicegate.core.addresses import canonical_host

__all__ = ["AllowedHosts"]

_LETTERS: Final = "sSfviIgGN#O"
"""One-letter options without a value."""
_LETTERS_WITH_VALUE: Final = "HdXouAbFmwT"
_ALONE: Final = frozenset(
    {
        *("silent", "show-error", "fail", "fail-with-body", "verbose", "include", "head", "get", "globoff", "compressed"),
        *("no-progress-meter", "no-buffer", "remote-name", "http1.1", "http2", "tlsv1.2", "tlsv1.3"),
    }
)
_WITH_VALUE: Final = frozenset(
    {
        *("header", "data", "data-raw", "data-binary", "data-urlencode", "json", "form", "request", "output", "user"),
        *("user-agent", "cookie", "max-time", "connect-timeout", "retry", "retry-delay", "write-out", "upload-file"),
    }
)
_PROXIES: Final = re.compile(r"proxy|\.curlrc|\.wgetrc|/etc/hosts|\balias\b", re.IGNORECASE)
_ENDS: Final = frozenset(";|&\n()")
_URL: Final = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?=/|$|[\s\"'`,;|&<>)}\\])(?:/[^\s\"'`,;|&<>(){}\\]*)?")
_WHOLE_URL: Final = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:/\S*)?")


class AllowedHosts:
    """Host names; `*.example.com` stands for every subdomain of example.com."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._exact = frozenset(p.lower() for p in patterns if not p.startswith("*."))
        self._below = tuple(p[1:].lower() for p in patterns if p.startswith("*."))

    def __bool__(self) -> bool:
        return bool(self._exact or self._below)

    def __contains__(self, host: str) -> bool:
        name = canonical_host(host)
        return name in self._exact or name.endswith(self._below)

    def allows_all(self, text: str, sends: Callable[[str], bool]) -> bool:
        """Whether every part of a text that sends data (`sends` returns True) sends it to these hosts only."""
        if _PROXIES.search(text):
            return False
        if not sends(self._without_urls(text)):
            return True  # only URLs
        try:
            return all(self._allows(command, sends) for command in _commands(text))
        except ValueError:  # unterminated quote
            return False

    def _allows(self, command: Sequence[str], sends: Callable[[str], bool]) -> bool:
        """One simple command, split into words."""
        if not command or command[0] != "curl":
            return not sends(self._without_urls(" ".join(command)))
        value_next, addresses = False, 0
        for word in command[1:]:
            if value_next:
                value_next = False
                if sends(self._without_urls(word)):
                    return False
            elif word.startswith("-"):
                takes = _takes_value(word)
                if takes is None or sends(self._without_urls(word)):
                    return False
                value_next = takes
            elif (m := _WHOLE_URL.fullmatch(word)) and m[1] in self:
                addresses += 1
            else:
                return False
        return addresses > 0

    def _without_urls(self, text: str) -> str:
        return _URL.sub(lambda m: " " if m[1] in self else m[0], text)


def _commands(text: str) -> list[list[str]]:
    """The simple commands of a shell script, each split into unquoted words. Raises ValueError."""
    lexer = shlex.shlex(re.sub(r"\\\r?\n", "", text), posix=True, punctuation_chars=";|&\n()")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word and _ENDS.issuperset(word):
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def _takes_value(option: str) -> bool | None:
    """Whether the next word is the value of the option; None if the option is unknown."""
    if option.startswith("--"):
        return True if option[2:] in _WITH_VALUE else False if option[2:] in _ALONE else None
    for at, letter in enumerate(option[1:], 2):
        if letter in _LETTERS_WITH_VALUE:
            return at == len(option)
        if letter not in _LETTERS:
            return None
    return False if len(option) > 1 else None
