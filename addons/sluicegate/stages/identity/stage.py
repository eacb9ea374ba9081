"""Identity: who calls. Credentials that are meant for the gate are stripped, so that they are never passed on.

    open         any client on this machine; a keyed hash of the credential that it sends distinguishes callers
    keys         a virtual key as x-api-key, Authorization: Bearer or proxy password; anything else is a 401 or 407
    passthrough  the client's own credential is passed on to the provider; its keyed hash is the caller's id

A trusted header from one of its peers names the user, team or project, in all modes; in mode keys it stands for a key.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import ClassVar, Final

from mitmproxy import http

from sluicegate.core.addresses import is_local
from sluicegate.core.errors import Refused
from sluicegate.core.formats.registry import served
from sluicegate.core.formats.surfaces import is_inference_path
from sluicegate.core.identity.caller import (
    Caller,
    holds_key,
    is_provider_key,
    may_hold_key,
    presented_keys,
    proxy_password,
)
from sluicegate.core.messages.batches import batch_parts
from sluicegate.core.routing.paths import is_batch, is_first_party_path, may_start_models, takes_our_keys
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.private_addresses import PRIVATE_ADDRESS, resolves_to_private
from sluicegate.exchange.taps import OnError
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.identity.authenticator import Authenticator

__all__ = ["Identity"]

_MAX_KEYS: Final = 8
_KEY: Final = re.compile(rb"sk-sg-[A-Za-z0-9_-]*")
_OURS: Final = (b"proxy-authorization", b"x-sluicegate-admin")

NO_KEY: Final = "no virtual key in this request; send yours (sk-sg-…) as x-api-key or Authorization: Bearer"
PROVIDER_KEY: Final = "provider keys are not accepted; this one was not passed on. Send your virtual key (sk-sg-…) instead"
PROVIDER_ONLY: Final = "virtual keys are not accepted in this mode; send your provider's credential"
NO_CREDENTIAL: Final = "no credential in this request; send your provider's credential, which the gate passes on"
KEY_IN_URL: Final = "virtual key found in the URL, where it may be logged; send it as x-api-key and have it rotated"
_ACCOUNT: Final = re.compile(r"(?:^|/)(?:files|batches|skills|organizations|usage|uploads)(?:/|$)")
"""Paths of what a provider keeps for the account, or tells of it."""
SHARED_ACCOUNT: Final = (
    "files, batches and their results belong to the provider account that all virtual keys share, so this path is closed; "
    "your gateway administrator can open it to all keys (identity.shared_account: true)"
)


class Identity(Stage):
    name: ClassVar[str] = "identity"
    on_error: ClassVar[OnError] = "fail_closed"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.authenticator = Authenticator(settings, services)

    # -- the stage
    def head(self, x: Exchange) -> None:
        try:
            x.caller = self.identify(x)
        finally:
            self.strip_from_exchange(x)

    def request(self, x: Exchange) -> Awaitable[None] | None:
        self.strip_from_exchange(x)  # again: the request may have been edited in the user interface
        caller = x.caller
        if caller is None:
            raise Refused(401, NO_KEY, should_retry=False)
        if self.authenticator.mode == "keys" and not self.settings.identity.shared_account:
            self._check_account_path(x)
        if caller.models and not x.client_chose:
            _check_models(x, caller)
        if self.authenticator.mode != "open" and x.client_chose and not is_local(x.flow.client_conn.peername):
            return _check_public(x)
        return None

    def _check_account_path(self, x: Exchange) -> None:
        """Raises Refused if the request would reach other callers' files and batches with the shared provider key."""
        if x.door == "replay" or (x.request.method == "HEAD" and is_inference_path(x.request.path)):
            return  # a probe of a path that is served reaches nothing of the account's
        ours = takes_our_keys(x.door, inference=x.format.inference, path=x.request.path)
        if not x.format.known and ours and not x.client_chose and not is_first_party_path(x.request.path):
            raise _closed(x)

    def report(self, x: Exchange) -> Mapping[str, object]:
        caller = x.caller
        if caller is None:
            return {}
        return {
            "key_id": caller.key_id,
            "key_name": caller.name,
            "team": caller.team,
            "user": caller.user,
            "project": caller.project,
            "tags": dict(caller.tags),
        }

    # -- authentication
    def identify(self, x: Exchange) -> Caller:
        """The caller. Raises Refused if there is none."""
        trusted = self.authenticator.trusted_value(x.request.headers.fields, x.flow.client_conn.peername)
        caller = self._caller(x, trusted)
        return caller if trusted is None else self.authenticator.with_trusted_value(caller, trusted)

    def _caller(self, x: Exchange, trusted: str | None) -> Caller:
        match self.authenticator.mode:
            case "open":
                return self._without_key(x, trusted)
            case "passthrough":
                return self._by_own_credential(x, trusted)
            case "keys":
                return self._by_virtual_key(x, trusted)

    def _by_own_credential(self, x: Exchange, trusted: str | None) -> Caller:
        keys = presented_keys(x.client_credentials)
        if any(holds_key(key) for key in keys):
            raise Refused(401, PROVIDER_ONLY, should_retry=False)
        if not any(keys) and (x.format.known or x.is_admin_endpoint):
            raise Refused(401, NO_CREDENTIAL, should_retry=False)
        return self._without_key(x, trusted)

    def _without_key(self, x: Exchange, trusted: str | None) -> Caller:
        if trusted is not None:
            return self.authenticator.from_trusted_header(trusted)
        return self.authenticator.unverified(x.client_credentials)

    def _by_virtual_key(self, x: Exchange, trusted: str | None) -> Caller:
        if holds_key(x.request.data.path):
            raise Refused(400, KEY_IN_URL, should_retry=False)
        if x.door == "replay":
            return Caller("replay", mode="keys")  # an operator starts it in mitmproxy's user interface
        by_password: Caller | None = None
        if x.door in ("regular", "upstream") and x.tunnel_key_hash is None and not x.is_admin_endpoint:
            _, by_password = self.authenticator.by_proxy_password(proxy_password(x.client_credentials))
        digests, found = self._by_keys(x)
        if by_password and (found is None or x.client_chose):
            return by_password
        if found:
            return found
        if x.tunnel_key_hash:
            return self.authenticator.by_digest(x.tunnel_key_hash)
        if trusted is not None:
            return self.authenticator.from_trusted_header(trusted)
        if not digests:
            raise Refused(401, NO_KEY, should_retry=False)
        return self.authenticator.by_digest(digests[0])

    def _by_keys(self, x: Exchange) -> tuple[list[bytes], Caller | None]:
        """The hashes of the keys in the request, and the caller of the first valid one."""
        keys = self._keys(x)
        if len(keys) > _MAX_KEYS:
            raise Refused(401, f"more than {_MAX_KEYS} keys in this request", should_retry=False)
        digests, found = [self.authenticator.digest(key) for key in keys], None
        for key, digest in zip(keys, digests, strict=True):
            caller, status = self.authenticator.look_up(digest)
            if status == "unknown" and is_provider_key(key):
                raise Refused(401, PROVIDER_KEY, should_retry=False)
            found = found or caller
        return digests, found

    def _keys(self, x: Exchange) -> list[bytes]:
        keys = [key for key in presented_keys(x.client_credentials) if key]
        if x.is_admin_endpoint and (password := proxy_password(x.client_credentials)):
            keys.append(password)
        return keys

    # -- stripping
    def strip_gateway_secrets(self, request: http.Request) -> None:
        """Remove virtual keys and the trusted header from a request, wherever the client has put them."""
        fields = request.headers.fields
        if may_hold_key([value for _, value in fields]):
            fields = tuple(f for f in fields if not holds_key(f[1]))
        if self.authenticator.trusted_header is not None:
            fields = tuple(f for f in fields if f[0].lower() != self.authenticator.trusted_header)
        if len(fields) != len(request.headers.fields):
            request.headers.fields = fields
        if holds_key(request.data.path):
            request.data.path = _KEY.sub(b"sk-sg-...", request.data.path)

    def strip_from_exchange(self, x: Exchange) -> None:
        """The same for an exchange, and for the client's credentials: what is left of them may go to a provider."""
        self.strip_gateway_secrets(x.request)
        if self.authenticator.mode != "keys":
            x.client_credentials = tuple(f for f in x.client_credentials if not holds_key(f[1]))
        elif not x.client_chose:
            x.client_credentials = ()
        else:
            x.client_credentials = _without_gateway_secrets(x.client_credentials)


