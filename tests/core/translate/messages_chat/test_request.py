"""core/translate/messages_chat/request.py and what it is made of: a Messages request for a Chat Completions provider."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluicegate.core.translate.pairs import (
    FLAVOURS,
    GENERIC,
    Flavour,
    Malformed,
    MessagesToChat,
    Policy,
    Unsupported,
)

Json = dict[str, Any]
OPENAI = FLAVOURS["openai"]
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
CACHED = {"cache_control": {"type": "ephemeral"}}
LONG = "mcp__a_server_with_a_very_long_name_indeed__and_a_tool_with_a_longer_one"
SHORT = f"{LONG[:51]}_{hashlib.sha256(LONG.encode()).hexdigest()[:12]}"
HASHED_ID = "call_" + hashlib.sha256(b"functions.bash:0").hexdigest()[:24]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "weather", "description": "Says the weather.", "input_schema": SCHEMA}
FUNCTION = {"name": "weather", "description": "Says the weather.", "parameters": SCHEMA}
HELLO = [{"role": "user", "content": "hello"}]


def user(*content: Any) -> Json:
    return {"role": "user", "content": list(content)}


def says(*content: Any) -> Json:
    return {"role": "assistant", "content": list(content)}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def use(id: str, name: str = "weather", **given: Any) -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def result(id: str, content: Any = "sunny", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def call(id: str, arguments: str = "{}", name: str = "weather") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(id: str, content: str = "sunny") -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content}


CALLED = {"role": "assistant", "content": None, "tool_calls": [call("t1")]}


@dataclass
class Row:
    """One row or trap of the table: what the client sends, what the provider gets (None: not there)."""

    name: str
    given: Json
    wanted: Json
    dropped: tuple[str, ...] = ()
    flavour: Flavour = GENERIC
    model: str = "llama-3.3-70b"
    messages: list[Json] = field(default_factory=lambda: HELLO)


ROWS = [
    # system
    Row("a system string", {"system": "Be brief."}, {"messages": [{"role": "system", "content": "Be brief."}, *HELLO]}),
    Row(
        "system blocks become one text",
        {"system": [text("Be brief."), text("Be kind.")]},
        {"messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, *HELLO]},
    ),
    Row(
        "the attribution block is dropped",
        {"system": [text("x-anthropic-billing-header: cc_version=2.1.197.c40; cch=1;"), text("You are an agent.")]},
        {"messages": [{"role": "system", "content": "You are an agent."}, *HELLO]},
        ("attribution",),
    ),
    Row(
        "nothing but attribution leaves no system message",
        {"system": "x-anthropic-billing-header: cc_version=2.1.197.c40;"},
        {"messages": HELLO},
        ("attribution",),
    ),
    Row(
        "a system turn in mid-conversation stays in place",
        {},
        {"messages": [*HELLO, {"role": "system", "content": "Now French."}, {"role": "user", "content": "bye"}]},
        messages=[*HELLO, {"role": "system", "content": "Now French."}, user(text("bye"))],
    ),
    # cache_control
    Row(
        "cache_control is stripped everywhere",
        {"system": [text("a") | CACHED], "tools": [TOOL | CACHED], **CACHED},
        {
            "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, CALLED, tool("t1", "c")],
            "tools": [{"type": "function", "function": FUNCTION}],
            "cache_control": None,
        },
        ("cache_control",),
        messages=[user(text("b") | CACHED), says(use("t1") | CACHED), user(result("t1", [text("c") | CACHED]) | CACHED)],
    ),
    # tool_use
    Row(
        "content is null where a turn only calls",
        {},
        {"messages": [*HELLO, CALLED, tool("t1")]},
        messages=[*HELLO, says(use("t1")), user(result("t1"))],
    ),
    Row(
        "text and parallel calls are one turn",
        {},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": "I look.", "tool_calls": [call("t1", '{"city":"Oslo"}'), call("t2")]},
                tool("t1"),
                tool("t2", "rain"),
            ]
        },
        messages=[
            *HELLO,
            says(text("I look."), use("t1", city="Oslo"), use("t2")),
            user(result("t1"), result("t2", "rain")),
        ],
    ),
    Row(
        "names over 64 characters are hashed, everywhere the same",
        {"tools": [TOOL | {"name": LONG}], "tool_choice": {"type": "tool", "name": LONG}},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call("t1", name=SHORT)]},
                tool("t1"),
            ],
            "tools": [{"type": "function", "function": FUNCTION | {"name": SHORT}}],
            "tool_choice": {"type": "function", "function": {"name": SHORT}},
        },
        messages=[*HELLO, says(use("t1", LONG)), user(result("t1"))],
    ),
    Row(
        "ids of calls that a server would refuse are hashed, call and result alike",
        {},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call(HASHED_ID)]},
                tool(HASHED_ID),
            ]
        },
        messages=[*HELLO, says(use("functions.bash:0")), user(result("functions.bash:0"))],
    ),
    Row(
        "Mistral's ids are nine letters and digits",
        {},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call("MKFUTWLNZ")]},
                tool("MKFUTWLNZ"),
            ]
        },
        flavour=FLAVOURS["mistral"],
        messages=[*HELLO, says(use("t1")), user(result("t1"))],
    ),
    # tool_result
    Row(
        "a run of results is contiguous, behind the calls, before what stood between",
        {},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call("t1"), call("t2")]},
                tool("t1"),
                tool("t2"),
                {"role": "system", "content": "Hurry."},
                {"role": "user", "content": "and?"},
            ]
        },
        messages=[
            *HELLO,
            says(use("t1"), use("t2")),
            user(result("t1")),
            {"role": "system", "content": "Hurry."},
            user(text("and?"), result("t2")),
        ],
    ),
    Row(
        "an image in a result moves to the next user message, before its text",
        {},
        {
            "messages": [
                *HELLO,
                CALLED,
                tool("t1", "done"),
                {"role": "user", "content": [PNG_PART, {"type": "text", "text": "see?"}]},
            ]
        },
        messages=[
            *HELLO,
            says(use("t1")),
            user(result("t1", [text("done"), {"type": "image", "source": PNG}]), text("see?")),
        ],
    ),
    Row(
        "a PDF in a result moves, and the result says so where it has no text",
        {},
        {
            "messages": [
                *HELLO,
                CALLED,
                tool("t1", "See the attachment in the next message."),
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                        }
                    ],
                },
            ]
        },
        messages=[*HELLO, says(use("t1")), user(result("t1", [{"type": "document", "source": PDF}]))],
    ),
    Row(
        "is_error becomes a prefix",
        {},
        {"messages": [*HELLO, CALLED, tool("t1", "Error: no such city")]},
        messages=[*HELLO, says(use("t1")), user(result("t1", "no such city", is_error=True))],
    ),
    Row(
        "a result without content is empty",
        {},
        {"messages": [*HELLO, CALLED, tool("t1", "")]},
        messages=[*HELLO, says(use("t1")), user({"type": "tool_result", "tool_use_id": "t1"})],
    ),
    Row(
        "a reference to a tool becomes text",
        {},
        {"messages": [*HELLO, CALLED, tool("t1", "The tool grep is available.")]},
        messages=[*HELLO, says(use("t1")), user(result("t1", [{"type": "tool_reference", "tool_name": "grep"}]))],
    ),
    # tools
    Row(
        "type custom and defer_loading are dropped",
        {"tools": [TOOL | {"type": "custom", "defer_loading": True}]},
        {"tools": [{"type": "function", "function": FUNCTION}]},
        ("tools[].defer_loading",),
    ),
    Row(
        "a schema without properties gets them",
        {"tools": [{"name": "now", "input_schema": {"type": "object"}}]},
        {"tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]},
    ),
    Row("tool_choice auto", {"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}),
    Row("tool_choice any", {"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
    Row("tool_choice none", {"tools": [TOOL], "tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
    Row(
        "disable_parallel_tool_use",
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": False},
    ),
    Row(
        "no choice without tools",
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"tool_choice": None, "parallel_tool_calls": None},
    ),
    # thinking
    Row(
        "thinking in a turn is dropped, with its signature, never made content",
        {},
        {"messages": [*HELLO, {"role": "assistant", "content": "Yes."}, *HELLO]},
        ("thinking",),
        messages=[
            *HELLO,
            says(
                {"type": "thinking", "thinking": "hmm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "x"},
                text("Yes."),
            ),
            *HELLO,
        ],
    ),
    Row(
        "thinking goes to reasoning_content where the server wants it back, without its signature",
        {},
        {"messages": [*HELLO, {"role": "assistant", "content": "Yes.", "reasoning_content": "hmm"}, *HELLO]},
        flavour=FLAVOURS["deepseek"],
        messages=[*HELLO, says({"type": "thinking", "thinking": "hmm", "signature": "c2ln"}, text("Yes.")), *HELLO],
    ),
    Row(
        "a turn of nothing but thinking is left out",
        {},
        {"messages": [*HELLO, *HELLO]},
        ("thinking",),
        messages=[*HELLO, says({"type": "thinking", "thinking": "hmm", "signature": "c2ln"}), *HELLO],
    ),
    *(
        Row(
            f"a budget of {budget} is {effort}",
            {"thinking": {"type": "enabled", "budget_tokens": budget}},
            {"reasoning_effort": effort, "thinking": None},
        )
        for budget, effort in [
            (1024, "minimal"),
            (1025, "low"),
            (2048, "low"),
            (2049, "medium"),
            (8192, "medium"),
            (8193, "high"),
            (24576, "high"),
            (24577, "xhigh"),
        ]
    ),
    Row(
        "effort is kept, and wins over a budget",
        {"output_config": {"effort": "high"}, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"reasoning_effort": "high", "output_config": None},
    ),
    Row(
        "adaptive thinking alone asks for no effort",
        {"thinking": {"type": "adaptive"}},
        {"reasoning_effort": None},
        ("thinking",),
    ),
    Row(
        "thinking that is switched off is switched off",
        {"thinking": {"type": "disabled"}},
        {"reasoning_effort": "none"},
        flavour=OPENAI,
        model="gpt-5.2",
    ),
    Row(
        "effort is clamped to what the model takes",
        {"output_config": {"effort": "max"}},
        {"reasoning_effort": "high"},
        flavour=OPENAI,
        model="o3",
    ),
    Row(
        "effort is dropped for models without it",
        {"output_config": {"effort": "high"}},
        {"reasoning_effort": None},
        ("thinking",),
        flavour=OPENAI,
        model="gpt-4o",
    ),
    Row(
        "models that take tools only without reasoning get none",
        {"output_config": {"effort": "high"}, "tools": [TOOL]},
        {"reasoning_effort": "none"},
        ("thinking",),
        flavour=OPENAI,
        model="gpt-5.6",
    ),
    # max_tokens, stops, sampling
    Row("max_tokens for others", {}, {"max_tokens": 100, "max_completion_tokens": None}),
    Row("max_tokens for OpenAI", {}, {"max_tokens": None, "max_completion_tokens": 100}, flavour=OPENAI),
    Row(
        "stop sequences, without those of whitespace",
        {"stop_sequences": ["a", " \n", "b"]},
        {"stop": ["a", "b"], "stop_sequences": None},
        ("stop_sequences[] of whitespace",),
    ),
    Row("temperature and top_p are kept", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
    Row("top_k is dropped", {"top_k": 5}, {"top_k": None}, ("top_k",)),
    Row(
        "models that refuse sampling parameters get none",
        {"temperature": 0.5, "top_p": 0.9},
        {"temperature": None, "top_p": None},
        ("temperature", "top_p"),
        flavour=OPENAI,
        model="gpt-5-mini",
    ),
    # metadata
    Row(
        "user_id is hashed, without the session that Claude Code puts there",
        {"metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'}},
        {"safety_identifier": hashlib.sha256(b'{"device_id":"d","account_uuid":""}').hexdigest(), "metadata": None},
        ("metadata",),
    ),
    Row(
        "no safety_identifier for servers that refuse it",
        {"metadata": {"user_id": "me"}},
        {"safety_identifier": None},
        ("metadata",),
        flavour=FLAVOURS["mistral"],
    ),
    # output format
    Row(
        "json_schema becomes a strict response_format, closed",
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
                }
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "output",
                    "strict": True,
                    "schema": {
                        "type": "object",
                        "properties": {"a": {"type": "object", "additionalProperties": False}},
                        "required": ["a"],
                        "additionalProperties": False,
                    },
                },
            }
        },
    ),
    # images and documents
    Row(
        "images by data and by URL",
        {},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        PNG_PART,
                        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                        {"type": "text", "text": "what?"},
                    ],
                }
            ]
        },
        messages=[
            user(
                {"type": "image", "source": PNG},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                text("what?"),
            )
        ],
    ),
    Row(
        "a PDF is a file",
        {},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
                    ],
                }
            ]
        },
        messages=[user({"type": "document", "source": PDF, "title": "a.pdf"})],
    ),
    Row(
        "a text document is text",
        {},
        {"messages": [{"role": "user", "content": "Notes\n\nfrom Ann\n\nhello\n\nwhat?"}]},
        messages=[
            user(
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "hello"},
                    "title": "Notes",
                    "context": "from Ann",
                },
                text("what?"),
            )
        ],
    ),
    Row(
        "a search result is text",
        {},
        {"messages": [{"role": "user", "content": "T\nhttps://e.com\n\nfound"}]},
        messages=[user({"type": "search_result", "title": "T", "source": "https://e.com", "content": [text("found")]})],
    ),
    # streams and the rest
    Row("usage is always asked for", {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    Row("no stream options without a stream", {"stream": False}, {"stream": None, "stream_options": None}),
    Row("the model is the target's", {}, {"model": "llama-3.3-70b"}),
    Row("service tiers", {"service_tier": "standard_only"}, {"service_tier": "default"}, flavour=OPENAI),
    Row("a service tier elsewhere", {"service_tier": "auto"}, {"service_tier": None}, ("service_tier",)),
    Row(
        "clearing of thinking, cache diagnostics and betas go without a word too many",
        {
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "betas": ["a"],
            "speed": "standard",
            "mcp_servers": [],
            "container": None,
        },
        {"context_management": None, "betas": None, "speed": None, "mcp_servers": None},
        ("betas", "context_management"),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_each_row_of_the_table(row: Row) -> None:
    """What a client of the Messages API says reaches a Chat Completions provider, and what is lost is told."""
    body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": row.messages, **row.given}
    made = MessagesToChat(row.flavour).request(json.dumps(body).encode(), model=row.model)
    out = json.loads(made.body)
    assert {key: out.get(key) for key in row.wanted} == row.wanted
    assert made.dropped == row.dropped


@dataclass
class Loss:
    """A part of a request that cannot be carried: the path that a refusal names."""

    path: str
    given: Json
    messages: list[Json] = field(default_factory=lambda: HELLO)
    dropped: str = ""


LOSSES = [
    Loss("tools[1]", {"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, dropped="tools[]"),
    Loss("tools[0].novelty", {"tools": [TOOL | {"novelty": 1}]}, dropped="tools[].novelty"),
    Loss("mcp_servers", {"mcp_servers": [{"url": "https://e.com"}]}),
    Loss("container", {"container": "c"}),
    Loss("thread", {"thread": {"id": "t"}}),
    Loss("speed", {"speed": "fast"}),
    Loss("inference_geo", {"inference_geo": "us"}),
    Loss("context_management", {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
    Loss("output_config.task_budget", {"output_config": {"task_budget": {"total": 1}}}),
    Loss("stop_sequences[4]", {"stop_sequences": list("abcde")}, dropped="stop_sequences[]"),
    Loss("tool_choice", {"tool_choice": {"type": "any"}}),
    Loss(
        "messages[0].content[0].source",
        {},
        [user({"type": "image", "source": {"type": "file", "file_id": "f"}}, text("a"))],
        "messages[].content[].source",
    ),
    Loss(
        "messages[0].content[1].citations",
        {},
        [user(text("a"), {"type": "document", "source": PDF, "citations": {"enabled": True}})],
        "messages[].content[].citations",
    ),
    Loss(
        "messages[1].content[0]",
        {},
        [*HELLO, says({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, text("a")), *HELLO],
        "messages[].content[]",
    ),
    Loss("messages[1].content", {}, [*HELLO, says(text("{"))], "messages[].content"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda r: r.path)
def test_what_can_not_be_carried_is_refused_or_told(loss: Loss) -> None:
    """Under `refuse` a 400 names the path and what to do; under `drop` the rest goes on, and the loss is told."""
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": loss.messages, **loss.given}).encode()
    with pytest.raises(Unsupported) as refused:
        MessagesToChat().request(body, model="m")
    assert refused.value.path == loss.path
    assert "translate.unsupported: drop" in str(refused.value)
    assert (loss.dropped or loss.path) in MessagesToChat(unsupported="drop").request(body, model="m").dropped


def test_a_server_without_files_takes_no_pdf() -> None:
    """It is refused by its path, not sent in a form that the server does not know."""
    body = {"max_tokens": 1, "messages": [user({"type": "document", "source": PDF})]}
    with pytest.raises(Unsupported, match=r"messages\[0\].content\[0\].source"):
        MessagesToChat(FLAVOURS["groq"]).request(json.dumps(body).encode(), model="m")


def test_a_server_tool_never_becomes_a_function() -> None:
    """Dropped together with the choice that names it."""
    body = {
        "max_tokens": 1,
        "messages": HELLO,
        "tools": [{"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "bash"},
    }
    made = MessagesToChat(unsupported="drop").request(json.dumps(body).encode(), model="m")
    assert set(json.loads(made.body)) == {"model", "messages", "max_tokens"}
    assert made.dropped == ("tools[]", "tool_choice")


def test_names_of_tools_come_back() -> None:
    """The state knows which names were changed, and only those."""
    body = {"max_tokens": 1, "messages": HELLO, "tools": [TOOL, TOOL | {"name": LONG}]}
    assert MessagesToChat().request(json.dumps(body).encode(), model="m").state.tool_names == {SHORT: LONG}


def test_a_translation_is_the_same_each_turn() -> None:
    """A conversation that grows keeps the bytes of its beginning: the provider's prefix cache can hold."""
    turns = [*HELLO, says(text("a"), use("t1", b=1, a=2)), user(result("t1"))]
    texts = []
    for grown in (turns, [*turns, says(text("c")), user(text("d"))]):
        body = json.dumps({"max_tokens": 1, "tools": [TOOL], "messages": grown}).encode()
        texts.append(MessagesToChat().request(body, model="m").body.partition(b'"messages":[')[2])
    assert texts[1].startswith(texts[0].partition(b"],")[0][:-1])


