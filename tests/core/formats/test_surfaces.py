"""core/formats/surfaces.py: which format a path is in, however it is spelled."""

import re
import time
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.registry import ALL
from sluicegate.core.formats.surfaces import format_at


def surface(method: str, path: str) -> str:
    return format_at(method, path).name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", "messages"),
        ("/v1/messages?beta=true", "messages"),
        ("/v1/messages/count_tokens", "count_tokens"),
        ("/v1/models", "models"),
        ("/v1/models/claude-haiku-4-5", "models"),
        ("/v1/messages/batches", "other"),
        ("/v1/messages/batches/msgbatch_1/results", "other"),
        ("/v1/files", "other"),
        ("/", "other"),
        ("", "other"),
        ("*", "other"),
        ("/v1/chat/completions", "chat_completions"),
        ("/openai/v1/chat/completions?x=1", "chat_completions"),
        ("/v1/completions", "other"),
        ("/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0/invoke", "bedrock"),
        ("/model/us.anthropic.claude-opus-4-1-20250805-v1:0/invoke-with-response-stream", "bedrock"),
        ("/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A1%3Ainference-profile%2Fx/invoke", "bedrock"),
        ("/model/m/count-tokens", "bedrock_count"),
        ("/model/invoke", "other"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude%401%3ArawPredict", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", "vertex_count"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent", "other"),
        ("/v1/files?x=/v1/messages", "other"),
        ("/v1/messagesx", "other"),
        ("/v1/messages/x", "other"),
        ("/v2/messages", "other"),
        ("/api/event_logging/batch", "other"),
        ("/v1/files/100%25", "other"),
        ("/v1/files/%", "other"),
        ("/v1/messages/../../v2/messages", "other"),
    ],
)
def test_surfaces(path: str, expected: str) -> None:
    """The paths of the Messages API."""
    assert surface("POST", path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "//v1//messages",
        "/v1/messages/",
        "/V1/Messages",
        "/v1/./messages",
        "/v1/x/../messages",
        "/x/../v1/messages",
        "/v1/x/%2e%2e/messages",
        "/v1/x/..;a=b/messages",
        "/v1/%6dessages",
        "/v1%2fmessages",
        "/%2576%31/messages",
        "/v1/%25256dessages",
        "/v1\\messages",
        "/v1%5cmessages",
        "/v1;x/messages",
        "/v1/messages;jsessionid=1",
        "/v1/messages;a/b",
        "/v1/messages#x",
        "/v1/messages%23/y",
        "/a%23/../v1/messages",
        "/v1/messages%3fx=1",
        "/v1/messages%00",
        "/v1/messages%00.png",
        "/v1/messages%20",
        "/v1/messages%0a",
        "/v1/ messages",
        "/anthropic/v1/messages",
        "/api/v1/v1/messages",
        "/../../v1/messages",
        "http://host/v1/messages",
        "/v1/messages//..",
        "/v1/messages/x/%2e%2e//..",
        "/v1/%2e%2e/v1/messages//%2e%2e",
        "/v1/messages/x//../..",
        "/v1/messages/%2f/..",
        "/v1/messages\\\\..",
        "/v1/messages;a//..;b",
        "/v1//../messages",
        "/v1/x%2fy/../messages",
        "/v1/x%2fy/%2e%2e/messages",
        "/v1/messages/;/count_tokens",
        "/v1/%252525256dessages",
        "/x" * 40 + "/v1/messages",
        "/x" * 2000 + "/v1/messages",
        "/v1/%6dessages" + "/" * 3000,
    ],
)
def test_no_spelling_of_an_inference_call_passes_as_other(path: str) -> None:
    """What some server would take for /v1/messages is governed as /v1/messages."""
    assert surface("POST", path) == "messages"
    assert surface("post", path + "?beta=true") == "messages"


SEPARATORS = st.sampled_from(["/", "//", "/./", "/x/../", "%2f", "\\", "%2F", "/%2e/"])


