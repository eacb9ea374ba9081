"""Identity: who calls. Takes off the request what said so; what a client presents to the gate never goes on.

    open         anybody on this machine; callers are told apart by a keyed hash of what they present
    keys         a virtual key: x-api-key, Authorization: Bearer, or the password of the proxy; anything else is 401 or 407
    passthrough  the client's own credential goes on to the provider, and its keyed hash is who it is

A trusted header from one of its peers names the user, team or project, in all modes; in mode keys it is as good as a key.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import ClassVar, Final

from mitmproxy import http

from sluicegate.core.addresses import is_local
from sluicegate.core.errors import Refused
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
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.private_addresses import PRIVATE_ADDRESS, resolves_to_private
from sluicegate.exchange.release import Fields
from sluicegate.exchange.taps import OnError
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.identity.authenticator import Recognizer

__all__ = ["Identity"]

_MAX_KEYS: Final = 8
_KEY: Final = re.compile(rb"sk-sg-[A-Za-z0-9_-]*")
_OURS: Final = (b"proxy-authorization", b"x-sluicegate-admin")

NO_KEY: Final = "no key came with this request; send your virtual key (sk-sg-…) as x-api-key or Authorization: Bearer"
NOT_YOURS: Final = (
    "a provider's own key is not taken here, and was not passed on; send your virtual key (sk-sg-…) instead of it"
)
NO_CREDENTIAL: Final = (
    "no credential came with this request; the gate passes yours on to the provider and has none of its own"
)
IN_THE_URL: Final = "a virtual key stands in the URL, where logs keep it; send it as x-api-key, and have that key replaced"
SHARED: Final = (
    "what is kept there belongs to the provider's account, which all keys of this gate share: files, batches and their "
    "results could be anybody's; whoever runs the gate can open it to all keys (identity.shared_account: true)"
)


class Identity(Stage):
    name: ClassVar[str] = "identity"
    on_error: ClassVar[OnError] = "fail_closed"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.who = Recognizer(settings, services)

    # -- the stage
    def head(self, x: Exchange) -> None:
        try:
            x.caller = self.identify(x)
        finally:
            self.consume(x)

    def request(self, x: Exchange) -> Awaitable[None] | None:
        self.consume(x)  # once more: somebody may have edited the request in the user interface
        caller = x.caller
        if caller is None:
            raise Refused(401, NO_KEY, should_retry=False)
        if self.who.mode == "keys" and not self.settings.identity.shared_account:
            self._only_own_affairs(x)
        if caller.models and not x.client_chose:
            _only_own_models(x, caller)
        if self.who.mode != "open" and x.client_chose and not is_local(x.flow.client_conn.peername):
            return _stay_outside(x)
        return None

    def _only_own_affairs(self, x: Exchange) -> None:
        """Raises Refused where a key would reach, with the provider's key of us all, what others have left there."""
        if x.door == "replay":
            return
        ours = takes_our_keys(x.door, inference=x.format.inference, path=x.request.path)
        if not x.format.known and ours and not x.client_chose and not is_first_party_path(x.request.path):
            raise Refused(403, f"{x.request.path.partition('?')[0][:100]}: {SHARED}", should_retry=False)

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

    # -- who
    def identify(self, x: Exchange) -> Caller:
        """Who calls. Raises Refused."""
        vouched = self.who.vouched(x.request.headers.fields, x.flow.client_conn.peername)
        caller = self._caller(x, vouched)
        return caller if vouched is None else self.who.renamed(caller, vouched)

    def _caller(self, x: Exchange, vouched: str | None) -> Caller:
        match self.who.mode:
            case "open":
                return self.who.unproved(x.client_credentials) if vouched is None else self.who.vouched_for(vouched)
            case "passthrough":
                return self._own_credential(x, vouched)
            case "keys":
                return self._key_holder(x, vouched)

    def _own_credential(self, x: Exchange, vouched: str | None) -> Caller:
        keys = presented_keys(x.client_credentials)
        if any(holds_key(key) for key in keys):
            raise Refused(401, "a virtual key is of no use here; send your provider's own", should_retry=False)
        if not any(keys) and (x.format.known or x.is_admin_endpoint):
            raise Refused(401, NO_CREDENTIAL, should_retry=False)
        return self.who.unproved(x.client_credentials) if vouched is None else self.who.vouched_for(vouched)

    def _key_holder(self, x: Exchange, vouched: str | None) -> Caller:
        """Raises Refused for everybody else."""
        if holds_key(x.request.data.path):
            raise Refused(400, IN_THE_URL, should_retry=False)
        if x.door == "replay":
            return Caller("replay", mode="keys")  # asked for by whoever runs the gate, at its own user interface
        at_door: Caller | None = None
        if x.door in ("regular", "upstream") and x.tunnel_key_hash is None and not x.is_admin_endpoint:
            _, at_door = self.who.at_door(proxy_password(x.client_credentials))
        digests, found = self._by_keys(x)
        if at_door and (found is None or x.client_chose):
            return at_door
        if found:
            return found
        if x.tunnel_key_hash:
            return self.who.caller(x.tunnel_key_hash)
        if vouched is not None:
            return self.who.vouched_for(vouched)
        if not digests:
            raise Refused(401, NO_KEY, should_retry=False)
        return self.who.caller(digests[0])

    def _by_keys(self, x: Exchange) -> tuple[list[bytes], Caller | None]:
        """The hashes of the keys that came with the request, and the caller of the first good one."""
        keys = self._keys(x)
        if len(keys) > _MAX_KEYS:
            raise Refused(401, "more keys came with this request than one client has", should_retry=False)
        digests, found = [self.who.digest(key) for key in keys], None
        for key, digest in zip(keys, digests, strict=True):
            caller, worth = self.who.look(digest)
            if worth == "unknown" and is_provider_key(key):
                raise Refused(401, NOT_YOURS, should_retry=False)
            found = found or caller
        return digests, found

    def _keys(self, x: Exchange) -> list[bytes]:
        keys = [key for key in presented_keys(x.client_credentials) if key]
        if x.is_admin_endpoint and (password := proxy_password(x.client_credentials)):
            keys.append(password)
        return keys

    # -- what was presented
    def tidy(self, request: http.Request) -> None:
        """Take off a request what only the gate should see, wherever a client has put it."""
        fields = request.headers.fields
        if may_hold_key([value for _, value in fields]):
            fields = tuple(f for f in fields if not holds_key(f[1]))
        if self.who.trusted_header is not None:
            fields = tuple(f for f in fields if f[0].lower() != self.who.trusted_header)
        if len(fields) != len(request.headers.fields):
            request.headers.fields = fields
        if holds_key(request.data.path):
            request.data.path = _KEY.sub(b"sk-sg-...", request.data.path)

    def consume(self, x: Exchange) -> None:
        """Take what was meant for the gate off the request, and off what may go on to a provider."""
        self.tidy(x.request)
        if self.who.mode != "keys":
            x.client_credentials = tuple(f for f in x.client_credentials if not holds_key(f[1]))
        elif not x.client_chose:
            x.client_credentials = ()
        else:
            x.client_credentials = _for_others(x.client_credentials)


def _for_others(presented: Fields) -> Fields:
    """What a client says to a host of its own choice, without what it says to the gate."""
    return tuple(f for f in presented if f[0].lower() not in _OURS and not holds_key(f[1]))


def _only_own_models(x: Exchange, caller: Caller) -> None:
    """Raises Refused where a caller who may use some models asks for another, or for what could start any."""
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
            what = f"the model {model[:100]!r}" if model else "a request whose model can not be read"
            raise Refused(403, f"your key does not cover {what}; it covers {allowed}", should_retry=False)


async def _stay_outside(x: Exchange) -> None:
    if await resolves_to_private(x.origin[1], x.origin[2]):
        raise Refused(403, PRIVATE_ADDRESS, should_retry=False)
