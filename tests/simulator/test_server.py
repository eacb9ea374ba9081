import asyncio
import datetime
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import anthropic
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import sluicegate.simulator
from sluicegate.simulator import Simulator, simulator

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
BASH = {"name": "Bash", "input_schema": {"type": "object"}}
HELLO = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A self-signed certificate for localhost with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + built.public_bytes(pem))
    return path


def sdk(sim: Simulator, **options) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=sim.url, api_key="sk-1", **({"max_retries": 0} | options))


async def test_it_runs_in_the_callers_loop() -> None:
    """start, serve, see the client leave, stop; the port is free again."""
    sim = Simulator()
    await sim.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    writer.write(b"HEAD / HTTP/1.1\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await sim.until(lambda sim: sim.open_connections == 0)
    await sim.stop()
    await sim.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", sim.port)


async def test_stop_does_not_wait_for_clients() -> None:
    """A stalled call is cut off and marked."""
    sim = Simulator()
    await sim.start()
    _, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    writer.write(b"HEAD / HTTP/1.1\r\nx-sim: fault=stall\r\n\r\n")
    await sim.until(lambda sim: len(sim.calls) == 1)
    await asyncio.wait_for(sim.stop(), 10)
    await sim.until(lambda sim: sim.calls[0].outcome == "client_gone")
    writer.close()


def test_wait_gives_up() -> None:
    """A condition that never holds is a TimeoutError."""
    with simulator() as sim, pytest.raises(TimeoutError):
        sim.wait(lambda sim: False, timeout_s=0.01)


def test_the_sdk_reads_json_and_streams(sim) -> None:
    """The vendor's SDK takes both forms for its own API's."""
    with sdk(sim) as client:
        message = client.messages.create(**HELLO)
        with client.messages.stream(**HELLO) as stream:
            streamed = stream.get_final_message()
        assert message.content[0].text == streamed.content[0].text
        assert message.usage.output_tokens == streamed.usage.output_tokens
        assert client.models.list(limit=2).data[0].type == "model"
        assert client.messages.count_tokens(model=HELLO["model"], messages=HELLO["messages"]).input_tokens == 1


def test_the_sdk_does_a_tool_loop_with_thinking(sim) -> None:
    """Thinking and tool call streamed, sent back with the result, answered with a quote of it."""
    asked = [{"role": "user", "content": "run the tool"}]
    call = {"model": "claude-x", "max_tokens": 99, "tools": [BASH], "extra_headers": {"x-sim": "thinking=1"}}
    with sdk(sim) as client:
        with client.messages.stream(messages=asked, **call) as stream:
            message = stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "tool_use"]
        blocks = [block.model_dump(exclude_none=True) for block in message.content]
        result = {"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": "done"}
        asked += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        assert "'done'" in client.messages.create(messages=asked, **call).content[-1].text


def test_the_sdk_retries_what_is_scripted(sim) -> None:
    """A 529 and a reset, then the answer; the retries are byte-identical."""
    sim.script({"status": 529, "headers": {"retry-after-ms": "1"}}, {"fault": "reset"})
    with sdk(sim, max_retries=2) as client:
        assert client.messages.create(**HELLO).content[0].text.startswith("Hello")
    sim.wait(lambda sim: all(call.outcome for call in sim.calls))
    assert [call.outcome for call in sim.calls] == ["fault:status", "fault:reset", "complete"]
    assert len({call.body_sha256 for call in sim.calls}) == 1


def test_the_sdk_raises_a_streams_error(sim) -> None:
    """`event: error` is the SDK's own exception."""
    sim.script({"fault": "error", "at": 4})
    with (
        sdk(sim) as client,
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        client.messages.stream(**HELLO) as stream,
    ):
        stream.get_final_message()


def test_tls(certificate) -> None:
    """An SSLContext is all it takes; a reset is a reset there too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with simulator("localhost", ssl=context) as sim:
        assert sim.url.startswith("https://localhost:")
        with urllib.request.urlopen(f"{sim.url}/v1/models", context=trusting, timeout=30) as answer:
            assert answer.status == 200
        sim.script({"fault": "reset", "match": {"path": "/v1/models"}})
        with pytest.raises(OSError):
            urllib.request.urlopen(f"{sim.url}/v1/models", context=trusting, timeout=30)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_told_to_stop(stop, certificate) -> None:
    """One line with the address, then calls, then a clean exit."""
    source = Path(sluicegate.simulator.__file__).parents[2]
    command = [sys.executable, "-m", "sluicegate.simulator", "--port", "0", "--require-auth"]
    if stop == signal.SIGINT:
        command += ["--tls-cert", str(certificate)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        scheme = "https" if stop == signal.SIGINT else "http"
        assert re.fullmatch(rf"simulator listening on {scheme}://127\.0\.0\.1:\d+\n", line)
        process.send_signal(stop)
        assert process.wait(30) == 0


def test_it_does_not_import_mitmproxy() -> None:
    """The simulator stands outside of what it tests."""
    source = Path(sluicegate.simulator.__file__).parents[2]
    code = "import sys, sluicegate.simulator; sys.exit(any(m.split('.')[0] == 'mitmproxy' for m in sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(source)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
