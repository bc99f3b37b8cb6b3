"""How fast, how politely and how cheaply flexkit reads an account: ``python -m tests.bench fetch [NAME…]``.

Every line is one run against a server in another process on the loopback address, with 50 ms latency
unless it says otherwise; ratios compare within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.server.api import PASSWORD
from tests.server.process import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY = 0.05
AT_ONCE = 24
PER_SECOND = 100.0
Row = dict[str, Any]


def fetched(served: Served, *, sources: tuple[str, ...] = (), days: int = 29) -> Row:
    """``flexkit fetch`` from *served* into a new store, as a user starts it; what it told and took."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-m", "flexkit.cli", "fetch", "--json", "--data", f"{folder}/store"]
        command += ["--since", f"{days}d", *(f"--source={name}" for name in sources)]
        settings = {
            "TWILIO_ACCOUNT_SID": served.account_sid,
            "TWILIO_AUTH_TOKEN": PASSWORD,
            "FLEXKIT_TWILIO_BASE_URL": served.url,
        }
        process = subprocess.Popen(command, env=os.environ | settings, stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told: Row = json.load(out)
    return {
        "seconds": told["seconds"],
        "requests": told["requests"],
        "refusals": told["refusals"],
        "cpu": told["cpu_seconds"],
        "peak_mb": used.ru_maxrss / 1024,
        "rows": {name: table["new_rows"] for name, table in told["tables"].items()},
        "exit_code": process.returncode,
    }


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

    with serving(account={"interactions": 400}, latency=LATENCY, core=1) as served, _on_core(0):
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
    with serving(account={"interactions": 400}, latency=LATENCY, core=1) as served:
        here, there = context.Pipe()
        process = context.Process(target=_ask, args=(there, served.url, served.account_sid, count))
        process.start()
        told: Row = here.recv()
        process.join()
        return told


def _ask(pipe: Any, url: str, account: str, count: int) -> None:
    import asyncio

    from flexkit.collect.network.control import Controller
    from flexkit.collect.network.pace import Pace
    from flexkit.collect.network.transport import open_client
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

    with _on_core(0):
        seconds, cpu = asyncio.run(run())
    pipe.send({"cpu_ms": 1000 * cpu / count, "rate": count / seconds})


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Run on one core, the server on another: what a request costs then does not depend on who is put beside whom."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main(argv: list[str]) -> int:
    """Measure, and print a table in Markdown; 1 where a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench fetch")
    parser.add_argument("names", nargs="*", help=f"only these: {', '.join(WORK)}")
    parser.add_argument("--interactions", type=int, default=2000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    version = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; medians (lowest to highest)\n")
    print("| Work | Reach | Measured | |\n|---|---|---|---|", flush=True)
    table = Table()
    for name in options.names or WORK:
        WORK[name](table, options)
    print(f"\nload {os.getloadavg()[0]:.1f} after")
    return 1 if table.missed else 0


class Table:
    """Lines of Markdown; a line with a target says whether it was met."""

    def __init__(self) -> None:
        self.missed = 0

    def line(self, work: str, values: list[float], *, least: float | None = None, most: float | None = None) -> None:
        """One line; judged by the median of *values*."""
        middle = median(values)
        is_met = (least is None or middle >= least) and (most is None or middle <= most)
        reach = f"≥ {least:,.7g}" if least is not None else "" if most is None else f"≤ {most:g}"
        self.missed += not is_met
        several = f" ({_short(min(values))} to {_short(max(values))})" if len(values) > 1 else ""
        verdict = ("met" if is_met else "**missed**") if reach else ""
        print(f"| {work} | {reach} | {_short(middle)}{several} | {verdict} |", flush=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _at_once(table: Table, options: argparse.Namespace) -> None:
    for retry_after, reach in ((1.0, 0.80), (None, 0.90)):
        runs = [at_once(retry_after, interactions=options.interactions) for _ in range(options.rounds)]
        named = "with Retry-After 1" if retry_after else "without Retry-After"
        shares = [run["accepted"] / run["seconds"] / run["limit"] for run in runs]
        table.line(
            f"{AT_ONCE} at once, {options.interactions:,} interactions, {named}: of the limit", shares, least=reach
        )
        table.line("… requests", [run["requests"] for run in runs])
        table.line("… ms that the server held a request", [run["held_ms"] for run in runs])
        table.line("… refusals per 1,000", [1000 * run["refused"] / run["requests"] for run in runs], most=5)
        if retry_after:
            table.line("… sent before a Retry-After ended", [run["violations"] for run in runs], most=0)
        table.line("… CPU ms per request, storing included", [1000 * run["cpu"] / run["requests"] for run in runs])


def _rate(table: Table, options: argparse.Namespace) -> None:
    for burst in (5.0, 10.0, 20.0):
        # One round each: what one run of forty seconds shows is the same in the next.
        runs = [per_second(burst, interactions=options.interactions // 3)]
        shares = [(run["accepted"] - burst) / run["seconds"] / run["limit"] for run in runs]
        table.line(f"{PER_SECOND:g} a second, burst {burst:g}: of the limit", shares, least=0.95)
        table.line("… requests", [run["requests"] for run in runs])
        table.line("… refusals per 1,000", [1000 * run["refused"] / run["requests"] for run in runs], most=10)


def _cpu(table: Table, options: argparse.Namespace) -> None:
    pairs = [(transport_only(), one_after_another()) for _ in range(options.rounds)]
    table.line(
        "CPU ms per request, transport and SDK (client and server on a core each)",
        [ours["cpu_ms"] for ours, _ in pairs],
        most=0.5,
    )
    table.line("… the SDK used the usual way", [theirs["cpu_ms"] for _, theirs in pairs])
    # Both slow down alike on a busy machine: the target over the SDK's own quiet figure, 1.6 ms at the least.
    table.line("… of the SDK's", [ours["cpu_ms"] / theirs["cpu_ms"] for ours, theirs in pairs], most=0.5 / 1.6)
    ratios = [ours["rate"] / theirs["rate"] for ours, theirs in pairs]
    table.line(f"{AT_ONCE} at once against the SDK one after another: times as fast", ratios, least=18)


def _memory(table: Table, options: argparse.Namespace) -> None:
    told = many_events(options.events)
    table.line(f"MB at most while fetching {options.events:,} events", [told["peak_mb"]], most=400)
    table.line("… rows held", [told["rows"]["task_events"]], least=options.events)
    table.line("… seconds", [told["seconds"]])


WORK = {"at_once": _at_once, "rate": _rate, "cpu": _cpu, "memory": _memory}
