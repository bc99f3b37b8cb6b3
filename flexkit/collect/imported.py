"""What an import did, file by file, in words and for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.errors import ExitCode
from flexkit.window import stamp

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from flexkit.tables.store_delta import Added

_PLACES = 3
"""Places that are named of each reason."""


def printable(name: str) -> str:
    """A file's name that can do no harm on a terminal: no control characters, at most 200 characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[:200]


@dataclass
class FileSummary:
    """What became of one file: rows per table, rejects by reason with places, unknown events."""

    path: str
    kind: str = "unknown"
    records: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    new_rows: dict[str, int] = field(default_factory=dict)
    changed_rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    failure: str | None = None
    exit_code: ExitCode = ExitCode.FAILED

    def count(self, table: str, added: Added) -> None:
        """Add what was stored of one batch in *table*."""
        for counts, number in (
            (self.rows, added.rows),
            (self.new_rows, added.new_rows),
            (self.changed_rows, added.changed_rows),
        ):
            counts[table] = counts.get(table, 0) + number

    def reject(self, rejects: pl.DataFrame) -> None:
        """Add the rejects of one batch."""
        for reason, source in rejects.select("reason", "source").iter_rows():
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
            places = self.places.setdefault(reason, [])
            if source and len(places) < _PLACES:
                places.append(source)

    def lines(self) -> list[str]:
        """Sentences about the file, the first with its name."""
        if self.failure is not None:
            return [f"{self.path}: {self.failure}"]
        tables = ", ".join(
            f"{name} {count:,} ({self.new_rows.get(name, 0):,} new)"
            for name, count in self.rows.items()
            if name != "rejects"
        )
        count = sum(self.rejected.values())
        told = [f"{self.path}: {self.kind}, {self.records:,} records: {tables or 'nothing stored'}; {count:,} rejected"]
        if self.first is not None and self.last is not None:
            told.append(f"  from {stamp(self.first)} to {stamp(self.last)}")
        for reason, number in sorted(self.rejected.items(), key=lambda item: -item[1]):
            places = ", ".join(self.places.get(reason, []))
            more = (
                ""
                if number <= len(self.places.get(reason, []))
                else f" and {number - len(self.places.get(reason, [])):,} more"
            )
            told.append(f"  rejected at {places}{more}: {reason}" if places else f"  rejected {number:,}: {reason}")
        for event, number in sorted(self.unknown.items()):
            told.append(f"  kept {number:,} of the unknown event {event}")
        return told

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "file": self.path,
            "kind": self.kind,
            "records": self.records,
            "rows": self.rows,
            "new_rows": self.new_rows,
            "changed_rows": self.changed_rows,
            "rejects": [
                {"reason": reason, "count": count, "places": self.places.get(reason, [])}
                for reason, count in self.rejected.items()
            ],
            "unknown_events": self.unknown,
            "window": None if self.first is None or self.last is None else [stamp(self.first), stamp(self.last)],
            "failure": self.failure,
        }


@dataclass
class ImportSummary:
    """What became of every file of an import."""

    files: list[FileSummary] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def new_rows(self) -> dict[str, int]:
        """New rows per table, over all files."""
        total: dict[str, int] = {}
        for file in self.files:
            for name, count in file.new_rows.items():
                total[name] = total.get(name, 0) + count
        return total

    @property
    def rejected(self) -> int:
        """Rejects over all files."""
        return sum(sum(file.rejected.values()) for file in self.files)

    @property
    def failures(self) -> dict[str, str]:
        """Files that could not be read, and why."""
        return {file.path: file.failure for file in self.files if file.failure is not None}

    @property
    def exit_code(self) -> ExitCode:
        """0 where all was taken; 2 where an argument is needed; 1 where a file or a record was refused."""
        failed = [file.exit_code for file in self.files if file.failure is not None]
        if failed:
            return max(failed)
        return ExitCode.FAILED if self.rejected else ExitCode.OK

    def lines(self) -> list[str]:
        """Sentences about every file and the whole."""
        told = [line for file in self.files for line in file.lines()]
        new = ", ".join(f"{count:,} {name}" for name, count in self.new_rows.items() if count and name != "rejects")
        count = f"{len(self.files)} file{'' if len(self.files) == 1 else 's'}"
        told.append(f"{count}: {new or 'nothing'} new; {self.rejected:,} records rejected")
        if self.rejected:
            told.append(
                "What was rejected is in the table 'rejects', without personal data. Correct it and import the file "
                "again: what is stored already is not stored twice."
            )
        return [*told, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "files": [file.to_dict() for file in self.files],
            "new_rows": self.new_rows,
            "rejected": self.rejected,
            "failures": self.failures,
            "notes": self.notes,
            "exit_code": int(self.exit_code),
        }
