"""The kinds of single values, with their ranges and with the words in which an error asks for them."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

MAX_COUNT: Final = 2**53  # what JSON can carry exactly
MAX_SECONDS: Final = 3650 * 86_400
MAX_BYTES: Final = 2**50

_DURATION = {"examples": ["30s", "5m", "7d", 0.25]}
_SIZE = {"examples": ["32MB", "64KiB"]}


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the configuration: immutable, and no key but the known ones."""


# `extra` tells the reader which notation a number may be written in; description and examples go into the schema.
Seconds = Annotated[
    float,
    Meta(
        gt=0,
        le=MAX_SECONDS,
        description="a duration above 0 such as 30s, 5m or 7d",
        extra={"unit": "duration"},
        extra_json_schema=_DURATION,
    ),
]
SecondsOrNone = Annotated[
    float,
    Meta(
        ge=0,
        le=MAX_SECONDS,
        description="a duration such as 30s, 5m or 7d, or 0",
        extra={"unit": "duration"},
        extra_json_schema=_DURATION,
    ),
]
Bytes = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_BYTES,
        description="a size such as 32MB, 64KiB or a number of bytes",
        extra={"unit": "size"},
        extra_json_schema=_SIZE,
    ),
]
Count = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
CountOrNone = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Dollars = Annotated[float, Meta(gt=0, le=1e9, description="an amount of US dollars above 0")]
DollarsOrNone = Annotated[float, Meta(ge=0, le=1e9, description="an amount of US dollars, 0 or more")]
Fraction = Annotated[float, Meta(gt=0, le=1, description="a part such as 0.8, above 0 and up to 1")]
PricePerMillion = Annotated[float, Meta(ge=0, le=1e6, description="US dollars per million tokens, 0 or more")]
Factor = Annotated[float, Meta(ge=1, le=100)]
Status = Annotated[int, Meta(ge=400, le=599)]

Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Pattern = Annotated[
    str,
    Meta(min_length=1, max_length=256, description="a model name; `*` stands for any part of it, `?` for one character"),
]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="a name of letters, digits, dots, dashes and underscores",
    ),
]
User = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._%+@-]{0,253}$",
        description="a name of letters, digits, dots, dashes and underscores, or an e-mail address",
    ),
]
Host = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
        max_length=253,
        description="a host name without scheme, port or path",
    ),
]
HostPattern = Annotated[
    str,
    Meta(
        pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
        max_length=253,
        description="a host name without scheme, port or path, or `*.` and a name for every host below it",
    ),
]
LogTarget = Annotated[str, Meta(pattern=r"^(stdout|stderr|off|file:.+)$", description="stdout, stderr, off or file:PATH")]
Ledger = Annotated[
    str,
    Meta(
        pattern=r"^(off|sqlite|sqlite:///.+|postgres(ql)?://.+)$",
        description="off, sqlite, sqlite:///PATH or postgresql://… (the store of virtual keys)",
    ),
]
Store = Annotated[
    str,
    Meta(
        pattern=r"^(memory|sqlite|sqlite:///.+|rediss?://[^/].*)$",
        description="sqlite, sqlite:///PATH, redis://HOST… or memory",
    ),
]
Ruleset = Annotated[str, Meta(pattern=r"^(basic|gitleaks|pii|file:.+)$", description="basic, gitleaks, pii or file:PATH")]


Regex = Annotated[str, Meta(min_length=1, max_length=1000, description="a regular expression")]

Patterns = Annotated[tuple[Pattern, ...], Meta(min_length=1)]
