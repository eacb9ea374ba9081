"""The finder that a policy asks for: rule sets in, findings out, remembered per text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sluicegate.core.redact.finding import Finder

__all__ = ["build_finder"]


def build_finder(
    *,
    rules: Sequence[str],
    salt: bytes,
    pii: Sequence[str] = (),
    patterns: Mapping[str, str] | None = None,
    read: Callable[[str], bytes] | None = None,
) -> Finder:
    """A finder for settings.scrub.

    `rules`: basic, gitleaks, pii, file:PATH. `salt`: random bytes of this process; what the memo knows a text by is keyed
    with it. `pii`: what the rule set pii looks for. `patterns`: own NAME → regex. `read`: gives a rule file's bytes.
    RulesError where a rule file or a pattern is wrong.
    """
    raise NotImplementedError
