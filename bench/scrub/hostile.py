"""Texts that are made to be slow: what a pattern of some detector nearly matches, over and over."""

from __future__ import annotations

from random import Random
from typing import Final

from sluicegate.core.redact.rules.gitleaks import builtin_rules

__all__ = ["SIZE", "hostile"]

SIZE: Final = 100_000
"""Bytes of each text, in UTF-8."""


def hostile() -> dict[str, str]:
    """By name; the same at each call."""
    random = Random(11)  # noqa: S311 - text, not secrets
    keywords = sorted({keyword for rule in builtin_rules() for keyword in rule.keywords})
    units = {
        "a@a@…": "a@",
        "a.a.a…@": "a.",
        "BEGIN": "-----BEGIN ",
        "BEGIN KEY": "-----BEGIN RSA PRIVATE KEY-----\n",
        "BEGIN … line": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmUODA\n",
        "=====": "=",
        "spaces": " ",
        "quotes": "\"'",
        "digits": "4",
        "groups of digits": "4111 ",
        "hex": "0123456789abcdef",
        "colons": "ab:",
        "twitter = ": "twitter = ",
        "twitter_twitter_": "twitter_",
        "key": "key",
        "key = ": "key = ",
        "api_key-token.": "api_key-token.",
        "secret: data:": "kind: secret data: a: ",
        "curl": "curl ",
        "curl -u": "curl -u a:\n",
        "postgres://a:": "postgres://a:",
        "Bearer ": "Bearer ",
        "Basic aaaa": "Basic YWFhYTphYWFh ",
        "eyJ": "eyJhbGciOiJIUzI1NiJ9.",
        "sk-ant-": "sk-ant-",
        "server=;": "server=a;",
        "jdbc:": "jdbc:a://",
        "base64 key": "c2stYW50L",
        "ANSIBLE": "$ANSIBLE_VAULT;1.1;AES256\n",
        "all e-mail": "a@b.co ",
        "all e-mail, escaped": "a%40b.co ",
        "e-mail and escapes": "a@b.co %41 ",
        "zero-width": "a@b.co\u200b",
        "backslashes": "\\",
        "all keys": "AKIAIOSFODNN7EXAMPLE ",
        "e-acute": "é",
        "surrogates": "\ud83d",
    }
    found = {name: unit * (SIZE // len(unit.encode("utf-8", "surrogatepass"))) for name, unit in units.items()}
    found["all keywords"] = _mixed(random, keywords, " ")
    found["all keywords ="] = _mixed(random, keywords, " = ")
    found["keywords, ids"] = _mixed(random, [f"{k}_key: {random.getrandbits(160):040x}" for k in keywords], "\n")
    found["random letters"] = _mixed(random, ["key", "token", "api", "a", "-", "_", ".", " ", "=", ":", '"', "x1"], "")
    return found


def _mixed(random: Random, words: list[str], between: str) -> str:
    parts: list[str] = []
    size = 0
    while size < SIZE:
        parts.append(random.choice(words) + between)
        size += len(parts[-1])
    return "".join(parts)[:SIZE]
