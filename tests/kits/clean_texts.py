"""Texts without a secret, 448 of them, of the kinds in which scanners find some: code, logs, hashes, assets, prose."""

# ruff: noqa: E501 - lines as long as those of the files they stand for

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Final

__all__ = ["samples"]

EACH: Final = 16
_NOUNS: Final = [
    *("account", "address", "batch", "cache", "client", "config", "cursor", "device", "event", "filter", "handler"),
    *("index", "invoice", "job", "label", "ledger", "message", "model", "order", "packet", "parser", "profile", "queue"),
    *("record", "region", "report", "schema", "session", "setting", "signal", "source", "status", "stream", "template"),
]
_WORDS: Final = [
    *("the", "a", "of", "to", "and", "in", "is", "that", "for", "with", "when", "must", "not", "password", "token", "key"),
    *("secret", "sourcegraph", "twitter", "github", "access", "auth", "api", "credential", "bearer", "basic", "stripe"),
]


def samples() -> list[tuple[str, str]]:
    """Kind and text; the same at each call."""
    random = Random(448)
    return [(kind, make(random)) for kind, make in _KINDS.items() for _ in range(EACH)]


def _hex(random: Random, digits: int) -> str:
    return f"{random.getrandbits(digits * 4):0{digits}x}"


def _uuid(random: Random) -> str:
    return "-".join(_hex(random, n) for n in (8, 4, 4, 4, 12))


def _base64(random: Random, size: int) -> str:
    return base64.b64encode(random.randbytes(size)).decode()


def _name(random: Random) -> str:
    return f"{random.choice(_NOUNS)}_{random.choice(_NOUNS)}"


def _lines(random: Random, count: int, line: Callable[[], str]) -> str:
    return "\n".join(line() for _ in range(count))


def _prose(r: Random) -> str:
    return " ".join(r.choice(_WORDS if r.random() < 0.6 else _NOUNS) for _ in range(80)).capitalize() + "."


def _python(r: Random) -> str:
    a, b, c = _name(r), _name(r), _name(r)
    return (
        f"def {a}(self, api_key: str | None = None, token: str = '') -> {b.title()}:\n"
        f"    password = getpass.getpass('Password: ')\n    key = self.{b}.get('{c}', default={r.randint(1, 999)})\n"
        f"    secret_key = os.environ['{c.upper()}_SECRET_KEY']\n    access_token = {b}.{a}(timeout={r.randint(1, 99)}.5)\n"
        f"    tokens = sorted(items, key=lambda item: item.{c})\n    return {a.title()}(api_key=self._api_key, token=token)\n"
        f"    credentials: dict[str, {b.title()}] = field(default_factory=dict)\n    auth = HTTPBasicAuth(user, password)\n"
    )


def _javascript(r: Random) -> str:
    a, b = _name(r), _name(r)
    return (
        f"import {{ {a}, token as {b} }} from '../{b}/auth-token.service';\nconst apiKey = process.env.{a.upper()}_API_KEY;\n"
        f"export const {b} = ({{ accessToken, password }}) => fetch(`/api/v{r.randint(1, 9)}/${{accessToken}}`);\n"
        f'const key = {b}.keys().find((key) => key.{a} === "{b}");\nif (secret !== undefined) {{ s.{a}.{b}(key); }}\n'
        f'<input type="password" name="password" autocomplete="current-password" key={{`${{index}}-{b}`}}>\n'
    )


def _go(r: Random) -> str:
    a, b = _name(r).title().replace("_", ""), _name(r)
    return (
        f'func (s *{a}) Token(ctx context.Context, key string) (*oauth2.Token, error) {{\n\tsecretName := "{b}-credentials"\n'
        f'\tapiKey := s.config.{a}.APIKey // from the environment\n\treturn nil, fmt.Errorf("no token for %q: %w", key, err{a})\n}}\n'
        f'var ErrPassword{a} = errors.New("password: must have at least {r.randint(8, 20)} characters")\n'
    )


def _rust(r: Random) -> str:
    a = _name(r)
    return (
        f'let token: Token<\'_> = self.{a}.next_token()?;\nlet key = std::env::var("{a.upper()}_KEY").expect("key: not set");\n'
        f"impl Secret for {a.title().replace('_', '')} {{ fn access(&self) -> &[u8; {r.randint(16, 64)}] {{ &self.0 }} }}\n"
    )


def _yaml(r: Random) -> str:
    a, b = _name(r), _name(r)
    return (
        f"env:\n  API_KEY: ${{{{ secrets.{a.upper()} }}}}\n  PASSWORD: '{{{{ vault_{b} }}}}'\nsecretKeyRef:\n  name: {b}-secret\n"
        f"  key: {a.replace('_', '-')}\ntokens: {r.randint(100, 9999)}\nauth: true\nimage: ghcr.io/org/{b}:v1.{r.randint(0, 30)}.2\n"
    )


