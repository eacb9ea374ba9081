#!/usr/bin/env bash
# Two SDKs that look the same treat a long Retry-After in opposite ways, and neither caps it at what a person would wait.
#
# anthropic 2.14.0 (Python): a 429 with `retry-after: 3600` is slept through, an hour each, for every retry (two by default).
#                            The only cap is 4,294,967 s (a platform limit of time.sleep), about 49 days.
# openai 3.57.0 (Python):    the same 429 is not retried at all: above 120 s the SDK raises at once.
# Both obey `x-should-retry: false` and raise at once, so a proxy in front of either can decide.
#
# Seen on 2026-11-30, Python 3.13:
#   anthropic 2.14.0: retry-after 3600: 3 requests, slept [3600.0, 3600.0], then RateLimitError
#   anthropic 2.14.0: retry-after 3600, x-should-retry false: 1 request, slept [], then RateLimitError
#   openai 3.57.0: retry-after 3600: 1 request, slept [], then RateLimitError
#   openai 3.57.0: retry-after 60: 3 requests, slept [60.0, 60.0], then RateLimitError
# Exits with 0 if this is still so, with 1 if it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check anthropic==2.14.0 openai==3.57.0 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import anthropic
import openai

headers, requests, slept = {}, [], []


class TooMany(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        requests.append(self.path)
        body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
        self.send_response(429)
        for name, value in {**headers, "content-type": "application/json", "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), TooMany)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
time.sleep = slept.append  # what the SDKs wait with: recorded, not waited


def ask_anthropic():
    client = anthropic.Anthropic(api_key="k", base_url=url)
    client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])


def ask_openai():
    client = openai.OpenAI(api_key="k", base_url=f"{url}/v1")
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


CASES = [
    ("anthropic", ask_anthropic, {"retry-after": "3600"}, 3, [3600.0, 3600.0]),
    ("anthropic", ask_anthropic, {"retry-after": "3600", "x-should-retry": "false"}, 1, []),
    ("openai", ask_openai, {"retry-after": "3600"}, 1, []),
    ("openai", ask_openai, {"retry-after": "60"}, 3, [60.0, 60.0]),
]
changed = False
for name, ask, given, expected_requests, expected_slept in CASES:
    headers.clear(), requests.clear(), slept.clear()
    headers.update(given)
    try:
        ask()
        raised = "nothing"
    except (anthropic.APIError, openai.APIError) as e:
        raised = type(e).__name__
    said = ", ".join(f"{key} {value}" for key, value in given.items())
    count = f"{len(requests)} request{'s' if len(requests) > 1 else ''}"
    print(f"{name} {version(name)}: {said}: {count}, slept {slept}, then {raised}")
    changed |= (len(requests), slept, raised) != (expected_requests, expected_slept, "RateLimitError")
sys.exit(1 if changed else 0)
PY
