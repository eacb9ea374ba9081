"""Whether a request names things that exist in one place only: another provider or key does not know them.

    files        `file_id` in a document, an image, a container upload, or a chat's file part
    containers   the request's own `container`
    compaction   blocks that the API has folded a conversation into
    search       `encrypted_content`, `encrypted_index` of its server tools' results

Tools and their arguments are skipped: a tool may well have an argument called `container`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = ["names_one_place"]

_NAMES: Final = frozenset({"file_id", "encrypted_content", "encrypted_index"})
_QUICK: Final = re.compile(rb'"(?:file_id|container|compaction|encrypted_content|encrypted_index)"')
_OF_TOOLS: Final = frozenset({"tools", "input", "arguments", "input_schema", "parameters", "metadata"})


def names_one_place(body: bytes) -> bool:
    """True also if the body cannot be read: such a request stays where it is."""
    if _QUICK.search(body) is None:
        return False
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return True
    if not isinstance(request, dict):
        return True
    return bool(request.get("container")) or _names(request)


def _names(root: Any) -> bool:
    left = [root]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            if value.get("type") == "compaction" or any(isinstance(value.get(name), str) for name in _NAMES):
                return True
            left += [v for k, v in value.items() if k not in _OF_TOOLS and isinstance(v, (dict, list))]
    return False
