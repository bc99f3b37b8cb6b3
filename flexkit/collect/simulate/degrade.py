"""What goes wrong with evidence on its way: loss, gaps, repeats, lateness, skewed clocks, missing fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.collect.simulate.centre import DAY, HOUR, SECOND
from flexkit.collect.simulate.observe import SOURCES, Stream
from flexkit.collect.simulate.sids import generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.collect.simulate.damage import Degradation
    from flexkit.collect.simulate.world import World

# Sources whose time is stamped by the centre's own machines; Twilio's clocks are right.
_OWN_CLOCKS = (Stream.COMPLETION_LOG, Stream.INTERACTIONS)


def degrade(frames: Mapping[Stream, pl.DataFrame], world: World, damage: Degradation) -> dict[Stream, pl.DataFrame]:
    """*frames* as they arrive; the same world and damage give the same rows."""
    return {stream: _damaged(stream, frame, world, damage) for stream, frame in frames.items()}


def _damaged(stream: Stream, frame: pl.DataFrame, world: World, damage: Degradation) -> pl.DataFrame:
    source = SOURCES[stream]
    rng = generator(world.seed, f"damage/{stream}")
    if source in damage.missing:
        return frame.clear()
    at = pl.col("at_us")
    if damage.retention_days is not None:
        frame = frame.filter(at >= world.end - damage.retention_days * DAY)
    for first, last in damage.outages.get(source, ()):
        frame = frame.filter(~at.is_between(*outage(world, first, last), closed="left"))
    if loss := damage.loss.get(source, 0.0):
        frame = frame.filter(pl.Series(rng.random(frame.height) >= loss))
    frame = _without_fields(stream, frame, rng, damage)
    if stream in _OWN_CLOCKS and (damage.skew or damage.drift):
        error = rng.normal(0, damage.skew) * SECOND
        drifted = damage.drift * SECOND * (at - world.start) / DAY
        frame = frame.with_columns(at_us=(at + error + drifted).cast(pl.Int64) // 1_000 * 1_000)
    if source in damage.truncated:
        frame = frame.with_columns(at_us=at // SECOND * SECOND)
    if naive := damage.naive.get(source, 0.0):
        frame = frame.with_columns(is_naive=pl.Series(rng.random(frame.height) < naive))
    return _late_and_twice(stream, frame, rng, damage)


def _without_fields(stream: Stream, frame: pl.DataFrame, rng: np.random.Generator, damage: Degradation) -> pl.DataFrame:
    if stream == Stream.COMPLETION_LOG and damage.missing_key:
        lost = pl.Series(rng.random(frame.height) < damage.missing_key)
        frame = frame.with_columns(trigger_id=pl.when(lost).then(None).otherwise("trigger_id"))
    if stream == Stream.TASK_EVENTS and damage.missing_actor:
        lost = pl.Series(rng.random(frame.height) < damage.missing_actor)
        fields = ("actor_type", "actor_sid", "via", "source_ip")
        frame = frame.with_columns(pl.when(lost).then(None).otherwise(name).alias(name) for name in fields)
    return frame


def _late_and_twice(stream: Stream, frame: pl.DataFrame, rng: np.random.Generator, damage: Degradation) -> pl.DataFrame:
    if damage.late:
        size = frame.height
        slow = np.where(rng.random(size) < 0.85, rng.lognormal(np.log(0.2), 1.0, size), rng.uniform(0, 36, size))
        wait = np.where(rng.random(size) < damage.late, np.minimum(slow, 36) * HOUR, 0).astype(np.int64)
        frame = frame.with_columns(order_us=pl.col("order_us") + pl.Series(wait))
        if stream == Stream.ALERTS:
            frame = frame.with_columns(lag_us=pl.col("lag_us") + pl.Series(wait // SECOND * SECOND))
    if damage.duplicates:
        again = frame.filter(pl.Series(rng.random(frame.height) < damage.duplicates))
        later = pl.Series(rng.integers(0, HOUR, again.height))
        frame = pl.concat([frame, again.with_columns(order_us=pl.col("order_us") + later)])
    return frame.sort("order_us", maintain_order=True)


def outage(world: World, first: float, last: float) -> tuple[int, int]:
    """A span given as shares of the window, as instants."""
    span = world.end - world.start
    return world.start + round(first * span), world.start + round(last * span)
