"""API keys with a vendor's fixed prefix, and the gate's own virtual keys: the part of `basic` after the detectors.

To add a vendor, add its prefix to `provider_key` (docs/adding-a-scrub-rule.md).
"""

from __future__ import annotations

from typing import Final

from sluicegate.core.redact.rules.rule import Rule

__all__ = ["VENDOR_TOKENS"]

_LEFT: Final = r"(?:^|[^A-Za-z0-9]|\\[nrtbf]|%[0-9A-Fa-f]{2})"

VENDOR_TOKENS: Final = (
    Rule("sluicegate_key", "SLUICEGATE_KEY", "secret", r"(sk-sg-[A-Za-z0-9_-]{20,})"),
    Rule(
        "provider_key",
        "PROVIDER_KEY",
        "secret",
        _LEFT + r"(gsk_[A-Za-z0-9]{32,}|xai-[A-Za-z0-9]{40,}|csk-[a-z0-9]{40,}|nvapi-[A-Za-z0-9_-]{40,}|fw_[A-Za-z0-9]{22,}"
        r"|pplx-[A-Za-z0-9]{40,}|hf_[A-Za-z]{30,}|r8_[A-Za-z0-9]{30,}|ABSK[A-Za-z0-9+/]{60,}={0,2}|ya29\.[A-Za-z0-9_-]{40,})",
    ),
)
"""provider_key: Groq, xAI, Cerebras, NVIDIA, Fireworks, Perplexity, Hugging Face, Replicate, Bedrock, Google OAuth."""
