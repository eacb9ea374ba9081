"""stages/scrubber/outside.py: secrets in headers, in the session's id and in the model's name, in each mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
from mitmproxy import http

from kits.scrubkit import (
    SECRET,
    ask,
    body_of,
    refusal,
    scrubbing,
    sent,
)
from sluicegate.core.errors import Refused
from sluicegate.exchange.exchange import Exchange
from sluicegate.settings.scrub import Scrub
from sluicegate.stages import Audit, Scrubber
from sluicegate.stages.base import Stage
from sluicegate.testing import chain_of, quiet, send_answer

MAIL = "ann.smith@megacorp.com"
HEADERS = [
    (b"x-title", f"run for {SECRET}".encode()),
    (b"user-agent", f"bot/1 ({MAIL})".encode()),
    (b"x-plain", b"as it is"),
]


def everything(flow: http.HTTPFlow) -> str:
    """What a saved flow would hold of the request, and the record."""
    state = flow.get_state()
    return repr(state["request"]) + json.dumps(flow.metadata.get("sluicegate"))


async def test_headers_get_names(tmp_path: Path) -> None:
    """Hashed under the key, the same in every conversation and for e-mail the same as in bodies; all else stays."""
    with scrubbing(tmp_path) as chain:
        titles = set()
        for session in (b"s-1", b"s-2"):
            flow = await ask(chain, body_of(f"mail {MAIL}"), headers=[*HEADERS, (b"x-claude-code-session-id", session)])
            headers = flow.request.headers
            titles.add(headers["x-title"])
            name = sent(flow)["messages"][0]["content"].removeprefix("mail ")
            assert headers["user-agent"] == f"bot/1 ({name})"
            assert headers["x-plain"] == "as it is"
            send_answer(chain, flow, [b"{}"])
            assert SECRET not in everything(flow)
            assert flow.metadata["sluicegate"]["scrub"]["found"] == {"github_token": 1, "email": 2}
        assert len(titles) == 1
        assert titles.pop().startswith("run for <GITHUB_TOKEN_HMAC:")


async def test_block_names_the_header(tmp_path: Path) -> None:
    """400 with the header's name; what was in it is not kept."""
    with scrubbing(tmp_path, "block") as chain:
        flow = await ask(chain, body_of("hello"), headers=HEADERS)
        status, why = refusal(flow)
        assert status == 400
        assert "rule github_token at the header x-title" in why
        assert SECRET not in everything(flow)
        assert MAIL not in everything(flow)


async def test_detect_counts_headers(tmp_path: Path) -> None:
    """And changes nothing."""
    with scrubbing(tmp_path, "detect") as chain:
        flow = await ask(chain, body_of("hello"), headers=HEADERS)
        assert flow.request.headers["x-title"] == f"run for {SECRET}"
        send_answer(chain, flow, [b"{}"])
        assert flow.metadata["sluicegate"]["scrub"]["found"] == {"github_token": 1, "email": 1}


async def test_a_deliberate_credential_passes(tmp_path: Path) -> None:
    """A gateway's own token, in a header that says so, is for the gateway."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of("hello"), headers=[(b"x-corp-auth", SECRET.encode())])
        assert flow.request.headers["x-corp-auth"] == SECRET
        assert sent(flow)


@pytest.mark.parametrize("mode", ["pseudonymize", "block"])
async def test_a_key_in_the_place_of_the_model(tmp_path: Path, mode: str) -> None:
    """Refused, and in no record: a model name cannot be replaced, and is shown everywhere."""
    with scrubbing(tmp_path, mode) as chain:
        flow = await ask(chain, {**body_of("hello"), "model": SECRET})
        status, why = refusal(flow)
        assert (status, "rule github_token at model" in why) == (400, True)
        send_answer(chain, flow)
        assert SECRET not in everything(flow)
        assert flow.metadata["sluicegate"]["model"] == "(withheld)"
        assert SECRET not in json.dumps(chain.services.stats.snapshot())


async def test_a_key_in_the_place_of_the_session(tmp_path: Path) -> None:
    """It gets a name in the header, and is in no record."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of("hello"), headers=[(b"x-claude-code-session-id", SECRET.encode())])
        assert sent(flow)["messages"][0]["content"] == "hello"
        assert flow.request.headers["x-claude-code-session-id"].startswith("<GITHUB_TOKEN_HMAC:")
        send_answer(chain, flow, [b"{}"])
        assert SECRET not in everything(flow)


class Turnstile(Stage):
    """Rejects every request."""

    name: ClassVar[str] = "turnstile"

    def request(self, x: Exchange) -> None:
        raise Refused(403, "not you")


async def test_what_ended_before_is_kept_without_it(tmp_path: Path) -> None:
    """A request that another stage refused keeps no secret in header, URL or body, nor in its record."""
    settings = quiet(scrub=Scrub(mode="pseudonymize"), state_dir=tmp_path)
    with chain_of(Audit, Turnstile, Scrubber, settings=settings) as chain:
        body = {**body_of(), "model": SECRET}
        flow = await ask(chain, body, path=f"/v1/messages?x={SECRET}", headers=[*HEADERS, (b"session-id", SECRET.encode())])
        send_answer(chain, flow)
        assert flow.metadata["sluicegate"]["model"] == "(withheld)"
        assert flow.response is not None
        assert flow.response.status_code == 403
        assert flow.request.headers["x-title"] == "run for (withheld)"
        assert SECRET not in everything(flow)
        assert MAIL not in everything(flow)
