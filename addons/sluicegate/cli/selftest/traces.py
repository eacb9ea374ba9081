"""Cases on files that the gate leaves behind, and on the witness itself."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import brotli

from sluicegate.cli.selftest.rig import SONNET, Failed, Rig
from sluicegate.cli.selftest.witness import Witness, seen_in
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.wire import zstd

__all__ = ["audit_log", "saved_flows", "state_and_logs", "witness_itself"]


def witness_itself(rig: Rig) -> None:
    """The witness finds a value sent past the gate in every spelling and encoding; a blind witness would prove nothing."""
    value = f'{rig.nursery.plant().value if rig.nursery.usual else "x" * 20}"\n'
    wanted = rig.wanted({"the value": value})
    body = json.dumps({"model": SONNET, "text": value}).encode()
    inner = json.dumps({"text": json.dumps([value])}).encode()
    spelled = base64.b64encode(b"x" + value.encode() + b"y")
    escaped = "".join(f"\\u{ord(c):04x}" for c in value)
    ways = [
        ("as JSON", body, None),
        ("as JSON within JSON", inner, None),
        ("in escapes", b'{"text": "%b"}' % escaped.encode(), None),
        ("as a key", json.dumps({value: 1}).encode(), None),
        ("in Base64", b'{"text": "%b"}' % spelled, None),
        ("in hexadecimal digits", value.encode().hex().encode(), None),
        ("in a URL", b'{"text": "https://x.invalid/?a=%b"}' % quote(value).encode(), None),
        ("in gzip", gzip.compress(body), "gzip"),
        ("in deflate", zlib.compress(body), "deflate"),
        ("in br", brotli.compress(body), "br"),
        ("in zstd", zstd.compress(body), "zstd"),
        ("in undeclared gzip", gzip.compress(body), None),
    ]
    with Witness().running() as witness:
        for way, sent, encoding in ways:
            mark = witness.mark()
            rig.send(sent, to=witness.url, encoding=encoding, sim={"status": 200, "body": "{}"})
            if not witness.leaks(mark, wanted):
                raise Failed(f"the witness does not see a value {way}")
        for place, path, session in (("the URL", f"/x?a={quote(value)}", None), ("a header", "/x", quote(value))):
            mark = witness.mark()
            rig.send(b"{}", path, to=witness.url, session=session, sim={"status": 200, "body": "{}"})
            if not witness.leaks(mark, wanted):
                raise Failed(f"the witness does not see a value in {place}")


def saved_flows(rig: Rig) -> None:
    """The flows saved by mitmproxy hold the placeholders and no value."""
    data = rig.flows.read_bytes() if rig.flows.exists() else b""
    if not GRAMMARS[rig.scrub.style].patterns["json"].search(data.decode("utf-8", "replace")):
        raise Failed("the saved flows hold no placeholder")
    _clean(rig, [rig.flows])


def audit_log(rig: Rig) -> None:
    """The audit log records the findings and no value."""
    log = rig.folder / "gate" / "audit.jsonl"
    if not log.exists() or b'"found"' not in log.read_bytes():
        raise Failed("the audit log does not record the findings")
    _clean(rig, [log])


def state_and_logs(rig: Rig) -> None:
    """No file written by the gates holds a value."""
    _clean(rig, (file for name in ("gate", "blocking") for file in (rig.folder / name).rglob("*") if file.is_file()))


def _clean(rig: Rig, files: Iterable[Path]) -> None:
    wanted = rig.wanted()
    for file in files:
        if found := seen_in(file.read_bytes(), wanted):
            raise Failed(f"{found[0]} is in {file.name}")
