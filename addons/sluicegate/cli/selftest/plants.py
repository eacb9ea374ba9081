"""Random secrets for the enabled rules; the rules under test find each of them."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from sluicegate.core.redact.rules.example_match import example_match
from sluicegate.core.redact.rules.regex_tree import Unknown
from sluicegate.core.redact.rules.rule import Rule
from sluicegate.core.redact.scan.finder import RuleFinder

__all__ = ["Nursery", "Plant"]

_TRIES: Final = 40
_SHORTEST: Final = 8
"""Characters: a shorter value may occur in other bytes by chance."""
_ALNUM: Final = string.ascii_letters + string.digits
_FIRST: Final = ("anthropic_key", "github_token", "openai_key", "aws_access_key")
"""Rules tried first for the cases that need a single secret."""


@dataclass(frozen=True, slots=True)
class Plant:
    rule: str
    text: str
    """The value in the context that its rule requires: `password = …`."""
    value: str
    """The secret itself."""


class Nursery:
    """Makes plants. No two are the same."""

    def __init__(self, finder: RuleFinder, random: Random) -> None:
        self.finder = finder
        self._random = random
        self._usual = self._choose()

    @property
    def usual(self) -> str | None:
        """The rule of the secrets that `plant` makes; None if none can be generated for any enabled rule."""
        return self._usual.id if self._usual else None

    def plant(self) -> Plant:
        """One more secret of the usual kind."""
        made = self._grow(self._usual) if self._usual else None
        if made is None:
            raise LookupError
        return made

    def each_rule(self) -> tuple[list[Plant], list[str]]:
        """A plant for each enabled rule, and the rules without one."""
        plants: list[Plant] = []
        without: list[str] = []
        for rule in self.finder.rules.values():
            plant = self._grow(rule)
            if plant:
                plants.append(plant)
            else:
                without.append(rule.id)
        return plants, without

    def key_block(self) -> str | None:
        """A private key in PEM; None unless the rules find it as a whole."""
        text = pem(self._random)
        found = self.finder.find(text)
        return text if len(found) == 1 and (found[0].start, found[0].end) == (0, len(text)) else None

    def _choose(self) -> Rule | None:
        rules = self.finder.rules
        ordered = [rules[name] for name in _FIRST if name in rules]
        ordered += [r for r in rules.values() if r.tier == "secret"] + list(rules.values())
        grown = ((rule, self._grow(rule)) for rule in ordered)
        usable = [(rule, made) for rule, made in grown if made and len(made.value) >= 2 * _SHORTEST][:20]
        alone = (rule for rule, made in usable if made.text == made.value and "\n" not in made.value)
        return next(alone, usable[0][0] if usable else None)

    def _grow(self, rule: Rule) -> Plant | None:
        for _ in range(_TRIES):
            try:
                text = (
                    _MAKERS[rule.id](self._random) if rule.id in _MAKERS else example_match(rule.pattern, self._random)[0]
                )
            except (Unknown, ValueError):
                return None
            found = self.finder.find(text)
            fit = next((f for f in found if f.rule == rule.id), found[0] if found else None)
            if fit and fit.end - fit.start >= _SHORTEST:
                value = text[fit.start : fit.end]
                return Plant(rule.id, value if self._found_alone(value) else text, value)
        return None

    def _found_alone(self, value: str) -> bool:
        found = self.finder.find(value)
        return len(found) == 1 and (found[0].start, found[0].end) == (0, len(value))


def _some(random: Random, length: int) -> str:
    return "".join(random.choices(_ALNUM, k=length))


def pem(random: Random) -> str:
    """Random lines that look like an RSA key."""
    body = base64.b64encode(random.randbytes(1190)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    kind = "RSA PRIVATE" + " KEY"
    return "\n".join((f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"))


def _vault(random: Random) -> str:
    return "\n".join(("$ANSIBLE_" + "VAULT;1.1;AES256", *(random.randbytes(40).hex() for _ in range(4))))


_MAKERS: Final[dict[str, Callable[[Random], str]]] = {
    "anthropic_key": lambda r: f"sk-{'ant'}-api03-{_some(r, 93)}AA",
    "github_token": lambda r: f"gh{'p'}_{_some(r, 36)}",
    "openai_key": lambda r: f"sk-{'proj'}-{_some(r, 48)}",
    "private_key": pem,
    "ansible_vault": _vault,
    "base64": lambda r: base64.b64encode(f"gh{'p'}_{_some(r, 36)}".encode()).decode(),
    "basic_auth": lambda r: f"https://{_some(r, 8)}:{_some(r, 16)}@{_some(r, 6).lower()}.example.org/",
    "db_connection_string": lambda r: f"postgres://{_some(r, 8)}:{_some(r, 16)}@{_some(r, 6).lower()}.example.org/x",
    "email": lambda r: f"{_some(r, 9).lower()}@{_some(r, 9).lower()}.org",
}
"""For rules whose pattern alone does not make a likely secret; the rest grow from their patterns."""
