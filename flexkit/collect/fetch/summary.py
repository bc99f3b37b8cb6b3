"""What a fetch did, or would do, in words and for machines: rows, windows, what is missing and what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.errors import ExitCode
from flexkit.window import Window, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.tables.store_delta import Added

SOURCES = ("alerts", "task_events", "interactions", "conversations", "studio", "configuration", "audit_events")
"""What can be fetched, and switched off; each fails alone."""

_TABLE_SOURCE = {
    "alerts": "alerts",
    "task_events": "task_events",
    "interactions": "interactions",
    "channels": "interactions",
    "participants": "interactions",
    "invites": "interactions",
    "conversations": "conversations",
    "executions": "studio",
    "steps": "studio",
    "configuration": "configuration",
}
_BY_TIME = ("alerts", "task_events", "studio", "audit_events")
"""Sources whose windows tell something: the others are asked for by SID."""
AGAIN = "Run 'flexkit fetch' again: it asks for what is missing only."


@dataclass
class Tally:
    """One source: what was asked, what came, what is new, and what is not whole."""

    records: int = 0
    rows: int = 0
    new_rows: int = 0
    windows: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"records": self.records, "rows": self.rows, "new_rows": self.new_rows, "windows": dict(self.windows)}


@dataclass
class Gap:
    """Something that could not be read: how often, an example, and what to do."""

    source: str
    reason: str
    advice: str
    count: int = 0
    resource: str = ""
    is_open: bool = True
    """Whether a later fetch may still get it."""

    def line(self) -> str:
        """One sentence or two."""
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        where = f"{self.resource}{more}: " if self.resource else ""
        return f"missing {self.source}: {where}{self.reason} {self.advice}".rstrip()


@dataclass
class FetchSummary:
    """What a fetch did. It is filled while it runs; ``lines`` and ``to_dict`` may be asked at any time."""

    account: str = ""
    window: Window | None = None
    sources: dict[str, Tally] = field(default_factory=dict)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gaps: dict[tuple[str, str], Gap] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stopped: str | None = None
    """Why it ended early, where it did."""
    stop_code: ExitCode = ExitCode.INCOMPLETE

    def tally(self, source: str) -> Tally:
        """The tally of *source*."""
        return self.sources.setdefault(source, Tally())

    def miss(self, source: str, resource: str, reason: str, advice: str = AGAIN, *, is_open: bool = True) -> None:
        """Note that *resource* of *source* could not be read; equal reasons are counted together."""
        gap = self.gaps.setdefault((source, reason), Gap(source, reason, advice, is_open=is_open))
        gap.count += 1
        gap.resource = gap.resource or resource

    def warn(self, sentence: str) -> None:
        """Note something that the reader should know, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def stored(self, added: Mapping[str, Added]) -> None:
        """Count what one batch added to the tables."""
        for name, done in added.items():
            table = self.tables.setdefault(name, {"rows": 0, "new_rows": 0})
            table["rows"] += done.rows
            table["new_rows"] += done.new_rows
            if (source := _TABLE_SOURCE.get(name)) is not None:
                tally = self.tally(source)
                tally.rows += done.rows
                tally.new_rows += done.new_rows

    @property
    def incomplete(self) -> bool:
        """Whether a window or a resource was left open."""
        return self.stopped is not None or any(gap.is_open for gap in self.gaps.values())

    @property
    def exit_code(self) -> ExitCode:
        """0, or 4 where something was left open (2 where the credentials were refused on the way)."""
        if self.stopped is not None:
            return self.stop_code
        return ExitCode.INCOMPLETE if self.incomplete else ExitCode.OK

    def lines(self) -> list[str]:
        """Sentences for people: one per source, what is missing, the whole."""
        told = [f"{name}: {self._line(name, tally)}" for name, tally in self.sources.items()]
        if rejected := self.tables.get("rejects", {}).get("rows", 0):
            told.append(f"{counted(rejected, 'record')} did not fit: kept in the table of rejects with the reasons")
        told += [gap.line() for gap in self.gaps.values()]
        told += [f"note: {warning}" for warning in self.warnings]
        if self.stopped is not None:
            told.append(f"stopped: {self.stopped} All that came before is kept.")
        span = f" {_seconds(self.window)}" if self.window is not None else ""
        told.append(
            f"fetched{span}: {counted(self.requests, 'request')}, {counted(self.retries, 'retry')}, "
            f"{counted(self.refusals, 'refusal')} (429), {self.seconds:.1f} seconds"
            + ("; something was left open" if self.incomplete else "")
        )
        return told

    def _line(self, name: str, tally: Tally) -> str:
        told = counted(tally.records, "record")
        if name in _TABLE_SOURCE.values():
            told += f", {counted(tally.rows, 'row')} ({tally.new_rows:,} new)"
        if name in _BY_TIME and tally.windows:
            states = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.windows.items()))
            told += f"; windows: {states}"
        return told

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "account": self.account,
            "window": None if self.window is None else [stamp(self.window.start), stamp(self.window.end)],
            "sources": {name: tally.to_dict() for name, tally in self.sources.items()},
            "tables": self.tables,
            "requests": self.requests,
            "retries": self.retries,
            "refusals": self.refusals,
            "faults": self.faults,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "missing": [
                {
                    "source": gap.source,
                    "resource": gap.resource,
                    "count": gap.count,
                    "reason": gap.reason,
                    "do": gap.advice,
                    "open": gap.is_open,
                }
                for gap in self.gaps.values()
            ],
            "warnings": self.warnings,
            "stopped": self.stopped,
            "incomplete": self.incomplete,
            "exit_code": int(self.exit_code),
        }


