"""`sluicegate cache`, stats, monitor, price, usage: as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from typer.testing import CliRunner

from kits.gatekit import (
    BIN,
    Gate,
    Simulator,
    clean_env,
    wait_until,
)
from sluicegate.cli import app
from sluicegate.cli.table import (
    age,
    money,
    rows,
    size,
)
from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.base import Entry, Head, Limits
from sluicegate.stores.cache.encryption import BodyEncryption
from sluicegate.stores.cache.sqlite import SqliteCache

pytestmark = pytest.mark.e2e

CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM:-http://u.test}"}}
audit: {log: "off"}
state_dir: "${STATE}"
cache: {mode: normalized, snippet: true, strip: {system: ["date: .*"]}}
"""
ANSWER = b'{"type":"message","content":[{"type":"text","text":"the answer\\u001b[31m"}]}\x1b'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gate.yaml").write_text(CONFIG)
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0, **env: str) -> str:
    """In this process: starting Python takes longer than the commands."""
    environment = {
        **dict.fromkeys(os.environ),
        **clean_env({"STATE": str(folder), "SLUICEGATE_STATE_DIR": str(folder), **env}),
    }
    done = CliRunner().invoke(app, list(arguments), env=environment)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout if code == 0 else done.output


def cache(folder: Path, *arguments: str, code: int = 0, **env: str) -> str:
    return run(folder, "cache", *arguments, "--config", str(folder / "gate.yaml"), code=code, **env)


def keep(folder: Path, *keys: str, encryption: BodyEncryption | None = None) -> None:
    async def put() -> None:
        store = SqliteCache(folder / "cache.sqlite", Limits())
        for key in keys:
            head = Head("claude-haiku-4-5", tokens=(10, 5, 0, 0, 0), cost_usd=0.25, snippet="what is asked")
            entry = Entry(key.ljust(64, "0"), time.time(), time.time() + 3600, head, ANSWER)
            await store.put(encryption.encrypt(entry) if encryption else entry)
        await store.close()

    asyncio.run(put())


def test_list_show_and_remove(folder: Path) -> None:
    """In 80 columns; by the first digits of a key; what would steer a terminal is not printed."""
    assert cache(folder, "list") == "the cache is empty\n"
    keep(folder, "ab1", "ab2", "cd")
    listed = cache(folder, "list")
    assert len(listed.splitlines()) == 1 + 3 + 1 + 3
    assert max(map(len, listed.splitlines())) <= 80
    assert "what is asked" in listed
    assert "$0.2500" in listed
    assert "cd0000000000" not in cache(folder, "list", "ab")
    shown = cache(folder, "show", "cd")
    assert "the answer" in shown
    assert "claude-haiku-4-5" in shown
    assert "\x1b" not in shown
    assert "matches several keys" in cache(folder, "show", "ab", code=1)
    assert "no entry matches" in cache(folder, "show", "ff", code=1)
    assert cache(folder, "rm", "ab") == "deleted 2 entries\n"
    assert "--all" in cache(folder, "rm", code=2)
    assert cache(folder, "rm", "--all") == "deleted 1 entry\n"


def test_the_recorded_bytes(folder: Path) -> None:
    """`show --body` writes them as they are, for other programs."""
    keep(folder, "ab")
    environment = clean_env({"STATE": str(folder)})
    command = [str(BIN / "sluicegate"), "cache", "show", "ab", "--body", "--config", str(folder / "gate.yaml")]
    assert subprocess.run(command, env=environment, capture_output=True, timeout=60).stdout == ANSWER


def test_what_a_provider_says_does_not_steer_the_terminal(folder: Path) -> None:
    """Its model's name, its headers, its tools' names: shown without control characters."""

    async def put() -> None:
        store = SqliteCache(folder / "cache.sqlite", Limits())
        evil = "\x1b[2J\x9b31m"
        head = Head(f"m{evil}", headers=(("x-said", evil),), tools=(evil,), stop_reason=evil, snippet="s")
        await store.put(Entry("ab".ljust(64, "0"), time.time(), time.time() + 3600, head, ANSWER))
        await store.close()

    asyncio.run(put())
    for arguments in (["list"], ["show", "ab"]):
        said = cache(folder, *arguments)
        assert "m?[2J" in said
        assert not {c for c in said if not c.isprintable() and c != "\n"}


