"""How fast, how politely and how cheaply flexkit reads an account: ``python -m tests.bench fetch [--faults] [NAME…]``.

Every line is one run against a server in another process on the loopback address, with 50 ms latency
unless it says otherwise; ratios compare within one run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import multiprocessing
import platform
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.server.api import PASSWORD
from tests.server.process import Served, serving

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY = 0.05
AT_ONCE = 24
PER_SECOND = 100.0
Row = dict[str, Any]


def fetched(served: Served, *, sources: tuple[str, ...] = (), days: float = 29.0) -> Row:
    """Fetch from *served* into a new store, in a process of its own; what it took."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_fetch, args=(there, served.url, served.account_sid, sources, days))
    process.start()
    told: Row = here.recv()
    process.join()
    return told


def _fetch(pipe: Any, url: str, account: str, sources: tuple[str, ...], days: float) -> None:
    from flexkit.collect.twilio_api import fetch
    from flexkit.settings import Settings
    from flexkit.tables.store import Store
    from flexkit.window import Window

    settings = Settings(
        _env_file=None, twilio_account_sid=account, twilio_auth_token=PASSWORD, flexkit_twilio_base_url=url
    )
    now = dt.datetime.now(dt.UTC)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        store = Store(folder)
        summary = fetch(store, settings, Window(now - dt.timedelta(days=days), now), sources=sources)
        seconds = time.monotonic() - begun
        rows = {name: table["new_rows"] for name, table in summary.tables.items()}
    pipe.send(
        {
            "seconds": seconds,
            "requests": summary.requests,
            "refusals": summary.refusals,
            "cpu": summary.cpu_seconds,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "rows": rows,
            "exit_code": int(summary.exit_code),
        }
    )


def at_once(retry_after: float | None, *, interactions: int) -> Row:
    """An account that allows 24 requests at once."""
    account = {"interactions": interactions, "days": 14.0}
    with serving(account=account, limit={"at_once": AT_ONCE, "retry_after": retry_after}, latency=LATENCY) as served:
        told = fetched(served)
        return told | served.report() | {"limit": AT_ONCE / LATENCY}


def per_second(burst: float, *, interactions: int) -> Row:
    """An account that allows 100 requests a second."""
    account = {"interactions": interactions, "days": 14.0}
    limit = {"per_second": PER_SECOND, "burst": burst}
    with serving(account=account, limit=limit, latency=LATENCY) as served:
        told = fetched(served)
        return told | served.report() | {"limit": PER_SECOND}


