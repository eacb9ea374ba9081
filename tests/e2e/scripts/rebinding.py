"""A name server that changes its mind: rebinding.test is in the world when asked about, this machine when dialled."""

import asyncio
from typing import Any

import sluicegate.doors
import sluicegate.stages.identity
import sluicegate.upstream.outbound


async def harmless(host: str, port: int) -> bool:
    return False


class Rebinding:
    def running(self) -> None:
        for module in (sluicegate.upstream.outbound, sluicegate.doors, sluicegate.stages.identity):
            module.leads_inside = harmless  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
            return await resolve("127.0.0.1" if host == "rebinding.test" else host, port, **options)

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]


addons = [Rebinding()]