def _closed(x: Exchange) -> Refused:
    """Why a path is closed to virtual keys: it is the shared account's, or none that the gate serves."""
    path = x.request.path.partition("?")[0]
    if _ACCOUNT.search(path):
        return Refused(403, f"{path[:100]}: {SHARED_ACCOUNT}", should_retry=False)
    return Refused(404, f"{path[:100]} is not served to virtual keys: the gate takes {served()}", should_retry=False)


def _without_gateway_secrets(presented: HeaderFields) -> HeaderFields:
    """The credentials that a client sends to a host of its own choice."""
    return tuple(f for f in presented if f[0].lower() not in _OURS and not holds_key(f[1]))


def _check_models(x: Exchange, caller: Caller) -> None:
    """Raises Refused if a caller that may use some models only asks for another one, or for a path that could start any."""
    allowed = ", ".join(caller.models)
    if x.inference:
        asked = {x.facts.model if x.facts else None}
    elif is_batch(x.request.method, x.request.path):
        asked = {part.model for part in batch_parts(x.request.data.content or b"") or ()} or {None}
    else:
        if may_start_models(x.request.method, x.request.path):
            what = f"{x.request.path.partition('?')[0][:100]} could start any model"
            raise Refused(403, f"your key covers {allowed} only, and {what}", should_retry=False)
        return
    for model in asked:
        if not caller.may_ask_for(model):
            what = f"the model {model[:100]!r}" if model else "a request whose model cannot be read"
            raise Refused(403, f"your key does not cover {what}; it covers {allowed}", should_retry=False)


async def _check_public(x: Exchange) -> None:
    if await resolves_to_private(x.origin[1], x.origin[2]):
        raise Refused(403, PRIVATE_ADDRESS, should_retry=False)
