"""Looking at settings from outside: what may be shown, which secrets are referred to."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from sluicegate.settings.errors import KeyPath, Problem
from sluicegate.settings.secret import Secret

MASK = "***"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def masked(settings: msgspec.Struct) -> dict[str, object]:
    """Plain values: secrets are references, URLs lose userinfo and query, extra headers their values."""
    plain = _plain(msgspec.to_builtins(settings, enc_hook=encode), ())
    assert isinstance(plain, dict)
    return plain


def encode(value: object) -> str:
    """msgspec's enc_hook for the types that are ours."""
    if isinstance(value, Secret | Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def missing_secrets(settings: msgspec.Struct, environ: Mapping[str, str]) -> Iterator[Problem]:
    for path, secret in secrets_of(settings):
        reason = secret.missing(environ)
        if reason is not None:
            yield path, reason


def secrets_of(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Secret]]:
    """Every secret referred to, with its path."""
    match value:
        case Secret():
            yield path, value
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from secrets_of(getattr(value, name), (*path, name))
        case dict():
            for key, item in value.items():
                yield from secrets_of(item, (*path, str(key)))
        case tuple():
            for index, item in enumerate(value):
                yield from secrets_of(item, (*path, index))


def _plain(value: object, path: KeyPath) -> object:
    match value:
        case dict():
            return {key: _plain(item, (*path, key)) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, path) for item in value]
        case str() if path[:1] == ("providers",) and path[2:3] == ("headers",):
            return MASK
        case str():
            return mask_url(value)
    return value


def mask_url(text: str) -> str:
    """A URL without its userinfo and query (`redis://***@host/0?***`); other text as it is.

    Userinfo reaches to the last `@`: a password may hold a `/` or `?` that is not escaped.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    userinfo, at, rest = text[scheme.end() :].rpartition("@")
    path, query, _ = rest.partition("?")
    return f"{scheme[0]}{MASK + at if userinfo else at}{path}{query + MASK if query else ''}"