def _css(r: Random) -> str:
    return _lines(
        r, 12, lambda: f".{_name(r)}-key {{ color: #{_hex(r, 6)}; background: #{_hex(r, 8)}; z-index: {r.randint(1, 99)} }}"
    )


def _log(r: Random) -> str:
    return _lines(
        r,
        12,
        lambda: (
            f"2026-0{r.randint(1, 9)}-1{r.randint(0, 9)}T0{r.randint(0, 9)}:4{r.randint(0, 9)}:07.{r.randint(100, 999)}Z INFO "
            f"[{r.choice(_NOUNS)}-{r.randint(1, 64)}] token refreshed request_id={_uuid(r)} trace={_hex(r, 32)} "
            f"key={_name(r)} bytes={r.randint(1, 10**9)} took={r.random() * 90:.3f}ms"
        ),
    )


def _git_log(r: Random) -> str:
    return _lines(
        r,
        6,
        lambda: (
            f"commit {_hex(r, 40)}\nAuthor: A B\nDate:   Mon Jan 5 1{r.randint(0, 9)}:00:01 2026 +0100\n\n    Fix {_name(r)} token\n"
        ),
    )


def _checksums(r: Random) -> str:
    return _lines(r, 8, lambda: f"{_hex(r, 64)}  dist/{_name(r)}-{r.randint(0, 9)}.{r.randint(0, 30)}.0.tar.gz")


def _npm_lock(r: Random) -> str:
    return _lines(
        r,
        5,
        lambda: (
            f'    "node_modules/{_name(r)}-token": {{\n      "version": "{r.randint(0, 9)}.{r.randint(0, 30)}.{r.randint(0, 9)}",\n'
            f'      "resolved": "https://registry.npmjs.org/{_name(r)}/-/{_name(r)}-1.0.{r.randint(0, 9)}.tgz",\n'
            f'      "integrity": "sha512-{_base64(r, 64)}"\n    }},'
        ),
    )


def _other_locks(r: Random) -> str:
    return (
        f'name = "{_name(r)}"\nversion = "1.{r.randint(0, 30)}.0"\nchecksum = "{_hex(r, 64)}"\n'
        f'    {{file = "{_name(r)}-py3-none-any.whl", hash = "sha256:{_hex(r, 64)}"}},\n'
        f"golang.org/x/crypto v0.{r.randint(1, 40)}.0 h1:{_base64(r, 32)}\n"
        f"golang.org/x/crypto v0.{r.randint(1, 40)}.0/go.mod h1:{_base64(r, 32)}\n"
    )


def _asset(r: Random) -> str:
    return f"background: url(data:image/png;base64,{_base64(r, 900)});"


def _font(r: Random) -> str:
    return f'const font = "{_base64(r, 1500)}";\nconst wasm = `{_base64(r, 700)}`;'


def _versions(r: Random) -> str:
    return _lines(
        r,
        10,
        lambda: (
            f"{_name(r)}=={r.randint(0, 40)}.{r.randint(0, 40)}.{r.randint(0, 40)} Chrome/{r.randint(90, 140)}.0.0.0 v{r.randint(1, 9)}.0-rc{r.randint(1, 9)}"
        ),
    )


def _dates(r: Random) -> str:
    return _lines(
        r,
        10,
        lambda: (
            f"2026-{r.randint(10, 12)}-{r.randint(10, 28)} {r.randint(10, 23)}:{r.randint(10, 59)}:{r.randint(10, 59)}+02:00 "
            f"{1_700_000_000 + r.randint(0, 10**8)} {1_700_000_000_000 + r.randint(0, 10**10)} P{r.randint(1, 9)}DT{r.randint(1, 9)}H"
        ),
    )


def _diff(r: Random) -> str:
    return (
        f"diff --git a/src/{_name(r)}.py b/src/{_name(r)}.py\nindex {_hex(r, 7)}..{_hex(r, 7)} 100644\n--- a/x\n+++ b/x\n"
        f"@@ -{r.randint(1, 99)},7 +{r.randint(1, 99)},9 @@ def token(self):\n-    key = None\n+    key: str = self.{_name(r)}\n"
    )


