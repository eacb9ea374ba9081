"""stages/scrubber/stage.py: what reaches the provider, what the client gets, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brotli
import pytest

from kits.scrubkit import (
    NAME,
    OTHER,
    PEM,
    SECRET,
    ask,
    body_of,
    message,
    refusal,
    scrubbing,
    sent,
)
from sluicegate.core.errors import StoreError
from sluicegate.core.wire import zstd
from sluicegate.exchange.exchange import exchange_of
from sluicegate.settings import ConfigError, Secret, Settings
from sluicegate.settings.scrub import Scrub
from sluicegate.stages import Scrubber
from sluicegate.stores.placeholder_numbers.base import MAX_VALUES
from sluicegate.stores.placeholder_numbers.redis import RedisPlaceholderNumbers
from sluicegate.stores.placeholder_numbers.sqlite import SqlitePlaceholderNumbers
from sluicegate.testing import send_answer


async def test_there_and_back(tmp_path: Path) -> None:
    """The provider sees a name, the client its value; length and encoding fit; the record tells counts."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of(), headers=[(b"accept-encoding", b"gzip, br")])
        assert sent(flow)["messages"][0]["content"] == f"my key is {NAME}"
        assert flow.request.headers["content-length"] == str(len(flow.request.data.content or b""))
        assert flow.request.headers["accept-encoding"] == "identity"
        answer = message({"type": "text", "text": f"you said {NAME} and <STALE_1>"})
        out = send_answer(chain, flow, [answer[:40], answer[40:]], headers={"content-type": "application/json"})
        assert json.loads(out)["content"][0]["text"] == f"you said {SECRET} and <STALE_1>"
        assert flow.response is not None
        assert "content-length" not in flow.response.headers
        record = flow.metadata["sluicegate"]
        assert record["scrub"] == {"found": {"github_token": 1}, "restored": 1, "withheld": {}, "unknown": 1}
        assert chain.services.stats.snapshot()["scrub"] == {
            "found": {"github_token": 1},
            "withheld": {},
            "names": {"restored": 1, "unknown": 1},
        }


async def test_nothing_found_nothing_changed(tmp_path: Path) -> None:
    """A body without findings goes on byte for byte, encoding and all; so does its answer."""
    with scrubbing(tmp_path) as chain:
        plain = b'{ "model" : "m", "messages":[], "n":1.50 }'
        flow = await ask(chain, plain, headers=[(b"accept-encoding", b"gzip")])
        assert flow.request.data.content == plain
        assert flow.request.headers["accept-encoding"] == "gzip"
        answer = message({"type": "text", "text": "a <STALE_1> b"})
        assert send_answer(chain, flow, [answer], headers={"content-type": "application/json"}) == answer
        assert flow.metadata["sluicegate"]["scrub"]["unknown"] == 1
        packed = gzip.compress(plain)
        flow = await ask(chain, packed, headers=[(b"content-encoding", b"gzip")])
        assert flow.request.data.content == packed
        assert flow.request.headers["content-encoding"] == "gzip"


async def test_off_is_off(tmp_path: Path) -> None:
    """Without the mode nothing is read, kept or made."""
    with scrubbing(tmp_path, "off") as chain:
        flow = await ask(chain, body_of())
        assert sent(flow) == body_of()
        assert chain.policy is not None
        assert chain.policy.relays_websockets
        send_answer(chain, flow, [message()])
        assert flow.metadata["sluicegate"]["scrub"] is None
        assert list(tmp_path.iterdir()) == []


async def test_detect_only_counts(tmp_path: Path) -> None:
    """Nothing is changed, nothing is refused, whatever the body."""
    with scrubbing(tmp_path, "detect") as chain:
        for body, found in [(body_of(), {"github_token": 1}), (b"nonsense", {}), (b'{"a":1,"a":2}', {})]:
            flow = await ask(chain, body)
            raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
            assert flow.request.data.content == raw
            send_answer(chain, flow, [message()])
            assert flow.metadata["sluicegate"]["scrub"]["found"] == found


