"""Where reports go: a folder, or through fsspec any place that it knows. Nothing half-written is ever seen."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flexkit.errors import ReportError, UsageError
from flexkit.report import record as records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flexkit.report.record import Record

_STAMP = re.compile(r"\d{8}T\d{6}Z(?:-\d{1,3})?")
_REPORT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
RECORD = "run.json"


class Folder(Protocol):
    """What a run needs of the place that its reports go to."""

    def aside(self, name: str, stamp: str) -> Path: ...
    def publish(self, aside: Path, name: str, stamp: str) -> str: ...
    def write(self, path: str, text: str) -> str: ...
    def runs(self, name: str | None = None) -> list[Record]: ...
    def remove(self, run: str) -> None: ...
    def lock(self, name: str, *, wait: float) -> Any: ...


def folder(out: str | os.PathLike[str]) -> Folder:
    """The folder at *out*: a path, or a URL such as ``s3://bucket/reports`` (``pip install 'flexkit[remote]'``)."""
    text = os.fspath(out)
    if "://" not in text:
        return LocalFolder(Path(text))
    try:
        import fsspec
    except ImportError:
        msg = f"Writing reports to {text.split('://')[0]}:// needs fsspec. Install it: pip install 'flexkit[remote]'."
        raise UsageError(msg) from None
    try:
        filesystem, root = fsspec.core.url_to_fs(text)
    except (ValueError, ImportError) as error:
        msg = f"Cannot write reports to {text.split('://')[0]}://: {error}"
        raise UsageError(msg) from None
    return RemoteFolder(filesystem, root)


class LocalFolder:
    """A folder on disk: a run is written beside its place and renamed into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def aside(self, name: str, stamp: str) -> Path:
        """An empty folder beside the run's place; what an earlier crash left of this report is removed."""
        with _told(self.root):
            home = self.root / name
            home.mkdir(parents=True, exist_ok=True)
            for left in home.glob(".*.part"):
                shutil.rmtree(left, ignore_errors=True)
            place = home / f".{stamp}.part"
            place.mkdir()
            return place

    def publish(self, aside: Path, name: str, stamp: str) -> str:
        """Put the finished run in its place, in one step."""
        with _told(self.root):
            target = self.root / name / stamp
            aside.rename(target)
            return str(target)

    def write(self, path: str, text: str) -> str:
        """Replace one file in one step."""
        with _told(self.root):
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                aside.write_text(text, encoding="utf-8")
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
            return str(target)

    def runs(self, name: str | None = None) -> list[Record]:
        """The records of every run here, newest first."""
        found = []
        for path in self.root.glob(f"{name or '*'}/*/{RECORD}"):
            if is_run(path.parent.parent.name, path.parent.name):
                try:
                    found.append(records.read(path.read_text(encoding="utf-8")))
                except OSError:
                    continue
        return _newest_first(found)

    def remove(self, run: str) -> None:
        """Delete one run's folder."""
        if is_run(*run.split("/", 1)):
            shutil.rmtree(self.root / run, ignore_errors=True)

    @contextmanager
    def lock(self, name: str, *, wait: float) -> Iterator[None]:
        """Hold *name* for this process; `ReportError` where another holds it for longer than *wait* seconds."""
        from filelock import FileLock, Timeout

        with _told(self.root):
            (self.root / ".locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".locks" / f"{name}.lock")
            try:
                lock.acquire(timeout=wait)
            except Timeout:
                msg = f"Another run is writing {name} into {self.root}. Wait for it, or write elsewhere with --out."
                raise ReportError(msg) from None
        try:
            yield
        finally:
            lock.release()


class RemoteFolder:
    """A place that fsspec knows. Object stores cannot rename, so a run counts once its run.json is there."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._files = filesystem
        self._root = root.rstrip("/")

    def aside(self, name: str, stamp: str) -> Path:
        """An empty folder on this machine."""
        return Path(tempfile.mkdtemp(prefix=f"flexkit-{name}-{stamp}-"))

    def publish(self, aside: Path, name: str, stamp: str) -> str:
        """Upload the finished run, its record last."""
        target = f"{self._root}/{name}/{stamp}"
        with _told(self._root):
            self._files.makedirs(target, exist_ok=True)
            for path in sorted(aside.iterdir(), key=lambda path: path.name == RECORD):
                self._files.put_file(str(path), f"{target}/{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        return target

    def write(self, path: str, text: str) -> str:
        """Replace one file."""
        target = f"{self._root}/{path}"
        with _told(self._root):
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(target, text.encode())
        return target

    def runs(self, name: str | None = None) -> list[Record]:
        """The records of every run here, newest first."""
        self._files.invalidate_cache()
        found = []
        for path in self._files.glob(f"{self._root}/{name or '*'}/*/{RECORD}"):
            report, stamp = str(path).split("/")[-3:-1]
            if is_run(report, stamp):
                found.append(records.read(self._files.cat_file(path).decode("utf-8", "replace")))
        return _newest_first(found)

    def remove(self, run: str) -> None:
        """Delete one run."""
        if is_run(*run.split("/", 1)):
            self._files.rm(f"{self._root}/{run}", recursive=True)

    @contextmanager
    def lock(self, name: str, *, wait: float) -> Iterator[None]:
        """Hold *name* among the runs of this machine; object stores have no locks between machines."""
        with LocalFolder(Path(tempfile.gettempdir()) / "flexkit-locks").lock(
            re.sub(r"\W+", "-", f"{self._root}-{name}"), wait=wait
        ):
            yield


def is_run(report: str, stamp: str) -> bool:
    """Whether *report*/*stamp* can be a run of ours: nothing else is listed, and nothing else deleted."""
    return bool(_REPORT.fullmatch(report) and _STAMP.fullmatch(stamp))


def _newest_first(found: list[Record | None]) -> list[Record]:
    kept = [found_record for found_record in found if found_record is not None]
    return sorted(kept, key=lambda one: (one["started_at"], one["run"]), reverse=True)


@contextmanager
def _told(root: object) -> Iterator[None]:
    """Turn what the system says of a disk into a sentence."""
    try:
        yield
    except OSError as error:
        msg = f"Cannot write reports into {root}: {error.strerror or error}. Free it, or name another with --out."
        raise ReportError(msg) from error