def one_after_another() -> Row:
    """The SDK used the usual way, one request after another."""
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Local(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            return super().request(method, url.replace("https://", f"{served.url}/"), *args, **kwargs)

    with serving(account={"interactions": 400}, latency=LATENCY) as served:
        client = Client(served.account_sid, PASSWORD, http_client=Local())
        alerts = [alert.sid for alert in client.monitor.v1.alerts.list(page_size=1000)]
        begun, used = time.monotonic(), time.process_time()
        count = 150
        for place in range(count):
            client.monitor.v1.alerts(alerts[place % len(alerts)]).fetch()
        seconds = time.monotonic() - begun
        return {"rate": count / seconds, "cpu_ms": 1000 * (time.process_time() - used) / count}


def many_events(count: int) -> Row:
    """Very many TaskRouter events."""
    with serving(bulk=count) as served:
        return fetched(served, sources=("task_events",))


def transport_only(count: int = 6000) -> Row:
    """CPU of one request through the SDK's asynchronous API over flexkit's transport, without storing."""
    context = multiprocessing.get_context("spawn")
    with serving(account={"interactions": 400}, latency=LATENCY) as served:
        here, there = context.Pipe()
        process = context.Process(target=_ask, args=(there, served.url, served.account_sid, count))
        process.start()
        told: Row = here.recv()
        process.join()
        return told


def _ask(pipe: Any, url: str, account: str, count: int) -> None:
    import asyncio

    from flexkit.collect.control import Controller
    from flexkit.collect.pace import Pace
    from flexkit.collect.transport import open_client
    from flexkit.settings import Settings

    settings = Settings(
        _env_file=None, twilio_account_sid=account, twilio_auth_token=PASSWORD, flexkit_twilio_base_url=url
    )

    async def run() -> tuple[float, float]:
        client = open_client(settings, pace=Pace(Controller(level=AT_ONCE, ceiling=AT_ONCE)))
        listed = (await client.monitor.v1.request_async("GET", "/Alerts", params={"PageSize": 1000})).payload["alerts"]
        queue = iter(range(count))

        async def work() -> None:
            for place in queue:
                await client.monitor.v1.request_async("GET", f"/Alerts/{listed[place % len(listed)]['sid']}")

        begun, used = time.monotonic(), time.process_time()
        await asyncio.gather(*(work() for _ in range(AT_ONCE * 2)))
        seconds, cpu = time.monotonic() - begun, time.process_time() - used
        await client.http_client.close()
        return seconds, cpu

    seconds, cpu = asyncio.run(run())
    pipe.send({"cpu_ms": 1000 * cpu / count, "rate": count / seconds})


def main(argv: list[str]) -> int:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench fetch")
    parser.add_argument("names", nargs="*", help="only these: at_once, rate, cpu, memory")
    parser.add_argument("--interactions", type=int, default=2000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faults", action="store_true", help="the table of faults instead")
    options = parser.parse_args(argv)
    if options.faults:
        return fault_table()
    print(f"{platform.python_implementation()} {platform.python_version()}, medians of {options.rounds} rounds\n")
    print("| Work | Reach | Measured |\n|---|---|---|")
    chosen = options.names or ["at_once", "rate", "cpu", "memory"]
    if "at_once" in chosen:
        _print_at_once(options.interactions, options.rounds)
    if "rate" in chosen:
        _print_rate(options.interactions // 3, options.rounds)
    if "cpu" in chosen:
        _print_cpu(options.rounds)
    if "memory" in chosen:
        told = many_events(options.events)
        _line(
            f"memory while fetching {options.events:,} events",
            "≤ 400 MB",
            f"{told['peak_mb']:.0f} MB, {told['rows']['task_events']:,} rows, {told['seconds']:.0f} s, "
            f"{told['requests']:,} requests",
        )
    return 0


def _print_at_once(interactions: int, rounds: int) -> None:
    for retry_after, reach in ((1.0, 0.80), (None, 0.90)):
        runs = _rounds(lambda wait=retry_after: at_once(wait, interactions=interactions), rounds)
        named = "with Retry-After 1" if retry_after else "without Retry-After"
        shares = [run["accepted"] / run["seconds"] / run["limit"] for run in runs]
        _line(
            f"{AT_ONCE} at once, {interactions:,} interactions, {named}: of the limit, whole fetch",
            f"≥ {reach}",
            _of(shares),
        )
        _line("… refusals per 1,000 requests", "≤ 5", _of([1000 * run["refused"] / run["requests"] for run in runs]))
        if retry_after:
            _line("… sent before a Retry-After ended", "0", _of([run["violations"] for run in runs]))
        _line("… CPU per request, storing included, ms", "", _of([1000 * run["cpu"] / run["requests"] for run in runs]))
        _line("… requests and seconds", "", f"{runs[0]['requests']:,}; {_of([run['seconds'] for run in runs])}")


def _print_rate(interactions: int, rounds: int) -> None:
    for burst in (5.0, 10.0, 20.0, 100.0):
        runs = _rounds(lambda burst=burst: per_second(burst, interactions=interactions), rounds)
        shares = [(run["accepted"] - burst) / run["seconds"] / run["limit"] for run in runs]
        _line(f"100 a second, burst {burst:.0f}, {runs[0]['requests']:,} requests: of the limit", "≥ 0.95", _of(shares))
        _line("… refusals per 1,000 requests", "≤ 10", _of([1000 * run["refused"] / run["requests"] for run in runs]))


def _print_cpu(rounds: int) -> None:
    ours = _rounds(transport_only, rounds)
    theirs = _rounds(one_after_another, rounds)
    _line("CPU per request, transport and SDK, ms", "≤ 0.5", _of([run["cpu_ms"] for run in ours]))
    _line("… the SDK one after another, ms", "", _of([run["cpu_ms"] for run in theirs]))
    ratio = [mine["rate"] / other["rate"] for mine, other in zip(ours, theirs, strict=True)]
    _line(f"rate at {AT_ONCE} at once against the SDK one after another", "≥ 18", _of(ratio))


def _rounds(work: Callable[[], Row], rounds: int) -> list[Row]:
    return [work() for _ in range(rounds)]


def _of(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"**{median(values):.3g}** ({min(values):.3g} to {max(values):.3g})"


def _line(work: str, reach: str, measured: str) -> None:
    print(f"| {work} | {reach} | {measured} |", flush=True)


def fault_table() -> int:
    """Run every fault and print tries, rows expected and rows held."""
    from tests.collect.fetching import fetched as fetch_small
    from tests.collect.fetching import held, small, truth
    from tests.server.api import TwilioServer
    from tests.server.cases import CASES

    print("| Fault | Faults met | Tries again | Rows expected | Rows held | After the next fetch | Exit codes |")
    print("|---|---|---|---|---|---|---|")
    wrong = 0
    for case in CASES:
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
                server.on_request = lambda request, hook=hook, server=server: hook(server, request)  # type: ignore[misc]
            summary, store = fetch_small(Path(folder), server, sources=case.sources)
            expected = sum(map(len, truth(server, case.sources).values()))
            first = sum(map(len, held(store).values()))
            met = sum(fault.hits for fault in server.faults)
            server.faults.clear()
            again, store = fetch_small(Path(folder), server, sources=case.sources)
            last = sum(map(len, held(store).values()))
        wrong += last != expected or (case.is_whole and first != expected)
        codes = f"{int(summary.exit_code)}, {int(again.exit_code)}"
        print(f"| {case.name} | {met} | {summary.retries} | {expected} | {first} | {last} | {codes} |", flush=True)
    return 1 if wrong else 0
