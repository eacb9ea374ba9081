"""One process of a concurrency test: many calls at once against one budget; prints what it was allowed to spend, as JSON.

    python worker.py URL FOLDER CALLS LEASE_MS SEED MODE

MODE strict: reserve at least the cost. estimate: reserve too much or too little. hold: reserve CALLS and keep running.
A call that is refused because running calls hold the rest tries again, as a client does.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.reservations import Admitted, ReserveRequest
from sluicegate.stores.limits import LimitStore, storage_from_url

COST = 1000
BUDGET = 3_000 * COST
COUNTER = Counter("t:usd", "limits.teams.a.budget_usd.month", "the team a", "budget", "nano_usd", BUDGET, window="month")
CONCURRENCY = Counter("t:seats", "limits.teams.a.concurrency", "the team a", "concurrency", "concurrency", 100_000)
AGAIN_S = 0.05


class Calls:
    """The calls of one process."""

    def __init__(self, store: LimitStore, lease_ms: int, seed: int, mode: str) -> None:
        self.store, self.lease_ms, self.mode = store, lease_ms, mode
        self.name, self.chance = f"p{seed}", random.Random(seed)
        self.served = self.spent = self.in_flight_error = self.worst_error = self.refused = 0

    async def one(self, n: int) -> None:
        cost = self.chance.randrange(COST // 2, 3 * COST // 2)
        estimate = 3 * COST // 2 if self.mode == "strict" else self.chance.randrange(COST // 2, 3 * COST // 2)
        request = ReserveRequest(f"{self.name}:{n}", (Charge(COUNTER, estimate), Charge(CONCURRENCY, 1)), self.lease_ms)
        while True:
            said = await self.store.reserve(request)
            if isinstance(said, Admitted):
                break
            if said.available_ms is not None:
                self.refused += 1
                return
            await asyncio.sleep(self.chance.random() * AGAIN_S)
        error = max(0, cost - estimate)
        self.in_flight_error += error
        self.worst_error = max(self.worst_error, self.in_flight_error)
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        await self.store.settle(request.id, [Charge(COUNTER, cost)])
        self.in_flight_error -= error
        self.served += 1
        self.spent += cost

    def result(self) -> dict[str, int]:
        return {
            "served": self.served,
            "refused": self.refused,
            "spent": self.spent,
            "worst_error": self.worst_error,
        }


async def main() -> None:
    url, folder, calls, lease_ms, seed, mode = sys.argv[1:]
    store = storage_from_url(url, Path(folder))
    made = Calls(store, int(lease_ms), int(seed), mode)
    if mode == "hold":
        for n in range(int(calls)):
            await store.reserve(
                ReserveRequest(f"{made.name}:{n}", (Charge(COUNTER, COST), Charge(CONCURRENCY, 1)), int(lease_ms))
            )
        print("held", flush=True)
        await asyncio.Event().wait()
    await asyncio.gather(*(made.one(n) for n in range(int(calls))))
    await store.close()
    print(json.dumps(made.result()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