SPELLED = {
    "messages": ["v1", "messages"],
    "count_tokens": ["v1", "messages", "count_tokens"],
    "chat_completions": ["v1", "chat", "completions"],
    "bedrock": ["model", "m", "invoke-with-response-stream"],
    "bedrock_count": ["model", "m", "count-tokens"],
    "vertex": ["models", "m:rawPredict"],
    "vertex_count": ["models", "count-tokens:rawPredict"],
}


@given(st.data(), st.sampled_from(sorted(SPELLED)))
def test_any_mixture_of_spellings(data: st.DataObject, expected: str) -> None:
    """Case, percent-encoding (up to three times) and separators in any combination."""

    def spell(c: str) -> str:
        return data.draw(st.sampled_from([c, c.upper(), f"%{ord(c):02x}", f"%{ord(c):02X}", f"%25{ord(c):02x}"]))

    path = "".join(data.draw(SEPARATORS) + "".join(map(spell, w)) for w in SPELLED[expected])
    stricter = {"vertex"} if expected == "vertex_count" else set()  # who does not decode it reads another action
    assert surface("POST", path) in {expected, *stricter}


@given(st.text(max_size=60))
def test_any_path_has_a_surface(path: str) -> None:
    """No path makes it raise."""
    assert surface("POST", path) in {f.name for f in ALL}


def test_inference_is_asked_by_post() -> None:
    """Other methods on these paths are no inference; models may be asked by any."""
    assert surface("GET", "/v1/messages") == "other"
    assert surface("DELETE", "/v1/messages/count_tokens") == "other"
    assert surface("GET", "/v1/models") == "models"
    assert surface("GET", "/v1/chat/completions") == "other"
    assert surface("GET", "/model/m/invoke") == "other"


PIECES = ["v1", "messages", "x", "", ".", "..", "%2e%2e", "%2E", "%2f", "x%2fy", "%256dessages", ";", "..;a"]


def resolved(path: str, *, collapse: bool) -> str:
    """Dot segments removed as RFC 3986, 5.2.4 writes it, from the text itself; slashes at both ends do not count."""
    path = re.sub("/+", "/", path) if collapse else path
    out = ""
    while path:
        if path.startswith("/./") or path == "/.":
            path = "/" + path[3:]
        elif path.startswith("/../") or path == "/..":
            path, out = "/" + path[4:], out[: max(out.rfind("/"), 0)]
        else:
            end = path.find("/", 1)
            end = len(path) if end < 0 else end
            path, out = path[end:], out + path[:end]
    return re.sub("/+", "/", out).strip("/")


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.integers(0, 2), st.booleans())
def test_no_reading_of_a_path_is_missed(pieces: list[str], decodings: int, collapse: bool) -> None:
    """A server that decodes so often, and keeps or collapses empty segments, gets no inference call past us."""
    path = "/" + "/".join(pieces)
    text = path
    for _ in range(decodings):
        text = unquote(text)
    reading = resolved(text, collapse=collapse)
    if re.search("(^|/)v1/messages$", reading):
        assert surface("POST", path) == "messages"
    elif re.search("(^|/)v1/messages/count_tokens$", reading):
        assert surface("POST", path) in ("messages", "count_tokens")


@pytest.mark.parametrize("unit", ["/", "/v1", "/..", "%25", "%252f", ";", "\\", "/v1/messages", "/.%2e;%23", "%2525252525"])
@pytest.mark.parametrize("size", [300, 2000, 60_000])
def test_hostile_paths_take_little_time(unit: str, size: int) -> None:
    """However it is built, a path is read in a few ways, of few segments."""
    path = (unit * size)[:size] + "/v1/messages"
    best = 1.0
    for _ in range(20):
        started = time.process_time()
        surface("POST", path)
        best = min(best, time.process_time() - started)
    assert best < 0.005
