"""What the store already holds, and so what is still to be asked: windows, interactions, conversations, details."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.fetch.windows import joined, missing
from flexkit.terms import CoverageState, Source
from flexkit.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flexkit.tables.store import Store

RETENTION = dt.timedelta(days=30)
"""How long Twilio keeps alerts and TaskRouter events (source: Twilio's documentation)."""
NEARLY = dt.timedelta(days=25)
"""Time without a fetch after which a warning is due."""
OVERLAP = dt.timedelta(hours=2)
"""Records arrive late: what was read younger than this is read once more."""
NOT_OPEN = "80906"

_SETTLED = (CoverageState.COMPLETE, CoverageState.SATURATED, CoverageState.EXPIRED)
_OVER = ("closed", "failed")
_NAMING = ("task_events", "signals", "alerts")


class Held:
    """Questions about *store* that decide what a fetch asks for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.coverage().filter(~pl.col("resource").str.starts_with("file:"))
        self._coverage = rows.select("source", "resource", "start", "end", "rows", "state", "fetched_at").collect()

    def windows(self, source: Source, resource: str) -> list[Window]:
        """The windows of *resource* that need not be read again."""
        rows = self._of(source, resource).filter(pl.col("state").is_in([state.value for state in _SETTLED]))
        young = pl.col("fetched_at") - OVERLAP
        rows = rows.with_columns(end=pl.min_horizontal("end", young)).filter(pl.col("start") < pl.col("end"))
        return joined(Window(start, end) for start, end in rows.select("start", "end").iter_rows())

    def open_windows(self, source: Source, resource: str, wanted: Window) -> list[Window]:
        """The parts of *wanted* that are to be read."""
        return missing(wanted, self.windows(source, resource))

    def last_end(self, source: Source, resource: str) -> dt.datetime | None:
        """Up to when *resource* was ever read."""
        windows = self.windows(source, resource)
        return windows[-1].end if windows else None

    def rows_per_second(self, source: Source, resource: str) -> float | None:
        """How dense *resource* was where it was read."""
        rows = self._of(source, resource).filter(pl.col("state") == CoverageState.COMPLETE)
        seconds = sum(Window(start, end).seconds for start, end in rows.select("start", "end").iter_rows())
        return float(rows["rows"].sum()) / seconds if seconds else None

    def resources(self, source: Source, prefix: str) -> list[str]:
        """The resources of *source* whose name begins with *prefix*."""
        rows = self._coverage.filter((pl.col("source") == source) & pl.col("resource").str.starts_with(prefix))
        return sorted(rows["resource"].unique().to_list())

    def open_units(self, prefix: str) -> dict[str, Window]:
        """Single resources of which a part could not be read, by SID, with the window they were marked for."""
        rows = self._coverage.filter(pl.col("resource").str.starts_with(f"{prefix}:"))
        last = rows.sort("fetched_at").group_by("resource").last()
        last = last.filter(pl.col("state") == CoverageState.PARTIAL)
        return {
            name.partition(":")[2]: Window(start, end)
            for name, start, end in last.select("resource", "start", "end").iter_rows()
        }

    def _of(self, source: Source, resource: str) -> pl.DataFrame:
        return self._coverage.filter((pl.col("source") == source) & (pl.col("resource") == resource))

    # Single resources ---------------------------------------------------------------------------------

    def interactions_read(self) -> set[str]:
        """Interactions that are final: gone, or last seen with no channel that can still change."""
        last = pl.col("status").sort_by("observed_at").last()
        channels = self._store.table("channels").filter("found").group_by("interaction_sid", "channel_sid").agg(last)
        over = channels.group_by("interaction_sid").agg(is_over=pl.col("status").is_in(_OVER).all())
        rows = self._store.table("interactions").select("interaction_sid", "found")
        done = rows.join(over, on="interaction_sid", how="left")
        return _sids(done.filter(~pl.col("found") | pl.col("is_over").fill_null(value=False)), "interaction_sid")

    def conversations_read(self) -> set[str]:
        """Conversations that are final: gone or closed."""
        rows = self._store.table("conversations").filter(~pl.col("found") | (pl.col("state") == "closed"))
        return _sids(rows, "conversation_sid")

    def interactions_to_read(self, asked: Window, recent: Window) -> list[str]:
        """Interactions that evidence of *asked* names, and those of *recent* that are held but not final."""
        return self._to_read("interaction_sid", "interactions", self.interactions_read(), asked, recent)

    def conversations_to_read(self, asked: Window, recent: Window) -> list[str]:
        """The same for conversations."""
        return self._to_read("conversation_sid", "conversations", self.conversations_read(), asked, recent)

    def _to_read(self, column: str, table: str, final: set[str], asked: Window, recent: Window) -> list[str]:
        named = self._named(column, asked)
        if recent.start < asked.start:
            named |= self._named(column, recent) & _sids(self._store.table(table), column)
        return sorted(named - final)

    def _named(self, column: str, window: Window) -> set[str]:
        """What evidence of *window* names, whatever brought it."""
        frames = [self._store.table(name, window).select(pl.col(column)).drop_nulls().unique() for name in _NAMING]
        return _sids(pl.concat(frames).unique(), column)

    def alerts_with_detail(self) -> set[str]:
        """Warnings 80906 that were fetched singly."""
        rows = self._store.table("alerts").filter((pl.col("error_code") == NOT_OPEN) & pl.col("has_detail"))
        return _sids(rows, "alert_sid")

    def alerts_without_detail(self, window: Window) -> list[str]:
        """Warnings 80906 of *window* that were only seen in a list."""
        rows = self._store.table("alerts", window).filter(
            (pl.col("error_code") == NOT_OPEN) & ~pl.col("has_detail").fill_null(value=False)
        )
        return sorted(_sids(rows, "alert_sid"))

    def executions_ended(self, window: Window) -> set[str]:
        """Studio executions of *window* that ended, and are held with their steps."""
        rows = self._store.table("executions", window).filter(pl.col("status") == "ended")
        # Event Streams may have told of its end, and of no step.
        steps = self._store.table("steps").select("execution_sid")
        return _sids(rows.join(steps, on="execution_sid", how="semi"), "execution_sid")

    def executions_to_reread(self, window: Window) -> list[tuple[str, str]]:
        """Flow and SID of the executions of *window* that had not ended, and of any of which a part is missing.

        A window is closed when its executions are held: one that ended without its steps is in no open window.
        """
        names = ("flow_sid", "execution_sid")
        running = self._store.table("executions", window).filter(pl.col("status") != "ended").select(names)
        broken = self._store.table("executions").filter(
            pl.col("execution_sid").is_in(list(self.open_units("execution")))
        )
        return sorted(pl.concat([running, broken.select(names)]).drop_nulls().unique().collect().iter_rows())

    def workspaces(self) -> list[str]:
        """Workspaces whose events were ever read."""
        return [name.partition(":")[2] for name in self.resources(Source.TASKROUTER, "events:")]


def _sids(rows: pl.LazyFrame, column: str) -> set[str]:
    return set(rows.select(column).collect().to_series().to_list())


def unseen(sids: Iterable[str], seen: set[str]) -> list[str]:
    """Those of *sids* that are not in *seen*, which learns them."""
    fresh = [sid for sid in dict.fromkeys(sids) if sid not in seen]
    seen.update(fresh)
    return fresh
