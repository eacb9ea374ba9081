"""What the tests of the scrubber share: a chain with it, bodies, and what became of a request."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mitmproxy import http

from sluicegate.exchange.exchange import exchange_of
from sluicegate.gate.chain import Chain
from sluicegate.settings.scrub import Restore, Scrub
from sluicegate.stages import Audit, Router, Scrubber
from sluicegate.testing import (
    chain_of,
    descend,
    make_flow,
    quiet,
)

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
OTHER = "ghp_" + "Z9y8X7w6V5u4" * 3
NAME = "<GITHUB_TOKEN_1>"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(["MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaHBVZ2rVPkq"] * 4)


@contextmanager
def scrubbing(tmp_path: Path, mode: str = "pseudonymize", **scrub: Any) -> Generator[Chain, None, None]:
    restore = Restore(tools=scrub.pop("tools", {}))
    given = Scrub(**{"mode": mode, "rules": ("basic",), "restore": restore, **scrub})
    with chain_of(Audit, Scrubber, Router, settings=quiet(scrub=given, state_dir=tmp_path)) as chain:
        yield chain


def body_of(text: str = f"my key is {SECRET}", **more: Any) -> dict[str, Any]:
    return {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text}], **more}


def message(*content: dict[str, Any]) -> bytes:
    return json.dumps({"type": "message", "content": content, "usage": {"output_tokens": 1}}).encode()


def sent(flow: http.HTTPFlow) -> Any:
    """The body that was released, read."""
    x = exchange_of(flow)
    assert x is not None
    assert x.routing.release is not None, flow.response and flow.response.text
    assert x.routing.release.covers(flow.request)
    return json.loads(flow.request.data.content or b"")


def refusal(flow: http.HTTPFlow) -> tuple[int, str]:
    """Our own answer: status and message. Nothing was released, and no body is left to be saved."""
    x = exchange_of(flow)
    assert x is not None
    assert x.routing.release is None
    assert flow.response is not None
    assert not flow.request.data.content
    return flow.response.status_code, json.loads(flow.response.content or b"")["error"]["message"]


async def ask(chain: Chain, body: Any, **flow: Any) -> http.HTTPFlow:
    made = make_flow(body=body, **flow)
    await descend(chain, made)
    return made