async def test_block_names_rule_and_place(tmp_path: Path) -> None:
    """400 with the rule and the JSON path, never the value; the record counts it."""
    with scrubbing(tmp_path, "block") as chain:
        flow = await ask(chain, body_of())
        status, why = refusal(flow)
        assert status == 400
        assert "github_token" in why
        assert "messages[0].content" in why
        assert SECRET not in why
        send_answer(chain, flow)
        record = flow.metadata["sluicegate"]
        assert (record["outcome"], record["scrub"]["found"]) == ("refused", {"github_token": 1})
        assert record["model"] == "claude-haiku-4-5"
        assert SECRET not in json.dumps(record)
        assert sent(await ask(chain, body_of("hello"))) == body_of("hello")


@pytest.mark.parametrize("mode", ["pseudonymize", "block"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"nonsense", {}),
        (b'{"messages":[{"role":"user","content":"a","content":"b"}]}', {}),
        (b'{"model":"\xff"}', {}),
        ('{"model":"m"}'.encode("utf-16"), {}),
        (b"[" * 5000, {}),
        (b"{}", {"content-encoding": "lzma"}),
        (b"{}", {"content-encoding": "gzip"}),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages?beta=true", "/v1/messages/count_tokens"])
async def test_what_can_not_be_read_does_not_pass(
    tmp_path: Path, mode: str, body: bytes, headers: Mapping[str, str], path: str
) -> None:
    """No JSON, two values for one key, another charset, an encoding that is not known or is broken: 400."""
    with scrubbing(tmp_path, mode) as chain:
        flow = await ask(chain, body, headers=[(k.encode(), v.encode()) for k, v in headers.items()], path=path)
        assert refusal(flow)[0] == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/files"])
async def test_too_large_to_be_read(tmp_path: Path, path: str) -> None:
    """413, with the config key, as it came or decoded: a bomb is not held."""
    with scrubbing(tmp_path, max_body=1000) as chain:
        status, why = refusal(await ask(chain, b" " * 1001, path=path))
        assert (status, "scrub.max_body" in why) == (413, True)
        bomb = gzip.compress(b" " * 50_000_000)
        assert refusal(await ask(chain, bomb, headers=[(b"content-encoding", b"gzip")], path=path))[0] == 413


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstd.compress),
        ("gzip, br", lambda b: brotli.compress(gzip.compress(b))),
    ],
)
async def test_compressed_bodies(tmp_path: Path, encoding: str, pack: Any) -> None:
    """Decoded before they are scanned; what was changed goes on as it is."""
    with scrubbing(tmp_path) as chain:
        packed = pack(json.dumps(body_of()).encode())
        headers = [(b"content-encoding", encoding.encode()), (b"transfer-encoding", b"chunked"), (b"content-md5", b"x")]
        flow = await ask(chain, packed, headers=headers)
        assert sent(flow)["messages"][0]["content"] == f"my key is {NAME}"
        assert not {"content-encoding", "transfer-encoding", "content-md5"} & set(flow.request.headers)


