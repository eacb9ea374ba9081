"""AWS credentials: keys that are configured or in the environment, else botocore's chain; and requests signed with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.wire.sigv4 import Keys, sign
from sluicegate.providers.auth.held_keys import (
    CredentialError,
    Fetched,
    Fresh,
    bearer,
)
from sluicegate.providers.base import Credential, CredentialSource, SigningInput
from sluicegate.providers.context import ProviderContext, StaticKey

__all__ = ["Signed", "sources"]

_REREAD_S: Final = 300.0
"""botocore renews what runs out by itself, well before its time: it is asked again every five minutes."""
_EXTRA: Final = f"the AWS credential chain needs botocore: {adding(OPTIONAL['botocore'])}"


def sources(context: ProviderContext, service: str, hosts: Callable[[str], bool]) -> tuple[CredentialSource, ...]:
    """Bedrock API keys; else configured access keys or a profile; else what the environment has.

    `hosts`: whether a host may get a signature.
    """
    if keys := context.keys():
        return tuple(bearer(key) for key in keys)
    given, environ, region = context.settings.credentials, context.environ, context.settings.region or ""
    if given.access_key and given.secret_key:
        session = given.session_token.resolve(environ) if given.session_token else None
        fixed = Keys(given.access_key.resolve(environ), given.secret_key.resolve(environ), session)
        return (Signed(context.name, lambda: fixed, service, region, hosts),)
    if given.profile is None:
        if token := environ.get("AWS_BEARER_TOKEN_BEDROCK"):
            return (bearer(StaticKey(context.name, token)),)
        if (access := environ.get("AWS_ACCESS_KEY_ID")) and (secret := environ.get("AWS_SECRET_ACCESS_KEY")):
            ambient = Keys(access, secret, environ.get("AWS_SESSION_TOKEN") or None)
            return (Signed(context.name, lambda: ambient, service, region, hosts),)
    chain = Fetched("AWS credential", _Chain(given.profile, context.clock), context.clock)
    return (Signed(context.name, lambda: chain.value, service, region, hosts, chain),)


class Signed:
    """Signs each request (Signature Version 4) for the region of its target, else for the provider's."""

    def __init__(
        self,
        name: str,
        keys: Callable[[], Keys],
        service: str,
        region: str,
        hosts: Callable[[str], bool],
        fetched: Fetched[Keys] | None = None,
    ) -> None:
        self.name = name
        self._keys = keys
        self._service = service
        self._region = region
        self._hosts = hosts
        self._fetched = fetched
        self.waits = fetched is not None

    async def ready(self) -> None:
        if self._fetched is not None:
            await self._fetched.ready()

    def fields(self, request: SigningInput) -> Credential:
        if not self._hosts(request.host):
            raise CredentialError(f"an AWS signature is never made for {request.host}")
        signed = sign(
            self._keys(),
            method=request.method,
            host=request.authority,
            path=request.path,
            headers=_signed_fields(request),
            body=request.body,
            region=request.region or self._region,
            service=self._service,
            now=request.now_s,
        )
        return tuple((name.encode(), value.encode()) for name, value in signed)

    def refused(self) -> bool:
        if self._fetched is None:
            return False
        self._fetched.forget()
        return True


def _signed_fields(request: SigningInput) -> list[tuple[str, str]]:
    """Content-type: what a proxy on the way leaves as it is."""
    return [("content-type", v.decode("latin-1")) for k, v in request.fields if k.lower() == b"content-type"][:1]


class _Chain:
    """botocore's chain: shared files, SSO, assumed roles, container and instance metadata. Blocks."""

    def __init__(self, profile: str | None, clock: Callable[[], float]) -> None:
        self._profile = profile
        self._clock = clock
        self._found: Any = None

    def __call__(self) -> Fresh[Keys]:
        try:
            import botocore.exceptions
            import botocore.session
        except ImportError:
            raise CredentialError(_EXTRA) from None
        try:
            if self._found is None:
                self._found = botocore.session.Session(profile=self._profile).get_credentials()
            if self._found is None:
                raise CredentialError("no AWS credentials were found; set providers.<name>.keys or credentials")
            frozen = self._found.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as e:
            self._found = None
            raise CredentialError(f"the AWS credential chain failed ({type(e).__name__})") from None
        now = self._clock()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        return Fresh(keys, now + _REREAD_S, now + 2 * _REREAD_S)
