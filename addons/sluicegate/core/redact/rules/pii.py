"""Personal data (PII), by kind. Checksums and number ranges reject digits that merely look alike."""

from __future__ import annotations

import ipaddress
from typing import Final

from sluicegate.core.redact.rules.detectors import BASIC
from sluicegate.core.redact.rules.rule import (
    Hit,
    Rule,
    Span,
    Validator,
)

__all__ = ["PII"]


def _card(hit: Hit) -> Span | None:
    """A number with the length and prefix of a card scheme, grouped as on cards, with a valid check digit (Luhn)."""
    digits = hit.value.replace(b"-", b"").replace(b" ", b"")
    return (hit.value_start, hit.value_end) if _luhn(digits) and _is_scheme(digits) else None


def _is_scheme(digits: bytes) -> bool:
    """By the published prefixes of the schemes. Cards of 13 and 19 digits are left out: too many numbers look alike."""
    two, four, size = int(digits[:2]), int(digits[:4]), len(digits)
    if two in (34, 37):
        return size == 15
    if two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305:
        return size == 14
    known = digits[:1] == b"4" or 51 <= two <= 55 or 2221 <= four <= 2720 or two in (35, 60, 62, 64, 65)
    return known and size == 16


_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")


def _luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = sum(digits[::-2]) + sum(digits[-2::-2].translate(_DOUBLED)) - 48 * len(digits)
    return total % 10 == 0 and digits.count(digits[:1]) < len(digits)


def _iban(hit: Hit) -> Span | None:
    """ISO 13616: two check digits, mod 97."""
    text = hit.value.replace(b" ", b"").decode()
    if not 15 <= len(text) <= 34:
        return None
    turned = text[4:] + text[:4]
    return (hit.value_start, hit.value_end) if int("".join(str(int(c, 36)) for c in turned)) % 97 == 1 else None


def _ssn(hit: Hit) -> Span | None:
    """US social security numbers: areas 000, 666 and 9xx, group 00 and serial 0000 are never issued."""
    area, group, serial = hit.value.split(hit.value[3:4])
    if area in (b"000", b"666") or area >= b"900" or group == b"00" or serial == b"0000":
        return None
    return hit.value_start, hit.value_end


def _ip(hit: Hit) -> Span | None:
    """The address of a machine on a network: not localhost, not a version such as Chrome/120.0.0.0."""
    before = hit.data[max(0, hit.value_start - 2) : hit.value_start]
    if before[-1:] == b"/" and before[:1].isalpha():
        return None
    try:
        address = ipaddress.ip_address(hit.value.decode())
    except ValueError:
        return None
    if (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or hit.value.startswith(b"255.")
        or hit.value.endswith(b".0.0")
    ):
        return None
    return hit.value_start, hit.value_end


def _phone(hit: Hit) -> Span | None:
    """ITU-T E.164: `+`, 8 to 15 digits in all."""
    digits = sum(c in b"0123456789" for c in hit.value)
    return (hit.value_start, hit.value_end) if 8 <= digits <= 15 else None


_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"(?:^|[^\w.+-])({_OCTET}(?:\.{_OCTET}){{3}})(?:$|[^\w.-]|\.(?:$|\s))"
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_IPV6: Final = (
    rf"(?:^|[^\w:.])((?:{_GROUP}:){{3,7}}(?::?{_GROUP})|(?:{_GROUP}:){{2,6}}(?::{_GROUP}){{1,5}}|(?:{_GROUP}:){{2,7}}:)"
    r"(?:$|[^\w:])"
)
_CARD: Final = (
    r"(?:^|[^\w.+-])([0-9]{14,16}|[0-9]{4}(?: [0-9]{4}){3}|[0-9]{4}(?:-[0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})"
    r"(?:$|[^\w-])"
)
_PHONE: Final = r"(?:^|[^\w+.,*/)=-])(\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6})(?:$|[^\w-])"
_IBAN: Final = r"\b([A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?))\b"


def _rule(name: str, pattern: str, validate: Validator) -> Rule:
    return Rule(f"pii:{name}", name.upper(), "identifier", pattern, validate=validate)


PII: Final[dict[str, tuple[Rule, ...]]] = {
    "email": tuple(rule for rule in BASIC if rule.id == "email"),
    "phone": (_rule("phone", _PHONE, _phone),),
    "iban": (_rule("iban", _IBAN, _iban),),
    "card": (_rule("card", _CARD, _card),),
    "ip": (_rule("ip", _IPV4, _ip), Rule("pii:ip6", "IP", "identifier", _IPV6, validate=_ip)),
    "ssn": (_rule("ssn", r"(?:^|[^\w-])([0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{3} [0-9]{2} [0-9]{4})(?:$|[^\w-])", _ssn),),
}
"""By the names used in `scrub.pii`."""
