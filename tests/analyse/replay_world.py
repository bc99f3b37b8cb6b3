"""Small worlds for the replay's tests: signals and alerts with the contract's columns, a line for each."""

from __future__ import annotations

import datetime as dt

import polars as pl

START = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)
INSTANT = pl.Datetime("us", "UTC")
SIGNALS = {
    "signal_id": pl.String, "occurred_at": INSTANT, "time_kind": pl.String, "interaction_sid": pl.String,
    "channel_sid": pl.String, "task_sid": pl.String, "conversation_sid": pl.String, "channel_type": pl.String,
    "source": pl.String, "kind": pl.String, "outcome": pl.String, "actor_type": pl.String, "handler": pl.String,
    "trigger_id": pl.String, "attempt": pl.Int64, "evidence_sid": pl.String,
}  # fmt: skip
"""The contract's columns and no more; a test that needs others adds them."""


class World:
    """Collects signals; times are seconds after the start of an interaction, interactions are an hour apart."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def add(self, interaction: int, seconds: float, kind: str, **columns: object) -> None:
        """One signal of one interaction."""
        number = len(self.lines)
        at = START + dt.timedelta(hours=3 * interaction, seconds=seconds)
        self.lines.append(
            {
                "signal_id": f"S{number}",
                "occurred_at": at,
                "time_kind": "event",
                "interaction_sid": sid("KD", interaction),
                "source": "app_log",
                "kind": kind,
                "outcome": "accepted",
                "channel_type": "web",
                **columns,
            }
        )

    def close(self, interaction: int, seconds: float, handler: str | None, **columns: object) -> None:
        """A request to close the channel."""
        self.add(interaction, seconds, "close_channel_requested", handler=handler, **columns)

    def warn(self, interaction: int, seconds: float, **columns: object) -> None:
        """The warning that Twilio gives, cut to the second as Twilio does."""
        number = len(self.lines)
        self.add(
            interaction, seconds // 1, "warning", source="debugger", evidence_sid=sid("NO", number), outcome=None,
            **columns,
        )  # fmt: skip

    def closed_again(self, interaction: int, seconds: float, handler: str | None, **columns: object) -> None:
        """A request to close, and its warning."""
        self.close(interaction, seconds, handler, **columns)
        self.warn(interaction, seconds)

    def event(self, interaction: int, seconds: float, kind: str, evidence: str, **columns: object) -> None:
        """A TaskRouter event."""
        self.add(
            interaction, seconds, kind, source="taskrouter", outcome=None, evidence_sid=evidence, trigger_id=evidence,
            **columns,
        )  # fmt: skip

    def signals(self) -> pl.LazyFrame:
        """The table so far."""
        extra = sorted({name for line in self.lines for name in line} - set(SIGNALS))
        schema = SIGNALS | {name: pl.Int64 if name == "http_status" else pl.String for name in extra}
        return pl.DataFrame(self.lines, schema=schema).lazy()


def sid(prefix: str, number: int) -> str:
    """A SID with that prefix."""
    return f"{prefix}{number:032x}"


def typical(repeats: int = 12) -> World:
    """Of each of the four mechanisms as many interactions as *repeats*, all recorded; of benign ones twice that.

    Retries of close-fn, completions after its close, parks that close the channel, and two handlers that
    listen to canceled tasks, of which janitor also serves them alone.
    """
    world = World()
    number = 0
    for _ in range(repeats):
        world.close(number, 0.2, "close-fn", trigger_id=f"t{number}", intent="end")
        world.closed_again(number, 15.2, "close-fn", trigger_id=f"t{number}", intent="end")
        number += 1
        world.close(number, 0.2, "close-fn", trigger_id=f"t{number}", intent="end")
        world.add(number, 4.7, "complete_requested", handler="agent-ui")
        world.warn(number, 4.7)
        number += 1
        world.close(number, 0.2, "park-fn", trigger_id=f"t{number}", intent="remove_agent")
        world.closed_again(number, 4800.2, "idle-job", trigger_id=f"j{number}", intent="end")
        number += 1
        world.event(number, 0.0, "task_canceled", sid("EV", number))
        world.close(number, 0.5, "janitor", trigger_id=sid("EV", number), intent="end")
        world.closed_again(number, 200.2, "sweeper", trigger_id=sid("EV", number), intent="end")
        number += 1
        world.close(number, 0.2, "close-fn", trigger_id=f"t{number}", intent="end")
        number += 1
        world.event(number, 0.0, "task_canceled", sid("EV", number))
        world.close(number, 0.5, "janitor", trigger_id=sid("EV", number), intent="end")
        number += 1
    return world