def test_encrypted_entries(folder: Path) -> None:
    """With the configuration's key they are shown; without it the command says so."""
    keep(folder, "ab", encryption=BodyEncryption("s3cret"))
    assert "cannot be decrypted" in cache(folder, "show", "ab", code=2)
    (folder / "gate.yaml").write_text(CONFIG.replace("snippet: true", "encrypt_key: env:CACHE_KEY"))
    assert "the answer" in cache(folder, "show", "ab", CACHE_KEY="s3cret")
    assert "is not set" in cache(folder, "show", "ab", code=2)


def write(folder: Path, name: str, **fields: Any) -> str:
    body = {"model": "m", "system": "be brief", "messages": [{"role": "user", "content": "hi"}], **fields}
    (folder / name).write_text(json.dumps(body))
    return str(folder / name)


def test_keys_of_saved_requests(folder: Path) -> None:
    """Equal for what the cache takes for equal; a stateful request has none."""
    one = write(folder, "one.json", metadata={"user_id": "1"}, system="be brief\ndate: 1")
    two = write(folder, "two.json", metadata={"user_id": "2"}, system="be brief\ndate: 2")
    first, second = (cache(folder, "key", file).splitlines()[1:] for file in (one, two))
    assert first[0] != second[0]
    assert first[1:] == second[1:]
    assert cache(folder, "key", one, "-H", "x-api-key: a") != cache(folder, "key", one, "-H", "x-api-key: b")
    assert "no key: the request has container" in cache(folder, "key", write(folder, "c.json", container="c"))


def test_where_two_requests_differ(folder: Path) -> None:
    """The path and both values; nothing that the key leaves out."""
    one = write(folder, "one.json", metadata={"user_id": "1"})
    two = write(folder, "two.json", metadata={"user_id": "2"})
    assert "the same" in cache(folder, "key", "--diff", one, two)
    three = write(folder, "three.json", messages=[{"role": "user", "content": "ho"}])
    said = cache(folder, "key", "--diff", one, three, code=1)
    assert "messages[0].content" in said
    assert '"hi"' in said
    assert '"ho"' in said
    assert "two files" in cache(folder, "key", "--diff", one, code=2)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG, regular=True) as gate:
        body = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "what is asked"}]}
        for _ in range(2):
            gate.post("/v1/messages", body, {"x-api-key": "k"})
        yield gate


def test_a_difference_does_not_steer_the_terminal(folder: Path) -> None:
    """Texts of requests are shown without control characters, those that turn the writing round included."""
    for name, text in (("a", "hi"), ("b", "hi \u202e\x9b31m")):
        (folder / name).write_text(json.dumps({"messages": [{"role": "user", "content": text}], "\u202ek": text}))
    said = cache(folder, "key", "--diff", str(folder / "a"), str(folder / "b"), code=1)
    assert "hi ??31m" in said
    for name, inner in (("a", "1"), ("b", "2")):
        (folder / name).write_text('{"x":' + "[" * 900 + inner + "]" * 900 + "}")
    assert "nested too deeply" in cache(folder, "key", "--diff", str(folder / "a"), str(folder / "b"), code=2)


def test_stats(gate: Gate) -> None:
    """The running gate is found by itself; tables in 80 columns; savings since the start and of all time."""
    said = run(gate.state_dir, "stats")
    assert "HIT 1, MISS 1" in said
    assert "since start" in said
    assert "hits, all time" in said
    assert "claude-haiku-4-5" in said
    assert max(map(len, said.splitlines())) <= 80
    assert json.loads(run(gate.state_dir, "stats", "--json", "--url", gate.url))["run"]["cache"]["labels"]["HIT"] == 1


def test_the_key_of_a_request_is_the_key_of_its_entry(gate: Gate, tmp_path: Path) -> None:
    """`cache key` with the request's own headers names what `cache list` lists."""
    body = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "what is asked"}]}
    (tmp_path / "asked.json").write_text(json.dumps(body))
    config = ["--config", str(gate.config_file)]
    said = run(gate.state_dir, "cache", "key", str(tmp_path / "asked.json"), "-H", "x-api-key: k", *config)
    normalized = next(line.split()[1] for line in said.splitlines() if "normalized" in line)
    assert normalized[:12] in run(gate.state_dir, "cache", "list", *config)


def test_without_a_gate(tmp_path: Path) -> None:
    """One line that says what to do."""
    assert "no gate is running on this machine; start one with `sluicegate run`, or point to one with --url" in run(
        tmp_path, "stats", code=2
    )
    assert "no gate answers" in run(tmp_path, "monitor", "--url", "http://127.0.0.1:1", code=2)
    assert "--url: expected" in run(tmp_path, "stats", "--url", "ftp://x", code=2)


