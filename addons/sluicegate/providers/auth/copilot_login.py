"""Signing in to GitHub for Copilot: the device flow (docs.github.com, "Authorizing OAuth apps", "Device flow")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.fetch import Fetch, fetch_json

__all__ = ["DeviceCode", "begin", "wait"]

CLIENT_ID: Final = "Iv1.b507a08c87ecfe98"
CODE_URL: Final = "https://github.com/login/device/code"
TOKEN_URL: Final = "https://github.com/login/oauth/access_token"  # noqa: S105 - an address
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_S: Final = 5.0
_ENDED: Final = {
    "expired_token": "the code ran out; start again",
    "access_denied": "access was denied on GitHub's page",
}


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the user enters where, and how often to ask whether it was done."""

    user_code: str
    page: str
    device_code: str
    interval_s: float
    life_s: float


def begin(fetch: Fetch = fetch_json) -> DeviceCode:
    """Ask for a code. Raises CredentialError if GitHub gives none."""
    answer = fetch(CODE_URL, form={"client_id": CLIENT_ID, "scope": "read:user"})
    page = _text(answer, "verification_uri")
    if urlsplit(page)[:2] != ("https", "github.com"):
        raise CredentialError("GitHub's answer names a page that is not GitHub's")
    interval, life = (answer.get(name) for name in ("interval", "expires_in"))
    return DeviceCode(
        user_code=_text(answer, "user_code"),
        page=page,
        device_code=_text(answer, "device_code"),
        interval_s=float(interval) if type(interval) is int and 0 < interval < 120 else _SLOWER_S,
        life_s=float(life) if type(life) is int and 0 < life < 7200 else 900.0,
    )


def wait(code: DeviceCode, sleep: Callable[[float], None], fetch: Fetch = fetch_json) -> str:
    """Wait until the user has entered the code: the login. CredentialError where that does not happen in time."""
    interval_s, waited_s = code.interval_s, 0.0
    form = {"client_id": CLIENT_ID, "device_code": code.device_code, "grant_type": _GRANT}
    while waited_s < code.life_s:
        sleep(interval_s)
        waited_s += interval_s
        answer = fetch(TOKEN_URL, form=form)
        match answer.get("error"):
            case None:
                return _text(answer, "access_token")
            case "authorization_pending":
                continue
            case "slow_down":
                interval_s += _SLOWER_S
            case error:
                raise CredentialError(_ENDED.get(str(error), "GitHub did not give a login"))
    raise CredentialError(_ENDED["expired_token"])


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 500:
        raise CredentialError(f"GitHub's answer has no {name}")
    return value