async def test_an_answer_that_is_encoded_all_the_same(tmp_path: Path) -> None:
    """Decoded, restored, and sent on without encoding."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of())
        packed = gzip.compress(message({"type": "text", "text": NAME}))
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        out = send_answer(chain, flow, [packed[:9], packed[9:]], headers=headers)
        assert json.loads(out)["content"][0]["text"] == SECRET
        assert flow.response is not None
        assert "content-encoding" not in flow.response.headers


LEAKS: dict[str, dict[str, Any]] = {
    "a key named metadata or model in a tool's input": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t", "name": "n", "input": {"metadata": {"model": SECRET}, "model": SECRET}}
                ],
            }
        ]
    },
    "a key of an object": {
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {SECRET: {SECRET: 1}}}]}
        ]
    },
    "a tool's description": {"tools": [{"name": "mcp__a", "description": f"use {SECRET}", "input_schema": {}}]},
    "the system prompt": {"system": [{"type": "text", "text": SECRET, "cache_control": {"type": "ephemeral"}}]},
    "a tool's result": {
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": SECRET}]}
        ]
    },
    "next to a lone surrogate": {"messages": [{"role": "user", "content": f"\ud83d {SECRET}"}]},
    "in Base64": {"messages": [{"role": "user", "content": base64.b64encode(SECRET.encode()).decode()}]},
    "a key cut short": {"messages": [{"role": "user", "content": f"key:\n{PEM}"}]},
    "a key with line numbers": {
        "messages": [
            {"role": "user", "content": "".join(f"{n:6}→{line}\n" for n, line in enumerate(PEM.splitlines(), 1))}
        ]
    },
    "an unknown field": {"future": {"deep": [SECRET]}},
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_leaks_in_the_field(tmp_path: Path, leak: str, path: str) -> None:
    """Places and spellings that others let through, on both inference paths."""
    body = json.dumps({**body_of("hello"), **LEAKS[leak]}).encode()
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body, path=path)
        left = json.dumps(sent(flow))
        assert SECRET not in left
        assert base64.b64encode(SECRET.encode()).decode()[:40] not in left
        assert "MIIEpAIBAAKCAQEA" not in left
    with scrubbing(tmp_path, "block") as chain:
        assert refusal(await ask(chain, body, path=path))[0] == 400


async def test_an_edit_gets_the_key_as_it_is_in_the_file(tmp_path: Path) -> None:
    """Read showed line numbers; the Edit that the model makes of it has none."""
    shown = "".join(
        f"{n:6}→{line}\n" for n, line in enumerate(["# key", *PEM.splitlines(), "-----END RSA PRIVATE KEY-----"], 1)
    )
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of(shown))
        text = sent(flow)["messages"][0]["content"]
        name = text.partition("→<")[2].partition(">")[0] if "→<" in text else ""
        edit = {"type": "tool_use", "id": "t", "name": "Edit", "input": {"old_string": f"<{name}>"}}
        out = json.loads(send_answer(chain, flow, [message(edit)]))
        assert out["content"][0]["input"]["old_string"] == f"{PEM}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("mode", ["pseudonymize", "block"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages/batches", json.dumps({"requests": [{"custom_id": "a", "params": body_of()}]}).encode()),
        ("/v1/files", b"--x\r\n\r\n" + SECRET.encode() + b"\r\n--x--"),
        ("/v1/complete", json.dumps({"prompt": SECRET}).encode()),
        ("/v1/x", b'{"a":1,"a":"' + SECRET.encode() + b'"}'),
        ("/v1/x", f'{{"a":"{SECRET.replace("_", chr(92) + "u005f")}"}}\n{{}}'.encode()),
        ("/v1/x", SECRET.encode("utf-16")),
    ],
)
async def test_other_paths_are_never_rewritten(tmp_path: Path, mode: str, path: str, body: bytes) -> None:
    """Batches, files, other APIs: a finding is refused, JSON or not, compressed or not."""
    with scrubbing(tmp_path, mode) as chain:
        status, why = refusal(await ask(chain, body, path=path))
        assert status == 400
        assert SECRET not in why
        packed = await ask(chain, gzip.compress(body), path=path, headers=[(b"content-encoding", b"gzip")])
        assert refusal(packed)[0] == 400
        clean = await ask(chain, b"\x00\xff hello", path=path)
        assert clean.request.data.content == b"\x00\xff hello"
        assert clean.response is None


@pytest.mark.parametrize("path", [f"/v1/models?key={SECRET}", f"/v1/messages?x=%67{SECRET[1:]}", f"/v1/files/{SECRET}"])
async def test_urls(tmp_path: Path, path: str) -> None:
    """A finding in a path or a query is refused, and not recorded."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of("hi") if "messages" in path else b"", path=path)
        status, why = refusal(flow)
        assert (status, "the URL" in why) == (400, True)
        assert SECRET[8:] not in flow.request.path
        send_answer(chain, flow)
        assert SECRET[8:] not in json.dumps(flow.metadata["sluicegate"])


async def test_a_plain_host_that_is_no_provider(tmp_path: Path) -> None:
    """What a client says to others through the regular door is not ours to read."""
    with scrubbing(tmp_path) as chain:
        where = {"mode": "regular", "origin": (False, "example.com", 80), "path": "/login"}
        flow = await ask(chain, SECRET.encode(), **where)
        assert flow.request.data.content == SECRET.encode()


