"""All streams of evidence of a world, as they arrive after the damage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.simulate.centre import DAY
from flexkit.collect.simulate.degrade import degrade
from flexkit.collect.simulate.observe import (
    Scene,
    Stream,
    conversations_webhooks,
    interactions_webhooks,
    scene,
    task_events,
)
from flexkit.collect.simulate.observe_alerts import alerts
from flexkit.collect.simulate.observe_handlers import completion_log, studio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.collect.simulate.damage import Degradation
    from flexkit.collect.simulate.world import World


@dataclass(frozen=True, slots=True)
class Evidence:
    """What arrives: one frame for each stream, and the damage that it took on its way."""

    seen: Scene
    damage: Degradation
    frames: Mapping[Stream, pl.DataFrame]


def gather(world: World, damage: Degradation | None = None) -> Evidence:
    """The evidence of *world* after *damage* (its scenario's own where that is None)."""
    seen = scene(world)
    executions, steps = studio(seen)
    whole = {
        Stream.INTERACTIONS: interactions_webhooks(seen),
        Stream.CONVERSATIONS: conversations_webhooks(seen),
        Stream.TASK_EVENTS: _with_feeds(task_events(seen), seen),
        Stream.ALERTS: _with_ways(alerts(seen), world, damage or world.scenario.degradation),
        Stream.COMPLETION_LOG: completion_log(seen),
        Stream.EXECUTIONS: executions,
        Stream.STEPS: steps,
    }
    harm = damage or world.scenario.degradation
    return Evidence(seen, harm, degrade(whole, world, harm))


def _with_feeds(events: pl.DataFrame, seen: Scene) -> pl.DataFrame:
    """Which of REST and Event Streams tells of a task event; only REST tells who did it."""
    feed = seen.world.centre.task_feed
    switch = seen.world.end - 30 * DAY
    at = pl.col("at_us")
    by_rest = {"rest": pl.lit(value=True), "stream": pl.lit(value=False), "switch": at >= switch}[feed]
    by_stream = {"rest": pl.lit(value=False), "stream": pl.lit(value=True), "switch": at < switch + DAY}[feed]
    return events.with_columns(by_rest=by_rest, by_stream=by_stream)


def _with_ways(frame: pl.DataFrame, world: World, damage: Degradation) -> pl.DataFrame:
    """How an alert is heard of: the Debugger webhook always, REST and the error log as far back as they go."""
    recent = pl.col("at_us") >= world.end - damage.rest_days * DAY
    newest = pl.col("at_us").rank("ordinal", descending=True) <= damage.max_rows
    return frame.with_columns(by_rest=recent & newest, by_stream=pl.col("at_us") >= world.end - 28 * DAY)
