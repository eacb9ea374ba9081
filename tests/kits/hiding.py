"""Shared by tests of hiding and restoring: a finder with three rules, a placeholder factory, random texts full of traps."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import GRAMMARS, Style
from sluicegate.core.redact.scan.finding import Finding
from sluicegate.core.redact.walk.body_shapes import FREE, Shape

KEY = bytes(range(32))
RULES = (
    (re.compile(r"sk-[a-z0-9]{8,}"), "API_KEY", "api_key", "secret"),
    (re.compile(r"[a-z]+@[a-z]+\.com"), "EMAIL", "email", "identifier"),
    (re.compile(r"-----BEGIN KEY-----[\s\S]*?-----END KEY-----"), "PRIVATE_KEY", "pem", "secret"),
)


class Rules:
    """A Finder."""

    def find(self, text: str) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for pattern, kind, rule, tier in RULES:
            for m in pattern.finditer(text):
                if all(m.end() <= f.start or m.start() >= f.end for f in found):
                    found.append(Finding(m.start(), m.end(), kind, rule, tier))  # type: ignore[arg-type]
        return tuple(sorted(found, key=lambda f: f.start))


class Numbers:
    """The numbers of one conversation."""

    def __init__(self) -> None:
        self.assigned: dict[ValueKey, int] = {}

    def of(self, keys: list[ValueKey]) -> dict[ValueKey, int]:
        for key in keys:
            self.assigned.setdefault(key, 1 + sum(kind == key[0] for kind, _ in self.assigned))
        return self.assigned


def factory_of(style: Style = "angle", conversation: bytes = b"one", *, numbered: bool = True) -> PlaceholderFactory:
    return PlaceholderFactory(KEY, conversation, GRAMMARS[style], numbered)


def hide(
    root: Any, how: PlaceholderFactory | None = None, numbers: Numbers | None = None, shape: Shape = FREE
) -> tuple[Any, PlaceholderMap]:
    """The document with its values hidden (the one that was given stays as it is), and what restores it."""
    how = how or factory_of()
    scan = DocumentScan(json.loads(json.dumps(root)), shape, Rules(), KnownValueScanner(how.grammar))
    names = scan.hide(how, (numbers or Numbers()).of(scan.keys_to_number(how)))
    return scan.root, names


PIECES = (
    *("sk-abcdefgh1", "sk-zzzzzzzz2", "sk-abcdefgh", "ann@corp.com", "bob@corp.com", "c2stYWJjZGVmZ2gx"),
    *("-----BEGIN KEY-----\nabc\ndef\n-----END KEY-----", "  7→-----BEGIN KEY-----\n  8→abc\n  9→-----END KEY-----\n"),
    *("<API_KEY_1>", "<API_KEY_2>", "<EMAIL_HMAC:A3F1B2C0>", "&lt;API_KEY_1&gt;", r"\u003cAPI_KEY_1\u003e"),
    *("%3CAPI_KEY_1%3E", "API_KEY_x00000001", "API_KEY_x0000", "EMAIL_xA3F1B2C0", "<LITERAL_1>", "LITERAL_x00000001"),
    *("<LINES_1>", "LINES_x00000001→", "API_", "KEY", "_x", "00000001", "A", "x", "_", "1", "<", ">", "<API", "_KEY_1"),
    *("&lt;", "&gt;", r"\u003c", "%3C", "%3E", "\\", '"', "\n", " ", "\t", "é", "→", "🎉", "\ud83d", "k = ", "  12→"),
    *("hello ", "{", "}", "sk-", "@corp.com", "-----BEGIN KEY-----"),
)  # fmt: skip


def text_of(rng: random.Random, longest: int = 14) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(longest)))


def cut(rng: random.Random, text: str | bytes) -> list[Any]:
    """The text in pieces."""
    places = sorted({rng.randrange(len(text) + 1) for _ in range(rng.randrange(8))})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