async def test_turns_are_the_same(tmp_path: Path) -> None:
    """Within a session, and without one, a turn starts with the bytes of the turn before; a restart changes nothing."""
    second = [
        *body_of()["messages"],
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": f"{OTHER} {SECRET}"},
    ]
    for headers in ([(b"x-claude-code-session-id", b"abc")], []):
        with scrubbing(tmp_path) as chain:
            first = sent(await ask(chain, body_of(), headers=headers))
        with scrubbing(tmp_path) as chain:
            later = sent(await ask(chain, {**body_of(), "messages": second}, headers=headers))
        assert later["messages"][0] == first["messages"][0]
        assert later["messages"][2]["content"] == f"<GITHUB_TOKEN_2> {NAME}"


async def test_a_cleared_tool_result_leaves_its_name_alone(tmp_path: Path) -> None:
    """The first key is gone from the body: the second keeps its name, and the first one's restores nothing."""
    headers = [(b"x-claude-code-session-id", b"abc")]
    with scrubbing(tmp_path) as chain:
        await ask(chain, body_of(f"{SECRET} {OTHER}"), headers=headers)
        flow = await ask(chain, body_of(f"[cleared] {OTHER}"), headers=headers)
        assert sent(flow)["messages"][0]["content"] == "[cleared] <GITHUB_TOKEN_2>"
        out = json.loads(send_answer(chain, flow, [message({"type": "text", "text": f"{NAME} <GITHUB_TOKEN_2>"})]))
        assert out["content"][0]["text"] == f"{NAME} {OTHER}"


async def test_many_requests_of_a_session_at_once(tmp_path: Path) -> None:
    """Fourteen count_tokens at the same time agree about the names."""
    with scrubbing(tmp_path) as chain:
        headers = [(b"x-claude-code-session-id", b"abc")]
        flows = await asyncio.gather(
            *(ask(chain, body_of(f"{n} {OTHER if n % 2 else SECRET}"), headers=headers) for n in range(14))
        )
        names = {sent(f)["messages"][0]["content"].partition(" ")[2] for f in flows}
        assert names == {NAME, "<GITHUB_TOKEN_2>"}


async def test_hmac_numbering_keeps_nothing(tmp_path: Path) -> None:
    """Names are keyed hashes: no file but the key's."""
    with scrubbing(tmp_path, numbering="hmac") as chain:
        text = sent(await ask(chain, body_of()))["messages"][0]["content"]
        assert text.startswith("my key is <GITHUB_TOKEN_HMAC:")
        assert {p.name for p in tmp_path.iterdir()} == {"scrub.key"}


async def test_plain_style(tmp_path: Path) -> None:
    """Names without brackets come back as well."""
    with scrubbing(tmp_path, style="plain") as chain:
        flow = await ask(chain, body_of())
        assert sent(flow)["messages"][0]["content"] == "my key is GITHUB_TOKEN_x00000001"
        out = send_answer(chain, flow, [message({"type": "text", "text": "GITHUB_TOKEN_x00000001!"})])
        assert json.loads(out)["content"][0]["text"] == f"{SECRET}!"


async def test_tool_policy_of_the_configuration(tmp_path: Path) -> None:
    """The record counts what the configuration withholds."""
    with scrubbing(tmp_path, tools={"Read": False, "mcp__fs__*": True}) as chain:
        flow = await ask(chain, body_of())
        blocks = [{"type": "tool_use", "id": "t", "name": n, "input": {"a": NAME}} for n in ("Read", "mcp__fs__x", "Edit")]
        out = json.loads(send_answer(chain, flow, [message(*blocks)]))
        assert [b["input"]["a"] for b in out["content"]] == [NAME, SECRET, SECRET]
        assert flow.metadata["sluicegate"]["scrub"]["withheld"] == {"Read": 1}


@pytest.mark.parametrize(("status", "kind"), [(400, "application/json"), (200, "text/html"), (529, "application/json")])
async def test_answers_that_are_no_messages_keep_their_bytes(tmp_path: Path, status: int, kind: str) -> None:
    """Errors go on as the provider wrote them."""
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of())
        body = json.dumps({"type": "error", "error": {"type": "x", "message": NAME}}).encode()
        assert send_answer(chain, flow, [body], status=status, headers={"content-type": kind}) == body


