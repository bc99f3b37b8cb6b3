"""A few lines of evidence for one interaction, as the tables hold them: for tests that need a small world."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flexkit.tables.keys import signal_keys
from flexkit.tables.schema import ALERTS, SIGNALS

NOON = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)

CONTRACT = (
    "signal_id", "occurred_at", "time_kind", "interaction_sid", "channel_sid", "task_sid", "conversation_sid",
    "channel_type", "source", "kind", "outcome", "actor_type", "handler", "trigger_id", "attempt", "evidence_sid",
)  # fmt: skip
"""The columns of the signals table that everybody may rely on, and no more."""

_OPERATIONS = {
    "close_channel": "close_channel_requested",
    "complete_task": "complete_requested",
    "close_participant": "close_participant_requested",
    "close_conversation": "close_conversation_requested",
}


def sid(prefix: str, number: int) -> str:
    """A well-formed SID."""
    return f"{prefix}{number:032x}"


def at(seconds: float) -> dt.datetime:
    """An instant *seconds* after noon."""
    return NOON + dt.timedelta(seconds=seconds)


@dataclass
class World:
    """Signals and alerts, written one by one; seconds count from noon."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    alert_rows: list[dict[str, Any]] = field(default_factory=list)

    def interaction(self, number: int = 1, **common: Any) -> Story:
        return Story(self, number, common)

    def signals(self, *, contract_only: bool = False) -> pl.LazyFrame:
        rows = [{"signal_id": f"s{index}", **row} for index, row in enumerate(self.rows)]
        frame = pl.DataFrame(rows, schema=SIGNALS.dtypes).lazy().with_columns(*signal_keys())
        return frame.select(CONTRACT) if contract_only else frame

    def alerts(self) -> pl.LazyFrame:
        return pl.DataFrame(self.alert_rows, schema=ALERTS.dtypes).lazy()


@dataclass
class Story:
    """One interaction's evidence."""

    world: World
    number: int
    common: dict[str, Any]
    events: int = 0

    @property
    def kd(self) -> str:
        return sid("KD", self.number)

    def event(self, offset: int = 0) -> str:
        """SID of the TaskRouter event written last (or *offset* before it)."""
        return sid("EV", self.number * 1000 + self.events - offset)

    def signal(self, kind: str, seconds: float, source: str, **columns: Any) -> Story:
        self.world.rows.append(
            {
                "interaction_sid": self.kd,
                "channel_sid": sid("UO", self.number),
                "conversation_sid": sid("CH", self.number),
                "channel_type": "web",
                "time_kind": "event",
                "kind": kind,
                "source": source,
                "occurred_at": at(seconds),
                **self.common,
                **columns,
            }
        )
        return self

    def closed(self, seconds: float, *, delivery: str | None = None, **columns: Any) -> Story:
        """The channel is closed: an Interactions webhook arrives."""
        columns = {"time_kind": "receipt", "trigger_id": delivery or f"tok-{self.number}-{seconds}", **columns}
        return self.signal("channel_closed", seconds, "interactions_webhook", **columns)

    def task(self, name: str, seconds: float, *, task: int = 1, actor: str | None = None, **columns: Any) -> Story:
        """A TaskRouter event: created, wrapup, completed, canceled, deleted; or a whole kind."""
        self.events += 1
        kind = name if "_" in name or "." in name else f"task_{name}"
        columns = {"evidence_sid": self.event(), "trigger_id": self.event(), "actor_type": actor, **columns}
        return self.signal(kind, seconds, "taskrouter", task_sid=sid("WT", self.number * 10 + task), **columns)

    def log(
        self, operation: str, seconds: float, handler: str, trigger: str | None = None,
        *, outcome: str | None = "accepted", **columns: Any,
    ) -> Story:  # fmt: skip
        """A line of the completion log."""
        columns = {"outcome": outcome, "handler": handler, "trigger_id": trigger, **columns}
        return self.signal(_OPERATIONS[operation], seconds, "app_log", **columns)

    def step(self, seconds: float, *, execution: int = 1, widget: str = "close_channel", **columns: Any) -> Story:
        """A Studio step that closes."""
        columns = {
            "handler": f"hours/{widget}",
            "trigger_id": sid("FN", execution),
            "evidence_sid": sid("FT", self.number * 100 + len(self.world.rows)),
            "widget": widget,
            "flow_sid": sid("FW", 1),
            **columns,
        }
        return self.signal("studio_step", seconds, "studio", **columns)

    def warned(self, *seconds: float, **columns: Any) -> Story:
        """80906 alerts, in signals and in alerts."""
        for when in seconds:
            number = len(self.world.alert_rows) + 1
            whole = at(when).replace(microsecond=0)
            self.signal(
                "warning", when, "debugger", evidence_sid=sid("NO", number),
                **{"occurred_at": whole, "precision_us": 1_000_000, **columns},
            )  # fmt: skip
            self.world.alert_rows.append(
                {
                    "alert_sid": sid("NO", number), "error_code": "80906", "log_level": "warning",
                    "generated_at": whole, "resource_sid": self.kd, "origin": "flex", "interaction_sid": self.kd,
                }
            )  # fmt: skip
        return self

    def served(self, *, closed: float, completed: float | None = None) -> Story:
        """The cascade of one close by whoever: conversation, wrap-up, and a later completion by the agent."""
        self.task("created", closed - 600)
        self.closed(closed + 0.3)
        self.signal("conversation_closed", closed + 0.2, "conversations", reason="API")
        self.task("wrapup", closed + 0.4, actor="workspace")
        self.task("completed", closed + 45 if completed is None else completed, actor="worker")
        return self