def _html(r: Random) -> str:
    return (
        f'<link rel="stylesheet" href="/a/{_name(r)}.{_hex(r, 20)}.css" integrity="sha384-{_base64(r, 48)}" crossorigin>\n'
        f'<script src="/static/js/{r.randint(0, 9)}.{_hex(r, 8)}.chunk.js" nonce="{_name(r)}"></script>\n'
        f'<svg viewBox="0 0 24 24"><path d="M{r.random() * 20:.3f} {r.random() * 20:.3f}c-.55 0-1 .45-1 1v3H5.5l6.5 6.5"/></svg>'
    )


def _sql(r: Random) -> str:
    return (
        f"CREATE TABLE {_name(r)} (id BIGINT PRIMARY KEY, password_hash VARCHAR(255), api_token TEXT, key INT);\n"
        f"INSERT INTO {_name(r)} VALUES ({r.randint(1, 10**6)}, NULL, DEFAULT, {r.randint(1, 99)});\n"
    )


def _traceback(r: Random) -> str:
    return (
        f'Traceback (most recent call last):\n  File "/app/{_name(r)}/auth.py", line {r.randint(1, 900)}, in {_name(r)}\n'
        f"    token = self.client.secrets.{_name(r)}(key)\nKeyError: 'access_token' <object at 0x7f{_hex(r, 10)}>\n"
    )


def _docker(r: Random) -> str:
    return _lines(
        r,
        8,
        lambda: (
            f"{_hex(r, 12)}   registry/{_name(r)}@sha256:{_hex(r, 64)}   {r.randint(1, 900)}MB   {r.randint(1, 9)} weeks ago"
        ),
    )


def _json(r: Random) -> str:
    return (
        f'{{"id": "{_uuid(r)}", "etag": "W/\\"{_hex(r, 32)}\\"", "key": "{_name(r)}", "token_count": {r.randint(1, 9999)}, '
        f'"type": "secret", "nextToken": null, "max_tokens": {r.randint(1, 9999)}, "user.access": ["read", "write"]}}'
    )


def _terraform(r: Random) -> str:
    return (
        f'resource "aws_secretsmanager_secret" "{_name(r)}" {{\n  name = "{_name(r)}"\n  kms_key_id = aws_kms_key.{_name(r)}.arn\n'
        f'  password = var.{_name(r)}\n  account = "{r.randint(10**11, 10**12 - 1)}"\n}}\n'
    )


def _shell(r: Random) -> str:
    return (
        f'export API_KEY="$(pass show {_name(r)})"\ncurl -sS "https://example.com/{_name(r)}" -H "Authorization: Bearer $TOKEN"\n'
        f'test -n "${{{_name(r).upper()}_TOKEN:-}}" || exit {r.randint(1, 9)}\nread -rsp "Password: " PASSWORD\n'
    )


def _hexdump(r: Random) -> str:
    return _lines(
        r, 8, lambda: f"{r.randint(0, 65535):08x}  " + " ".join(_hex(r, 2) for _ in range(16)) + "  |................|"
    )


def _minified(r: Random) -> str:
    names = [
        f"{r.choice('abcdefgh')}.{_name(r)}=function({r.choice('xyz')}){{return this.key||s.{_name(r)}}}" for _ in range(30)
    ]
    return "!function(e,t){" + ",".join(names) + "}(window);"


def _markdown(r: Random) -> str:
    return (
        f"## {_name(r)} tokens\n\nSet `API_KEY` to your key. A token looks like `sk-...` or `ghp_...`; see "
        f"[keys](https://docs.example.com/{_name(r)}/api-keys#access-{r.randint(1, 9)}).\n\n| key | default |\n|---|---|\n"
        f"| `{_name(r)}.token` | `{r.randint(1, 99)}` |\n\nThe password: at least {r.randint(8, 20)} characters. {_prose(r)}\n"
    )


_KINDS: Final[dict[str, Callable[[Random], str]]] = {
    "prose": _prose,
    "python": _python,
    "javascript": _javascript,
    "go": _go,
    "rust": _rust,
    "yaml": _yaml,
    "css": _css,
    "log": _log,
    "git log": _git_log,
    "uuids": lambda r: _lines(r, 10, lambda: f"{_name(r)}: {_uuid(r)}"),
    "checksums": _checksums,
    "md5": lambda r: _lines(r, 10, lambda: f"MD5 ({_name(r)}.zip) = {_hex(r, 32)}"),
    "npm lock": _npm_lock,
    "other locks": _other_locks,
    "image": _asset,
    "font": _font,
    "versions": _versions,
    "dates": _dates,
    "diff": _diff,
    "html": _html,
    "sql": _sql,
    "traceback": _traceback,
    "docker": _docker,
    "json": _json,
    "terraform": _terraform,
    "shell": _shell,
    "hex dump": _hexdump,
    "minified, markdown": lambda r: _minified(r) + "\n" + _markdown(r),
}