@dataclass
class Planned:
    """What would be asked of one source."""

    source: str
    what: str
    windows: list[Window]
    requests: int
    is_least: bool = False
    """Whether more may follow from what these find."""


@dataclass
class FetchPlan:
    """What a fetch would ask, in about how many requests; made without asking anything."""

    window: Window
    steps: list[Planned]
    warnings: list[str] = field(default_factory=list)
    exit_code: ExitCode = ExitCode.OK

    @property
    def requests(self) -> int:
        """About how many requests, as far as the store can tell."""
        return sum(step.requests for step in self.steps)

    def lines(self) -> list[str]:
        """Sentences for people."""
        told = [f"would read {_seconds(self.window)}; nothing was asked yet"]
        for step in self.steps:
            about = "at least" if step.is_least else "about"
            windows = counted(len(step.windows), "open window")
            spans = f" ({windows}, {_length(step.windows)})" if step.windows else ""
            told.append(f"{step.source}: {step.what}{spans}: {about} {counted(step.requests, 'request')}")
        told += [f"note: {warning}" for warning in self.warnings]
        least = any(step.is_least for step in self.steps)
        told.append(
            f"{'at least' if least else 'about'} {counted(self.requests, 'request')} in all"
            + ("; each interaction that is found takes about 6 more" if least else "")
        )
        return told

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "window": [stamp(self.window.start), stamp(self.window.end)],
            "requests": self.requests,
            "steps": [
                {
                    "source": step.source,
                    "what": step.what,
                    "windows": [[stamp(span.start), stamp(span.end)] for span in step.windows],
                    "requests": step.requests,
                    "at_least": step.is_least,
                }
                for step in self.steps
            ],
            "warnings": self.warnings,
            "exit_code": int(self.exit_code),
        }


def counted(count: int, what: str) -> str:
    """*count* things, in words."""
    several = f"{what.removesuffix('y')}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else several}"


def _seconds(window: Window) -> str:
    """*window* for people: to the second."""
    return " to ".join(stamp(at.replace(microsecond=0)) for at in (window.start, window.end))


def _length(windows: list[Window]) -> str:
    hours = sum(window.seconds for window in windows) / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
