"""Every fault that a fetch must survive, as a table: ``python -m tests.bench faults``.

Each line is a new store and a server on the loopback address: what a fetch under the fault held, and what the next
fetch, without it, made of that. The same cases are tests in ``tests/collect``.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from flexkit.errors import FlexkitError
from flexkit.tables.store import Store
from tests.collect.fetching import fetched, held, settings_for, small, truth
from tests.collect.processes import SOURCES, killed_at_random, prepared, started
from tests.server.api import TwilioServer
from tests.server.cases import CASES, Case

KILLS = 50


def main(_: list[str]) -> int:
    """Print the table; 1 where a row was lost, doubled or invented."""
    print("| Fault | Met | Tries again | Rows expected | Rows held | After the next fetch | Exit codes |")
    print("|---|---|---|---|---|---|---|", flush=True)
    wrong = sum(_case(case) for case in CASES)
    wrong += _unknown_host()
    wrong += _two_at_once()
    wrong += _killed()
    print(f"\n{wrong or 'no'} line{'s' * (wrong != 1)} with a row lost, doubled or invented")
    return 1 if wrong else 0


def _case(case: Case) -> bool:
    options = dict(case.account)
    late = options.pop("late_by", 0)
    account = small(now=dt.datetime.now(dt.UTC) - dt.timedelta(days=late), **options)
    case.change(account)
    with (
        tempfile.TemporaryDirectory() as folder,
        TwilioServer(account, faults=case.faults(account), **case.serve) as server,
    ):
        if case.hook is not None:
            hook = case.hook
            server.on_request = lambda request: hook(server, request)
        summary, store = fetched(Path(folder), server, sources=case.sources)
        first = held(store)
        met = sum(fault.hits for fault in server.faults)
        server.faults.clear()
        again, store = fetched(Path(folder), server, sources=case.sources)
        last, expected = held(store), truth(server, case.sources)
    is_wrong = last != expected or (case.is_whole and first != expected) or not _within(first, expected)
    codes = f"{int(summary.exit_code)}, {int(again.exit_code)}"
    _line(case.name, met or "in the data", summary.retries, _count(expected), _count(first), _count(last), codes)
    return is_wrong


def _unknown_host() -> bool:
    with tempfile.TemporaryDirectory() as folder, TwilioServer(small()) as server:
        settings = settings_for(server, flexkit_twilio_base_url="https://twilio.invalid")
        code = 0
        try:
            fetched(Path(folder), server, settings=settings)
        except FlexkitError as error:
            code = int(error.exit_code)
        again, store = fetched(Path(folder), server)
        last, expected = held(store), truth(server)
    _line(
        "a host name that does not exist", 1, "", _count(expected), 0, _count(last), f"{code}, {int(again.exit_code)}"
    )
    return last != expected


def _two_at_once() -> bool:
    with tempfile.TemporaryDirectory() as folder, TwilioServer(small(), latency=0.01) as server:
        processes: Any = prepared()
        pair = [
            started(processes, Path(folder), server, lock=f".{name}.lock", records_at_once=30) for name in ("a", "b")
        ]
        for process in pair:
            process.join(120)
        first, expected = held(Store(Path(folder))), truth(server, SOURCES)
        codes = ", ".join(str(process.exitcode) for process in pair)
    _line("two fetches at once that share no lock", 1, "", _count(expected), _count(first), "", codes)
    return first != expected


def _killed() -> bool:
    with tempfile.TemporaryDirectory() as folder, TwilioServer(small(interactions=5), latency=0.004) as server:
        expected = _count(truth(server, SOURCES))
        try:
            stores = killed_at_random(Path(folder), server, prepared(), kills=KILLS, seed=51)
        except AssertionError as error:
            _line("kill -9 at random moments", KILLS, "", expected, "wrong", str(error)[:60], "")
            return True
    _line("kill -9 at random moments", KILLS, "", expected, "some", f"{expected} in each of {stores} stores", "-9, 0")
    return False


def _within(found: dict[str, set[str]], expected: dict[str, set[str]]) -> bool:
    return all(rows <= expected[table] for table, rows in found.items())


def _count(rows: dict[str, set[str]]) -> int:
    return sum(map(len, rows.values()))


def _line(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