MALFORMED = [
    (b"", ""),
    (b"[]", ""),
    (b"{", ""),
    (b'{"messages": 1}', "messages"),
    (b'{"messages": []}', "messages"),
    (b'{"messages": [1]}', "messages[0]"),
    (b'{"messages": [{"role": "king", "content": "a"}]}', "messages[0].role"),
    (b'{"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}', "messages[0].content[0].text"),
    (b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": "5"}', "max_tokens"),
    (b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": true}', "max_tokens"),
    (b'{"messages": [{"role": "user", "content": "a"}], "stop_sequences": [1]}', "stop_sequences"),
    (b'{"messages": [{"role": "user", "content": "a"}], "tools": [{"name": 1}]}', "tools[0].name"),
    (b'{"system": [{"type": "image"}], "messages": []}', "system[0].type"),
]


@pytest.mark.parametrize(("body", "path"), MALFORMED)
@pytest.mark.parametrize("policy", ["refuse", "drop"])
def test_a_wrong_body_is_refused_by_its_path(body: bytes, path: str, policy: Policy) -> None:
    """A body that is no Messages request is the client's mistake, under each policy."""
    with pytest.raises(Malformed) as wrong:
        MessagesToChat(unsupported=policy).request(body, model="m")
    assert not isinstance(wrong.value, Unsupported)
    assert wrong.value.path == path


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    """Unknown types stand in the message only where they are plain words: it may be logged."""
    body = json.dumps({"max_tokens": 1, "messages": [user({"type": "sk-ant-secret with spaces"})]}).encode()
    with pytest.raises(Unsupported) as refused:
        MessagesToChat().request(body, model="m")
    assert "secret" not in str(refused.value)
