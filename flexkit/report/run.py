"""Run notebooks and leave reports: checked first, side by side, written aside, published whole."""

from __future__ import annotations

import datetime as dt
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexkit.errors import ExitCode, UsageError
from flexkit.report import record as records
from flexkit.stopping import stoppable
from flexkit.terms import Verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from flexkit.report.folder import Folder
    from flexkit.report.making import Job, Maker
    from flexkit.report.notebook import Value
    from flexkit.report.record import Record

_HOOK_SECONDS = 60
_INDEX_WAIT = 60
_CODES = (
    (Verdict.FAILED, ExitCode.FAILED),
    (Verdict.BREACH, ExitCode.BREACH),
    (Verdict.UNDECIDED, ExitCode.INCOMPLETE),
)


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What a run of reports left: one record each, where they stand, and how it ends."""

    records: tuple[Record, ...]
    paths: tuple[str, ...]
    index: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The worst verdict's code: failed before breached before cannot tell."""
        verdicts = {record["verdict"] for record in self.records}
        return next((code for verdict, code in _CODES if verdict in verdicts), ExitCode.OK)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "exit_code": int(self.exit_code),
            "index": self.index,
            "seconds": round(self.seconds, 2),
            "reports": [{**record, "path": path} for record, path in zip(self.records, self.paths, strict=True)],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The result for people: each report with its verdict and place, the index last."""
        shown = [
            records.line(record) + (f"\n  {path}" if path else "")
            for record, path in zip(self.records, self.paths, strict=True)
        ]
        return [*shown, *self.notes, self.index]


def run_reports(
    names: Iterable[str],
    *,
    data: Path,
    out: str | os.PathLike[str] = "reports",
    since: str = "",
    until: str = "",
    parameters: Mapping[str, Value] | None = None,
    fail_above: float | None = None,
    as_of: str = "",
    keep: int | None = None,
    on_breach: str = "",
    jobs: int = 2,
    timeout: int = 600,
    progress: Callable[[str], None] = lambda _: None,
) -> ReportSummary:
    """Run the notebooks called *names* (all for none) on the store at *data* and leave their reports in *out*.

    Raises `UsageError` before any kernel starts where a name or a parameter is wrong, `ReportError`
    where *out* cannot be written. A notebook that fails leaves a failure page and the others go on.
    """
    from flexkit.locate import notebooks_folder
    from flexkit.report import notebook as notebooks
    from flexkit.report.drawing import Drawings
    from flexkit.report.folder import folder
    from flexkit.report.making import Job, Maker
    from flexkit.report.scrub import Scrubber

    began = time.monotonic()
    now = dt.datetime.now(dt.UTC)
    options = {"since": since, "until": until, "as_of": as_of, "fail_above": fail_above}
    given = {name: value for name, value in options.items() if value not in ("", None)} | dict(parameters or {})
    if "data" in given:
        msg = (
            "The data folder is not a parameter of a report: name it with --data, so that no page shows where it lies."
        )
        raise UsageError(msg)
    chosen = notebooks.find(names, notebooks_folder())
    values = notebooks.typed(chosen, given, now=now)
    place = folder(out)
    jobs = min(max(jobs, 1), len(chosen))
    with Drawings() as drawings:
        threads = max(1, _cores() // jobs) if jobs > 1 else 0
        maker = Maker(place, Scrubber(data), drawings, progress, threading.Semaphore(jobs), threads)
        done = _all_done(maker, [Job(book, values[book.name], now, data, timeout) for book in chosen], jobs)
    notes = _notify(on_breach, [record for record, _ in done])
    index = _finish(place, [book.name for book in chosen], keep, now)
    return ReportSummary(
        tuple(record for record, _ in done),
        tuple(path for _, path in done),
        index,
        time.monotonic() - began,
        tuple(notes),
    )


def _all_done(maker: Maker, wanted: list[Job], jobs: int) -> list[tuple[Record, str]]:
    """What became of each of *wanted*, in their order, *jobs* at a time; Ctrl-C and SIGTERM end them all at once."""
    # One more than run: its kernel boots meanwhile, so that no processor waits when a place becomes free.
    workers = jobs + 1 if jobs > 1 else 1
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="report") as pool:
        # The longest begin first, so that none of them is left alone at the end.
        order = sorted(range(len(wanted)), key=lambda at: -len(wanted[at].notebook.cells))
        started = {at: pool.submit(maker.make, wanted[at]) for at in order}
        try:
            with stoppable():
                # Looked at again and again: a library that has taken over SIGINT (delta-rs does when it
                # writes) restarts the wait that the signal should have ended.
                while wait(started.values(), timeout=0.2).not_done:
                    pass
            return [started[at].result() for at in range(len(wanted))]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            maker.stop()
            raise


def _cores() -> int:
    """How many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finish(place: Folder, names: list[str], keep: int | None, now: dt.datetime) -> str:
    """Forget old runs and write the index, one process at a time."""
    from flexkit.report.index import index

    with place.lock("index", wait=_INDEX_WAIT):
        if keep is not None:
            for name in names:
                for old in place.runs(name)[keep:]:
                    place.remove(old["run"])
        return place.write("index.html", index(place.runs(), updated=now.isoformat(timespec="seconds")))


def _notify(command: str, done: list[Record]) -> list[str]:
    """Give each breached report's record to *command*; what the command does wrong is noted, no more."""
    import shlex

    notes = []
    for record in done:
        if not command or record["verdict"] != Verdict.BREACH:
            continue
        try:
            ended = subprocess.run(  # noqa: S603 - the user's own command, from her command line
                shlex.split(command), input=records.write(record), text=True, timeout=_HOOK_SECONDS, check=False,
                capture_output=True,
            )  # fmt: skip
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            notes.append(f"--on-breach did not run for {record['report']}: {type(error).__name__}.")
            continue
        if ended.returncode != 0:
            notes.append(f"--on-breach ended with code {ended.returncode} for {record['report']}.")
    return notes
