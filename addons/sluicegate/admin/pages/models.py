"""GET /v1/models: the models of the routes and of the providers' own lists, for clients of either API.

A provider's list is fetched with the first request, and again in the background when it is five minutes old. A provider
that does not answer within two seconds is left out, as clients wait no longer than three; the next request has its list.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, error_answer, json_answer
from sluicegate.core.errors import Refused
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.models_list import (
    Model,
    RouteFacts,
    entry,
    listing,
    read_listing,
    served,
)
from sluicegate.exchange.exchange import Exchange
from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.base import Credential, SigningInput
from sluicegate.providers.fetch import fetch
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.stages.router.stage import Router
from sluicegate.stages.router.upstreams import Upstream

__all__ = ["MODELS", "ModelsPage"]

MODELS: Final = "/v1/models"
FRESH_S: Final = 300.0
FAILED_S: Final = 30.0
"""How long a provider is not asked again after a failure."""
PATIENCE_S: Final = 2.0
_FETCH_S: Final = 4.0
"""The longest wait of a thread, also at the end of the process."""
_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_LISTS: Final = 256
_VERSION: Final = "2023-06-01"


@dataclass(slots=True)
class _List:
    """One provider's list, as seen with one credential."""

    models: Sequence[Model] | None = None
    due: float = 0.0
    """When it is fetched again; monotonic seconds."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class ModelsPage:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._lists: OrderedDict[tuple[str, str, bytes], _List] = OrderedDict()

    @staticmethod
    def is_served(router: Router | None) -> bool:
        """Whether the gate answers /v1/models itself. It passes it on if all it has is one Anthropic provider."""
        return router is not None and not router.is_transparent

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer | Awaitable[Answer]:
        """Needs the client's credential. Raises Refused if the client cannot be identified."""
        identity, router = policy.identity, policy.router
        if identity is None or router is None:
            return error_answer(404, "no models are listed: the identity or the router stage is not running")
        caller = identity.identify(x)
        identity.strip_from_exchange(x)
        return self._answer(x, router, caller)

    async def _answer(self, x: Exchange, router: Router, caller: Caller) -> Answer:
        return json_answer(await self.document(x, router, caller))

    async def document(self, x: Exchange, router: Router, caller: Caller) -> dict[str, Any]:
        """The document for a list, or for one model. Raises Refused (404) if there is no model of that name."""
        bare, _, query = x.request.path.partition("?")
        models = await self._served(x, router)
        if caller.models:
            models = [model for model in models if caller.may_ask_for(model.id)]
        if bare == MODELS:
            asked = parse_qs(query, max_num_fields=20)
            after, before = (asked.get(name, [None])[0] for name in ("after_id", "before_id"))
            return listing(models, limit=_number(asked.get("limit", [""])[0]), after_id=after, before_id=before)
        name = unquote(bare.removeprefix(MODELS + "/"))
        found = next((model for model in models if model.id == name), None)
        if found is None:
            raise Refused(404, f"unknown model {name[:100]!r}; GET {MODELS} lists the available models")
        return entry(found)

    async def _served(self, x: Exchange, router: Router) -> list[Model]:
        wanted = {upstream.name: self._list(x, upstream) for upstream in router.upstreams if upstream.provider}
        running = [found.task for found in wanted.values() if found and found.task and found.models is None]
        if running:
            await asyncio.wait(running, timeout=PATIENCE_S)
        listed = {name: found.models for name, found in wanted.items() if found and found.models is not None}
        routes = [
            RouteFacts(route.pattern, [(target.upstream.name, target.model) for target in route.targets])
            for route in (router.routes if x.policy.settings.routes else ())
        ]
        return served(routes, listed)

    def _list(self, x: Exchange, upstream: Upstream) -> _List | None:
        """A provider's list as it is now; starts a fetch if one is due. None if the provider has no list."""
        assert upstream.provider
        if upstream.provider.models_path is None:
            return None
        own: Credential = ()
        if not upstream.keys:
            try:
                own = upstream.provider.forwarded(x.client_credentials, upstream.provider.origin().host)
            except Refused:
                return None
        digest = hashlib.sha256(repr(own).encode()).digest() if own else b""
        key = (upstream.name, upstream.provider.origin().authority + upstream.provider.models_path, digest)
        found = self._lists.setdefault(key, _List())
        self._lists.move_to_end(key)
        while len(self._lists) > _MOST_LISTS:
            self._lists.popitem(last=False)
        if time.monotonic() >= found.due and (found.task is None or found.task.done()):
            found.task = asyncio.get_running_loop().create_task(self._fetch(found, upstream, own))
        return found

    async def _fetch(self, found: _List, upstream: Upstream, own: Credential) -> None:
        try:
            request = await self._request(upstream, own)
            found.models = await asyncio.to_thread(lambda: read_listing(request(), upstream.name))
            found.due = time.monotonic() + FRESH_S
        except (CredentialError, Refused) as e:
            found.due = time.monotonic() + FAILED_S
            log.warning("models.unlisted", provider=upstream.name, why=str(e))
        except Exception as e:  # noqa: BLE001 - a missing list must not fail the request
            found.due = time.monotonic() + FAILED_S
            log.warning("models.unlisted", provider=upstream.name, why=type(e).__name__)

    async def _request(self, upstream: Upstream, own: Credential) -> partial[bytes]:
        provider = upstream.provider
        assert provider
        assert provider.models_path
        fields: Credential = ((b"accept", b"application/json"), *upstream.headers)
        if upstream.traits.is_anthropic_api:
            fields = (*fields, (b"anthropic-version", _VERSION.encode()))
        if upstream.keys:
            source = upstream.keys[0]
            await source.ready()
        origin = provider.origin()  # after ready(): the credential may decide the host
        if upstream.keys:
            own = source.fields(
                SigningInput(
                    "GET", origin.tls, origin.host, origin.authority, provider.models_path, fields, b"", time.time()
                )
            )
        url = f"{'https' if origin.tls else 'http'}://{origin.authority}{provider.models_path}"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in (*fields, *own)}
        return partial(fetch, url, headers=headers, via=self._via(upstream), timeout_s=_FETCH_S, most=_MOST_BYTES)

    def _via(self, upstream: Upstream) -> Mapping[str, str]:
        """The upstream proxy for `fetch`, with its credentials."""
        if upstream.via is None:
            return {}
        scheme, (host, port) = upstream.via
        auth = self._services.via_auth((host, port))
        named = f"[{host}]" if ":" in host else host
        return {"url": f"{scheme}://{named}:{port}", **({"authorization": auth.decode()} if auth else {})}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
