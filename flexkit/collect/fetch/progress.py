"""How a fetch is shown while it runs: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from flexkit.collect.fetch.summary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flexkit.collect.fetch.run import Jobs
    from flexkit.collect.fetch.summary import FetchSummary

    Progress = Callable[[FetchSummary, Jobs], None]

_EVERY = 30.0


@contextlib.contextmanager
def shown_progress(log: Callable[[str], None]) -> Iterator[Progress]:
    """What to call as the fetch goes on; the bar is on stderr and goes away with the block."""
    if not sys.stderr.isatty():
        seen: list[FetchSummary] = []
        yield _logged(log, seen)
        for name, tally in seen[-1].sources.items() if seen else ():
            gaps = sum(gap.count for gap in seen[-1].gaps.values() if gap.source == name)
            log(f"fetched source={name} records={tally.records} rows={tally.rows} new={tally.new_rows} missing={gaps}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking Twilio", total=None)

        def show(summary: FetchSummary, jobs: Jobs) -> None:
            told = f"{counted(_records(summary), 'record')}, {counted(summary.requests, 'request')}"
            is_last = jobs.done == jobs.known
            told = f"storing {told}" if is_last else f"{told}, {counted(summary.retries, 'retry')}"
            bar.update(task, total=jobs.known, completed=jobs.done, description=told)

        yield show


def _logged(log: Callable[[str], None], seen: list[FetchSummary]) -> Progress:
    last = time.monotonic()

    def show(summary: FetchSummary, jobs: Jobs) -> None:
        nonlocal last
        seen[:] = [summary]
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            log(f"{_told(summary)} jobs={jobs.done}/{jobs.known}")

    return show


def _told(summary: FetchSummary) -> str:
    return f"fetching requests={summary.requests} records={_records(summary)} retries={summary.retries}"


def _records(summary: FetchSummary) -> int:
    return sum(tally.records for tally in summary.sources.values())
