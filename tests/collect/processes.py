"""Fetches in processes of their own, which can be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from flexkit.errors import ExitCode, FetchError, StoreError
from flexkit.settings import Settings
from flexkit.tables.store import Store
from tests.collect.fetching import QUICK, days, fetched, held, truth
from tests.server.api import PASSWORD, TwilioServer

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

SOURCES = ("task_events", "interactions", "conversations")
BATCH = 25
LANES = 5


def prepared() -> Any:
    """Processes that begin with everything imported, so that a kill hits the fetch and not its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flexkit.collect.twilio_api", "tests.collect.processes", "deltalake"])
    return context


def started(processes: Any, folder: Path, server: TwilioServer, **options: Any) -> BaseProcess:
    """A process that fetches from *server* into *folder*."""
    settings = {
        "twilio_account_sid": server.account.sid,
        "twilio_auth_token": PASSWORD,
        "flexkit_twilio_base_url": server.url,
    }
    process: BaseProcess = processes.Process(target=_fetch, args=(str(folder), settings, options), daemon=True)
    process.start()
    return process


def _fetch(folder: str, settings: dict[str, str], options: dict[str, Any]) -> None:
    """What a process under test does; its exit code is the fetch's."""
    from flexkit.collect.fetch import lock, sink
    from flexkit.collect.twilio_api import fetch

    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if "records_at_once" in options:
        sink.RECORDS_AT_ONCE = options["records_at_once"]
    if "lock" in options:
        lock._LOCK = options["lock"]
    if "largest_file" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["largest_file"], options["largest_file"]))
    try:
        summary = fetch(Store(folder), Settings(_env_file=None, **settings), days(1), sources=SOURCES, patience=QUICK)
    except (StoreError, FetchError) as error:
        raise SystemExit(int(error.exit_code)) from None
    raise SystemExit(int(summary.exit_code))


def killed_at_random(folder: Path, server: TwilioServer, processes: Any, *, kills: int, seed: int) -> int:
    """Kill *kills* fetches at random moments, several side by side; how many completed what others left.

    After each, whatever its store holds must be true and there once; after one that ended, all of it.
    """
    longest = 0.0
    for name in ("warm", "measured"):
        begun = time.monotonic()
        process = started(processes, folder / name, server, records_at_once=BATCH)
        process.join(60)
        longest = time.monotonic() - begun
        assert process.exitcode == ExitCode.OK

    def lane(number: int) -> int:
        rng = random.Random(seed + number)
        left, completed, patience = kills // LANES, 0, longest
        while left:
            place = folder / f"{number}-{completed}"
            process = started(processes, place, server, records_at_once=BATCH)
            process.join(rng.uniform(0.02, patience))
            # A fetch that goes on where others were killed is shorter: most are to be killed, some are to end.
            patience = min(longest, patience * (1.15 if process.exitcode is None else 0.7))
            if process.exitcode is None:
                os.kill(int(process.pid or 0), signal.SIGKILL)
                left -= 1
            process.join(60)
            found = held(Store(place))
            assert all(rows <= whole[table] for table, rows in found.items())
            if process.exitcode == ExitCode.OK:
                assert found == whole
                completed += 1
        _, store = fetched(folder / f"{number}-{completed}", server, sources=SOURCES)
        assert held(store) == whole
        return completed + 1

    whole = truth(server, SOURCES)
    with ThreadPoolExecutor(LANES) as lanes:
        return sum(lanes.map(lane, range(LANES)))
