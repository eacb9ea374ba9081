"""The grammar of placeholders: how a name is written, and every spelling in which it may come back.

    style    numbered                  hashed                    also read when restoring
    angle    <ANTHROPIC_KEY_1>         <EMAIL_HMAC:A3F1B2C0>     &lt;…&gt;  \\u003c…\\u003e  %3C…%3E
    plain    ANTHROPIC_KEY_x00000001   EMAIL_xA3F1B2C0           –

A name is the part between the brackets. No written name is a prefix of another, so a text can be read from left to right in
one way only: in `angle` the closing bracket ends a name, in `plain` its last eight digits do. Hiding puts a plain name at
the start of a word (`Grammar.start_of`), so that the characters before it do not turn it into another name.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

__all__ = [
    "GRAMMARS",
    "LINES",
    "LITERAL",
    "Context",
    "Form",
    "Grammar",
    "Style",
    "json_text",
    "placeholders_in",
]

Style = Literal["angle", "plain"]

Context = Literal["text", "json"]
"""Where a placeholder occurs: in a decoded text, or in the source of a JSON document (inside one of its strings)."""

LITERAL: Final = "LITERAL"
"""The type of client text that looks like a placeholder."""
LINES: Final = "LINES"
"""The type of the mark before a value that was shown with line numbers."""

_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_LONGEST_WORD: Final = 4096


def json_text(value: str) -> str:
    """A text as written inside a JSON string; lone surrogates, which cannot be encoded, as escapes."""
    return json.dumps(value, ensure_ascii=not value.isascii() and _has_surrogates(value))[1:-1]


def _has_surrogates(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _url(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling: the delimiters of the name, and how the value is written in that place."""

    before: str
    """In lower case; any case is accepted."""
    after: str
    write: Callable[[str], str]


def _verbatim(value: str) -> str:
    return value


def _json_html(value: str) -> str:
    return json_text(html.escape(value))


def _json_json(value: str) -> str:
    return json_text(json_text(value))


_ANGLE: Final[dict[Context, tuple[Form, ...]]] = {
    "text": (
        Form("<", ">", _verbatim),
        Form("&lt;", "&gt;", html.escape),
        Form(r"\u003c", r"\u003e", json_text),
        Form("%3c", "%3e", _url),
    ),
    "json": (
        Form("<", ">", json_text),
        Form(r"\u003c", r"\u003e", json_text),
        Form("&lt;", "&gt;", _json_html),
        Form(r"\\u003c", r"\\u003e", _json_json),
        Form("%3c", "%3e", _url),
    ),
}
_PLAIN: Final[dict[Context, tuple[Form, ...]]] = {
    "text": (Form("", "", _verbatim),),
    "json": (Form("", "", json_text),),
}
# Bounded, so that a long run of capitals is read once, not once for each letter.
_ANGLE_NAME: Final = r"[A-Z][A-Z0-9_]{0,79}_(?:[0-9]{1,9}|HMAC(?::|%3[aA])[0-9A-F]{8})"
_PLAIN_NAME: Final = r"[A-Z][A-Z0-9_]{0,79}_x[0-9A-F]{8}"


def _pattern(forms: tuple[Form, ...], name: str) -> re.Pattern[str]:
    """Group i+1 is the name in the i-th form."""
    return re.compile("|".join(f"{_any_case(f.before)}({name}){_any_case(f.after)}" for f in forms))


def _any_case(text: str) -> str:
    return re.sub(r"(003|%3)([ce])", lambda m: f"{m[1]}[{m[2]}{m[2].upper()}]", re.escape(text))


@dataclass(frozen=True, slots=True)
class Grammar:
    """The names of one style."""

    style: Style
    forms: dict[Context, tuple[Form, ...]]
    patterns: dict[Context, re.Pattern[str]]
    shape: bytes
    """RE2: matches all that restoring could read as a placeholder, and more."""
    starts: re.Pattern[str]
    """The characters with which a written placeholder may start."""

    def numbered(self, kind: str, n: int) -> str:
        return f"{kind}_{n}" if self.style == "angle" else f"{kind}_x{n:08d}"

    def hashed(self, kind: str, digest: bytes) -> str:
        word = digest[:4].hex().upper()
        return f"{kind}_HMAC:{word}" if self.style == "angle" else f"{kind}_x{word}"

    def written(self, name: str) -> str:
        return f"<{name}>" if self.style == "angle" else name

    def start_of(self, text: str, start: int) -> int:
        """Where a hidden span must start so that its placeholder can be told apart: in `plain`, at the start of a word."""
        if self.style == "plain":
            first = max(0, start - _LONGEST_WORD)
            while start > first and text[start - 1] in _WORD:
                start -= 1
        return start


def _grammar(style: Style, forms: dict[Context, tuple[Form, ...]], name: str, shape: bytes, starts: str) -> Grammar:
    return Grammar(style, forms, {c: _pattern(f, name) for c, f in forms.items()}, shape, re.compile(starts))


def placeholders_in(text: str) -> frozenset[str]:
    """The names of all placeholders in a text, in either style and any spelling."""
    return frozenset(
        name
        for g in GRAMMARS.values()
        for p in g.patterns.values()
        for m in p.finditer(text)
        for name in m.groups()
        if name
    )


GRAMMARS: Final[dict[Style, Grammar]] = {
    "angle": _grammar(
        "angle",
        _ANGLE,
        _ANGLE_NAME,
        rb"(?:<|&lt;|\\+u003[cC]|%(?:25)*3[cC])[A-Z][A-Z0-9_]*_(?:[0-9]+|HMAC(?::|%(?:25)*3[aA])[0-9A-F]{8})"
        rb"(?:>|&gt;|\\+u003[eE]|%(?:25)*3[eE])",
        r"[<&\\%]",
    ),
    "plain": _grammar("plain", _PLAIN, _PLAIN_NAME, rb"[A-Z][A-Z0-9_]*_x[0-9A-F]{8}", "[A-Z]"),
}
