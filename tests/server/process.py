"""The server in a process of its own, for measurements: the client's CPU and memory are then its own."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.server.account import Account
from tests.server.bulk import BulkAccount
from tests.server.canned import CannedServer
from tests.server.limits import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection


@dataclass
class Served:
    """A server in another process: where it is, whose account it has, and what it saw."""

    url: str
    account_sid: str
    report: Callable[[], dict[str, Any]]


@contextlib.contextmanager
def serving(
    *,
    account: dict[str, Any] | None = None,
    bulk: int = 0,
    limit: dict[str, Any] | None = None,
    latency: float = 0.0,
    core: int | None = None,
) -> Iterator[Served]:
    """A server (on *core* alone) with an `Account` of *account*'s arguments or *bulk* events, within a `Limit`."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, account or {}, bulk, limit, latency, core), daemon=True)
    process.start()
    try:
        if not here.poll(120):
            msg = "the server did not start"
            raise RuntimeError(msg)
        port, sid = here.recv()

        def report() -> dict[str, Any]:
            here.send("report")
            told: dict[str, Any] = here.recv()
            return told

        yield Served(f"http://127.0.0.1:{port}", sid, report)
    finally:
        process.terminate()
        process.join(10)


def _serve(
    pipe: Connection,
    account: dict[str, Any],
    bulk: int,
    limit: dict[str, Any] | None,
    latency: float,
    core: int | None,
) -> None:
    if core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})
    made = BulkAccount(bulk, **account) if bulk else Account(**account)
    server = CannedServer(made, limit=Limit(**(limit or {})), latency=latency)

    async def run() -> None:
        port = await server.serve()
        begun = time.process_time()
        pipe.send((port, made.sid))
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        loop.add_reader(pipe.fileno(), asked.set)
        while True:
            await asked.wait()
            asked.clear()
            pipe.recv()
            cpu = time.process_time() - begun
            pipe.send(
                (server.limit.report() if server.limit else {}) | {"connections": server.connections, "server_cpu": cpu}
            )

    asyncio.run(run())
