"""Make one report: execute, keep the notebook, render, write aside, publish; what fails leaves a failure page."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.errors import FlexkitError, ReportError
from flexkit.report import record as records
from flexkit.report.folder import RECORD
from flexkit.report.kernel import CellFailed, Kernel
from flexkit.terms import Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flexkit.report.drawing import Drawings
    from flexkit.report.folder import Folder
    from flexkit.report.notebook import Notebook, Value
    from flexkit.report.record import Record
    from flexkit.report.scrub import Scrubber


class Stopped(Exception):  # noqa: N818 - says what happened
    """The run was told to stop."""


@dataclass(frozen=True, slots=True)
class Job:
    """One report to make: everything that is decided before its kernel starts."""

    notebook: Notebook
    parameters: dict[str, Value]
    started: dt.datetime
    data: Path
    timeout: int


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes reports into one place; jobs may run side by side."""

    place: Folder
    scrubber: Scrubber
    drawings: Drawings
    progress: Callable[[str], None]
    turns: threading.Semaphore = field(default_factory=threading.Semaphore)
    """How many notebooks run at the same time; before its turn a kernel boots, after it its page is made."""
    threads: int = 0
    """Threads of each kernel; 0 for as many as the machine has."""
    _running: set[Kernel] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End all kernels at once; what they were making is left out, as if it had never begun."""
        self._stopped.set()
        for kernel in list(self._running):
            kernel.end()

    def make(self, job: Job) -> tuple[Record, str]:
        """The record of *job* and the path of its page; "" where not even a failure page could be written."""
        name = job.notebook.name
        self.progress(f"{name}: running")
        stamp = f"{job.started:%Y%m%dT%H%M%SZ}"
        try:
            with self.place.lock(name, wait=0):
                earlier = self.place.runs(name)
                record, path = self._make(job, _free(stamp, name, earlier), earlier)
        except ReportError as error:
            reason = self.scrubber.sentence(str(error))
            record, path = records.failed(self._base(job, stamp), cell="none", reason=reason), ""
        self.progress(records.line(record))
        return record, path

    def _base(self, job: Job, stamp: str) -> Record:
        effective = {one.name: one.default for one in job.notebook.parameters.values()} | job.parameters
        return records.started(job.notebook.name, job.notebook.title, stamp, job.started, self.scrubber.tree(effective))

    def _make(self, job: Job, stamp: str, earlier: list[Record]) -> tuple[Record, str]:
        name = job.notebook.name
        good = next((run for run in earlier if run["verdict"] != Verdict.FAILED), None)
        began = time.monotonic()
        aside = self.place.aside(name, stamp)
        try:
            try:
                record, page = self._report(job, stamp, good, aside, began)
            except CellFailed as error:
                self._go_on()
                record = records.failed(
                    self._base(job, stamp), cell=error.cell, reason=self.scrubber.sentence(error.reason)
                )
                record["seconds"] = round(time.monotonic() - began, 2)
                page = _failure_page(record, good)
                (aside / "notebook.ipynb").unlink(missing_ok=True)
            self._go_on()
            _write(aside / "report.html", page)
            _write(aside / RECORD, records.write(record))
            path = self.place.publish(aside, name, stamp)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self.place.write(f"{name}/latest.html", _one_folder_up(page))
        return record, f"{path}/report.html"

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    @contextmanager
    def _kernel(self, job: Job, aside: Path) -> Iterator[Kernel]:
        with Kernel(job.data, aside, threads=self.threads) as kernel:
            self._running.add(kernel)
            try:
                self._go_on()
                yield kernel
            finally:
                self._running.discard(kernel)

    def _report(self, job: Job, stamp: str, good: Record | None, aside: Path, began: float) -> tuple[Record, str]:
        with self._kernel(job, aside) as kernel:
            # Loaded while the kernel boots; importing this module loads none of it.
            from flexkit.report import html
            from flexkit.report.execution import execute

            # Two processors have enough to do until here, and nothing is to be drawn before the first cells have run.
            self.drawings.warm_up()
            base = self._base(job, stamp)
            html.warm_up()
            with self.turns:
                self._go_on()
                executed = execute(job.notebook, job.parameters, kernel=kernel, timeout=job.timeout, on_cell=self._draw)
        try:
            said = self.scrubber.tree(records.said_by(executed))
            spent = round(time.monotonic() - began, 2)
            record = records.compared({**base, **said, "seconds": spent}, good)
            clean = _clean(executed, self.scrubber)
            _keep(clean, aside / "notebook.ipynb")
            return record, html.page(clean, record, good, self.drawings)
        except FlexkitError:
            raise
        except Exception as error:
            raise CellFailed("none: the page could not be rendered", f"{type(error).__name__}: {error}") from error

    def _draw(self, cell: Any) -> None:
        """Begin to draw a cell's figures while the next cell runs."""
        from flexkit.report import html

        for output in cell.get("outputs", []):
            if spec := html.chart_of(output):
                self.drawings.start(spec)


def _failure_page(record: Record, last_good: Record | None) -> str:
    from flexkit.report import html

    return html.failure(record, last_good)


def _one_folder_up(page: str) -> str:
    from flexkit.report import html

    return html.moved_up(page)


def _clean(executed: Any, scrubber: Scrubber) -> Any:
    """The executed notebook without paths of this machine, secrets, and what papermill noted of both."""
    import nbformat

    held = executed.metadata.get("papermill", {})
    kept = {name: held[name] for name in ("parameters", "version", "start_time", "end_time") if name in held}
    executed.metadata["papermill"] = kept
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                # Evidence was redacted when it was stored; what a cell or a library prints never was.
                output.text = "\n".join(map(scrubber.line, output.text.split("\n")))
    return nbformat.from_dict(scrubber.tree(executed))  # type: ignore[no-untyped-call]


def _keep(clean: Any, path: Path) -> None:
    """Keep the executed notebook, signed so that JupyterLab trusts it."""
    import sqlite3
    from contextlib import suppress

    import nbformat
    from nbformat.sign import NotebookNotary

    _write(path, nbformat.writes(clean))  # type: ignore[no-untyped-call]
    # A home that cannot be written costs the signature: charts are drawn in untrusted notebooks too.
    with suppress(OSError, sqlite3.Error):
        NotebookNotary().sign(clean)  # type: ignore[no-untyped-call]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"Cannot write {path.name}: {error.strerror}. Make room, or name another folder with --out."
        raise ReportError(msg) from None


def _free(stamp: str, name: str, earlier: list[Record]) -> str:
    """*stamp*, numbered where a run of the same second has it."""
    taken = {run["run"] for run in earlier}
    tries = [stamp, *(f"{stamp}-{number}" for number in range(2, 1000))]
    return next(one for one in tries if f"{name}/{one}" not in taken)