def test_monitor(gate: Gate) -> None:
    """A line per call: number, label, model, tokens, dollars, milliseconds, and the snippet that was opted in."""
    environment = clean_env({"SLUICEGATE_STATE_DIR": str(gate.state_dir), "STATE": str(gate.state_dir)})
    command = [str(BIN / "sluicegate"), "monitor", "--count", "1"]
    watching = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    body = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "what is asked"}]}

    def served() -> bool:
        gate.post("/v1/messages", body, {"x-api-key": "k"})
        return watching.poll() is not None

    wait_until(served, "the monitor to have seen a call", timeout_s=60)
    assert watching.stdout
    line = watching.stdout.read()
    assert "HIT" in line
    assert "claude-haiku-4-5" in line
    assert "what is asked" in line
    assert "saved $" in line


def test_price_and_usage(folder: Path) -> None:
    """Of the built-in table and of the configuration; of a document and of a stream."""
    assert "input" in run(folder, "price", "claude-haiku-4-5")
    assert "no price known for 'nobody-knows-this' of anthropic" in run(folder, "price", "nobody-knows-this", code=1)
    assert "there is one with --kind openai" in run(folder, "price", "gpt-5", code=1)
    (folder / "prices.yaml").write_text("prices: {'nobody-*': {input: 3, output: 15}}")
    own = run(folder, "price", "nobody-knows-this", "--config", str(folder / "prices.yaml"))
    assert [line.split()[-1] for line in own.splitlines()[1:3]] == ["3", "15"]
    usage = {"input_tokens": 1000, "output_tokens": 100}
    document = {"type": "message", "model": "claude-haiku-4-5", "stop_reason": "end_turn", "usage": usage}
    (folder / "a.json").write_text(json.dumps(document))
    (folder / "a.sse").write_text(
        f"event: message_start\ndata: {json.dumps({'type': 'message_start', 'message': document})}\n\n"
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    for name in ("a.json", "a.sse"):
        said = run(folder, "usage", str(folder / name))
        assert "$0.001500" in said
        assert "1000" in said
    (folder / "b").write_text("hello")
    assert "not a response of the Messages API" in run(folder, "usage", str(folder / "b"), code=1)


async def test_explore(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns and without colour: arrows move, enter shows, d deletes, q quits."""
    from sluicegate.cli.explore import EntryScreen, Explorer
    from sluicegate.settings import load

    monkeypatch.setenv("NO_COLOR", "1")
    await asyncio.to_thread(keep, folder, "ab", "cd")
    explorer = Explorer(load(folder / "gate.yaml", {**os.environ, "STATE": str(folder)}))
    async with explorer.run_test(size=(80, 24)) as pilot:
        assert explorer.table.row_count == 2
        await pilot.press("down", "enter")
        await pilot.pause()
        assert isinstance(explorer.screen, EntryScreen)
        assert "the answer" in explorer.screen.text
        await pilot.press("d", "y")
        await pilot.pause()
        assert not isinstance(explorer.screen, EntryScreen)  # what is shown is gone
        assert explorer.table.row_count == 1
        broken = AsyncMock(side_effect=StoreError("the disk is full"))
        monkeypatch.setattr(SqliteCache, "delete", broken)
        monkeypatch.setattr(SqliteCache, "get", broken)
        await pilot.press("d", "y", "enter")
        await pilot.pause()
        assert {n.message for n in explorer._notifications} == {"the disk is full"}
        assert explorer.table.row_count == 1
        await pilot.press("q")
    store = SqliteCache(folder / "cache.sqlite")
    assert len(await store.listing()) == 1
    await store.close()


def test_explore_without_a_terminal(folder: Path) -> None:
    """In a pipe it ends at once, and says what does without."""
    assert "needs a terminal; `sluicegate cache list`" in cache(folder, "explore", code=2)


def test_tables() -> None:
    """Columns line up; numbers as people read them."""
    assert rows([("a", "1"), ("bb", "22")], "lr") == "a    1\nbb  22"
    assert [size(n) for n in (5, 5000, 5_000_000, 5e9)] == ["5 B", "5 kB", "5 MB", "5.0 GB"]
    assert [age(s) for s in (-1, 5, 90, 7200, 200_000)] == ["0s", "5s", "1m", "2h", "2d"]
    assert [money(v) for v in (None, 0.25, 1234)] == ["?", "$0.2500", "$1,234"]
