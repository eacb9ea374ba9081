"""Signing in: GitHub's device flow."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.providers.auth.copilot_login import (
    CODE_URL,
    TOKEN_URL,
    begin,
    wait,
)
from sluicegate.providers.auth.held_keys import CredentialError

CODE = {
    "device_code": "d",
    "user_code": "AB-CD",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}


class Fetched:
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, url: str, **how: Any) -> Any:
        self.asked.append((url, how["form"]))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_the_flow() -> None:
    """A code, then patience; slower where GitHub says so."""
    fetch = Fetched(CODE)
    code = begin(fetch)
    assert (fetch.asked[0][0], code.user_code, code.page) == (CODE_URL, "AB-CD", "https://github.com/login/device")
    slept: list[float] = []
    fetch = Fetched({"error": "authorization_pending"}, {"error": "slow_down"}, {"access_token": "gho_1"})
    assert wait(code, slept.append, fetch) == "gho_1"
    assert slept == [5, 5, 10]
    assert fetch.asked[0][0] == TOKEN_URL
    assert fetch.asked[0][1]["device_code"] == "d"


@pytest.mark.parametrize("error", ["expired_token", "access_denied", "something_else", 5])
def test_it_ends(error: Any) -> None:
    """In words, whatever went wrong."""
    with pytest.raises(CredentialError):
        wait(begin(Fetched(CODE)), lambda _: None, Fetched({"error": error}))


def test_it_does_not_wait_for_ever() -> None:
    """No longer than the code lives."""
    slept: list[float] = []
    with pytest.raises(CredentialError, match="ran out"):
        wait(begin(Fetched(CODE)), slept.append, Fetched({"error": "authorization_pending"}))
    assert sum(slept) == 900


@pytest.mark.parametrize(
    "wrong",
    [
        {"verification_uri": "https://evil.example/login/device"},
        {"verification_uri": "http://github.com/login/device"},
        {"user_code": "\x1b[31m"},
        {"device_code": None},
    ],
)
def test_an_answer_that_is_not_githubs(wrong: dict[str, Any]) -> None:
    """Nobody is sent elsewhere, and no control character reaches the terminal."""
    with pytest.raises(CredentialError):
        begin(Fetched({**CODE, **wrong}))