async def test_a_stream_comes_back(tmp_path: Path) -> None:
    """Server-sent events, cut anywhere."""
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{NAME}."}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    stream = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (start, delta))
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of(stream=True))
        pieces = [stream[i : i + 7] for i in range(0, len(stream), 7)]
        out = send_answer(chain, flow, pieces, headers={"content-type": "text/event-stream; charset=utf-8"})
        assert f"{SECRET}.".encode() in out


# -- the key, the store
def build(tmp_path: Path, environ: Mapping[str, str] | None = None, **more: Any) -> Scrubber:
    from sluicegate.services.services import Services

    scrub = Scrub(mode="pseudonymize", key=more.pop("key", None), numbering=more.pop("numbering", "ranked"))
    return Scrubber(Settings(scrub=scrub, state_dir=tmp_path, **more), Services(environ or {}))


@pytest.mark.parametrize("value", ["", "abc", "g" * 64, "a" * 63, "a" * 65, " " + "a" * 64])
def test_a_malformed_key_is_refused(tmp_path: Path, value: str) -> None:
    """The gate does not start, and the message names the key and not the value."""
    with pytest.raises(ConfigError, match=r"scrub\.key") as refused:
        build(tmp_path, {"K": value}, key=Secret.parse("env:K"))
    assert not value.strip() or value not in str(refused.value)


def test_without_a_key_one_is_made_once(tmp_path: Path) -> None:
    """64 hexadecimal characters, 0600, the same at the next start."""
    first = build(tmp_path).toolkit.key
    assert len(first) == 32
    assert stat.S_IMODE((tmp_path / "scrub.key").stat().st_mode) == 0o600
    assert build(tmp_path).toolkit.key == first
    (tmp_path / "scrub.key").write_text("spoilt")
    with pytest.raises(ConfigError, match=r"scrub\.key"):
        build(tmp_path)


def test_a_shared_store_needs_a_given_key(tmp_path: Path) -> None:
    """Machines that number together must name alike."""
    with pytest.raises(ConfigError, match="all machines need the same key"):
        build(tmp_path, store="redis://h")
    for numbering, kept in (("ranked", RedisPlaceholderNumbers), ("hmac", type(None))):
        toolkit = build(
            tmp_path, {"K": "ab" * 32}, key=Secret.parse("env:K"), store="redis://h", numbering=numbering
        ).toolkit
        assert toolkit.key == b"\xab" * 32
        assert isinstance(toolkit.numbers, kept)


async def test_a_store_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No numbers, no request: 503, an alarm, and no body on the flow."""

    async def down(*_: object) -> Any:
        raise StoreError("disk full")

    monkeypatch.setattr(SqlitePlaceholderNumbers, "assign", down)
    with scrubbing(tmp_path) as chain:
        assert refusal(await ask(chain, body_of()))[0] == 503
        assert chain.services.alarms["scrub.store"] == 1


async def test_a_conversation_with_too_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is asked to start a new conversation."""
    monkeypatch.setattr("sluicegate.stores.placeholder_numbers.base.MAX_VALUES", 0)
    with scrubbing(tmp_path) as chain:
        status, why = refusal(await ask(chain, body_of()))
        assert (status, "start a new conversation" in why) == (400, True)
    assert MAX_VALUES > 0


async def test_a_bug_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while scanning, hiding or restoring: 500, or a broken stream; never the request as it was."""
    for what in ("DocumentScan", "clear_url", "hide_headers", "conversation_id"):
        with monkeypatch.context() as m, scrubbing(tmp_path) as chain:
            m.setattr(f"sluicegate.stages.scrubber.stage.{what}", lambda *_, **__: 1 / 0)
            assert refusal(await ask(chain, body_of()))[0] == 500
    with scrubbing(tmp_path) as chain:
        flow = await ask(chain, body_of())
        x = exchange_of(flow)
        assert x is not None
        monkeypatch.setattr("sluicegate.core.redact.restore.json_answer.JsonAnswerRestorer.feed", lambda *_: 1 / 0)
        assert send_answer(chain, flow, [message()]) == b""
        assert x.taps.broken is not None
