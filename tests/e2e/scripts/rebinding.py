"""A name server that changes its mind: rebinding.test is in the world when asked about, this machine when dialled."""

import asyncio
from typing import Any

import sluicegate.gate.doors
import sluicegate.proxy.connections.outbound
import sluicegate.stages.identity.stage


async def harmless(host: str, port: int) -> bool:
    return False


class Rebinding:
    def running(self) -> None:
        for module in (sluicegate.proxy.connections.outbound, sluicegate.gate.doors, sluicegate.stages.identity.stage):
            module.resolves_to_private = harmless  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
            return await resolve("127.0.0.1" if host == "rebinding.test" else host, port, **options)

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]


addons = [Rebinding()]
