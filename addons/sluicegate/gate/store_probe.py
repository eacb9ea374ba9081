"""Say at the start that a store on the network cannot be reached, and not first at a request that needs it."""

from __future__ import annotations

import asyncio
import os
from typing import Final
from urllib.parse import urlsplit

from sluicegate.core.addresses import host_port
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stores.urls import parse_store_url

__all__ = ["probe_store"]

_TIMEOUT_S: Final = 3.0
_PORT: Final = 6379


async def probe_store(settings: Settings, services: Services) -> None:
    """Alarm `store.unreachable` if nothing listens at the address of `store`; the URL itself may hold a password."""
    url = parse_store_url(settings.store)
    if url.kind != "redis":
        return
    parts = urlsplit(url.url)
    host, port = parts.hostname or "localhost", parts.port or _PORT
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except TimeoutError:
        why = f"no answer within {_TIMEOUT_S:g} s"
    except OSError as e:
        why = os.strerror(e.errno) if e.errno and e.errno > 0 else (e.strerror or type(e).__name__)
    else:
        return
    effect = "limits, cache and numbers of placeholders that it keeps are not available"
    services.alarm("store.unreachable", store=host_port(host, port), why=why, effect=effect)
