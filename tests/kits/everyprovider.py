"""A configuration with one provider of each kind, all of them a simulator."""

from __future__ import annotations

CONFIG = """\
providers:
  anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}
  local:     {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY_B"]}
  aws:       {kind: bedrock, base_url: "${UPSTREAM}", region: us-west-2,
              credentials: {access_key: "env:AWS_ACCESS_KEY_ID", secret_key: "env:AWS_SECRET_ACCESS_KEY"}}
  gcp:       {kind: vertex, base_url: "${UPSTREAM}", project: p, location: us-east5, token: "env:VERTEX_TOKEN"}
routes:
  - model: "claude-opus-*"
    targets:
      - {provider: aws, model: "us.anthropic.claude-opus-4-1-20250805-v1:0"}
      - {provider: aws, model: "us.anthropic.claude-opus-4-20250514-v1:0", region: us-east-1}
      - {provider: anthropic}
  - {model: "claude-haiku-*", targets: [{provider: local, model: "llama-3.3-70b"}]}
  - {model: "claude-vertex-*", targets: [{provider: gcp, model: "claude-sonnet-4-5@20250929"}]}
  - {model: "*", targets: [{provider: anthropic}]}
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
"""
ENV: dict[str, str | None] = {
    "KEY_B": "b",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "s",
    "VERTEX_TOKEN": "tok",
    "SLUICEGATE__RETRY__ATTEMPTS": None,
    "SLUICEGATE__RETRY__COOLDOWN_S": "0",
}
MODELS = {"aws": "claude-opus-4-1", "local": "claude-haiku-4-5", "gcp": "claude-vertex-1", "anthropic": "claude-sonnet-4-5"}
