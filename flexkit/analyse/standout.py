"""What stands out: which handler, flow, queue, hour … is over-represented among the duplicates of a cause.

Each value of each dimension is compared with the interactions of the same day that have another value, so
that a bad day, or a mix that drifts, accuses nobody (Mantel and Haenszel, stratified by day); the share of
false findings among all values tested is held at *q* (Benjamini and Hochberg).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import linking
from flexkit.terms import Cause, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSIONS = (
    "channel_type", "first_handler", "workflow_sid", "queue_sid", "worker_sid", "flow_sid", "flow_version", "hour",
    "weekday",
)  # fmt: skip
"""Dimensions that are looked at, unless the caller names others."""

STANDOUT: dict[str, pl.DataType | type[pl.DataType]] = {
    "cause": pl.String,
    "dimension": pl.String,
    "value": pl.String,
    "events": pl.Int64,
    "interactions": pl.Int64,
    "rate": pl.Float64,
    "other_events": pl.Int64,
    "other_interactions": pl.Int64,
    "other_rate": pl.Float64,
    "rr": pl.Float64,
    "rr_low": pl.Float64,
    "rr_high": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    "excess": pl.Float64,
    "excess_low": pl.Float64,
    "stands_out": pl.Boolean,
    "compared_with": pl.String,
}
"""One row per cause, dimension and value that was tested. events: duplicates of the cause with that value;
interactions: all that were compared with that value (those duplicates, and completed ones without any duplicate);
rr: risk against the other values on the same days, with its 95 % interval; excess: duplicates more than the others'
risk would give."""

ANY_CAUSE = "any"
"""In place of a cause: duplicates of whatever cause, the undetermined included."""

UNRECORDED = "no handler recorded"
"""Value of first_handler where nothing tells who closed first: an agent in Flex, for example."""

_FEW = 5
"""Expected events below which the normal approximation is too sure, and the Poisson tail is taken."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def attributes(signals: pl.LazyFrame) -> pl.LazyFrame:
    """Workflow, queue, worker, Studio flow and its version of each interaction, as its last signal with one tells."""
    columns = ("workflow_sid", "queue_sid", "worker_sid", "flow_sid", "flow_version")
    known = linking.prepared(signals).filter(
        pl.col("interaction_sid").is_not_null(),
        pl.col("source").is_in([Source.TASKROUTER, Source.STUDIO, Source.TWILIO_API]),
        pl.any_horizontal(pl.col(columns).is_not_null()),
    )
    latest = [
        pl.col(name).filter(pl.col(name).is_not_null()).sort_by(pl.col("occurred_us").filter(pl.col(name).is_not_null()))
        .last().alias(name)
        for name in columns
    ]  # fmt: skip
    return known.group_by("interaction_sid").agg(latest)


def standout(
    causes: pl.DataFrame,
    completions: pl.DataFrame,
    described: pl.DataFrame | None = None,
    *,
    tz: str = "UTC",
    dimensions: Sequence[str] = DIMENSIONS,
    q: float = 0.10,
    min_events: int = 5,
) -> pl.DataFrame:
    """What is over-represented among duplicates, against completed interactions without one (columns `STANDOUT`).

    *causes* and *completions* are the tables of these names, *described* has a row of further attributes per
    interaction (`attributes`). Days and hours are those of *tz*. A value is tested where it has at least
    *min_events* duplicates, and stands out where its risk is higher and its q-value at most *q*. The rows
    with the most excess duplicates that are sure (the lower bound) come first.
    """
    people = _described(completions, described, tz)
    named = [name for name in dimensions if name in people.columns]
    duplicates = causes.filter(pl.col("interaction_sid").is_not_null(), pl.col("cause") != Cause.PROXY_ORIGIN).select(
        "interaction_sid", "cause"
    )
    affected = duplicates.select("interaction_sid").unique()
    controls = people.join(affected, on="interaction_sid", how="anti")
    groups = [(ANY_CAUSE, affected)] + [
        (str(cause), duplicates.filter(pl.col("cause") == cause).select("interaction_sid").unique())
        for cause in duplicates["cause"].unique().sort()
        if cause != Cause.UNDETERMINED
    ]
    tested = [
        _tested(cause, people.join(events, on="interaction_sid", how="semi"), controls, dimension, min_events)
        for cause, events in groups
        for dimension in named
    ]
    empty = pl.DataFrame(schema=STANDOUT)
    found = pl.concat([frame for frame in tested if not frame.is_empty()] or [empty])
    return empty if found.is_empty() else _ranked(found, q)


def _described(completions: pl.DataFrame, described: pl.DataFrame | None, tz: str) -> pl.DataFrame:
    local = pl.col("first_closed_at").dt.convert_time_zone(tz)
    weekday = (local.dt.weekday() - 1).replace_strict(dict(enumerate(_WEEKDAYS)), return_dtype=pl.String)
    people = completions.drop_nulls("first_closed_at").with_columns(
        day=local.dt.date(),
        hour=local.dt.strftime("%H:00"),
        weekday=weekday,
        first_handler=pl.col("first_handler").fill_null(UNRECORDED),
    )
    if described is None:
        return people
    fresh = [name for name in described.columns if name == "interaction_sid" or name not in people.columns]
    return people.join(described.select(fresh), on="interaction_sid", how="left", maintain_order="left")


def _tested(cause: str, events: pl.DataFrame, controls: pl.DataFrame, dimension: str, min_events: int) -> pl.DataFrame:
    """Mantel–Haenszel over days: each value of *dimension* against all others that have one."""
    both = pl.concat(
        [
            events.select("day", value=pl.col(dimension).cast(pl.String), is_event=pl.lit(value=True)),
            controls.select("day", value=pl.col(dimension).cast(pl.String), is_event=pl.lit(value=False)),
        ]
    ).drop_nulls()
    cells = both.group_by("day", "value").agg(a=pl.col("is_event").sum().cast(pl.Float64), n1=pl.len().cast(pl.Float64))
    days = both.group_by("day").agg(m=pl.col("is_event").sum().cast(pl.Float64), n=pl.len().cast(pl.Float64))
    often = cells.group_by("value").agg(pl.col("a").sum()).filter(pl.col("a") >= min_events).select("value")
    # A day on which a value does not occur, or nothing else does, says nothing about it.
    strata = (
        cells.join(often, on="value", how="semi")
        .join(days, on="day")
        .with_columns(n0=pl.col("n") - pl.col("n1"), c=pl.col("m") - pl.col("a"))
        .filter(pl.col("n0") > 0, pl.col("n") > 1)
    )
    # Where the others have no event at all, half a one keeps the ratio finite.
    nobody = pl.col("c").sum().over("value") == 0
    strata = strata.with_columns(c=pl.col("c") + pl.when(nobody).then(0.5 / pl.len().over("value")).otherwise(0))
    col = pl.col
    spread = col("n1") * col("n0") * col("m") * (col("n") - col("m")) / (col("n") ** 2 * (col("n") - 1))
    sums = strata.group_by("value").agg(
        events=col("a").sum(),
        interactions=col("n1").sum(),
        other_events=col("c").sum(),
        other_interactions=col("n0").sum(),
        beyond=(col("a") - col("n1") * col("m") / col("n")).sum(),
        spread=spread.sum(),
        top=(col("a") * col("n0") / col("n")).sum(),
        bottom=(col("c") * col("n1") / col("n")).sum(),
        # Greenland and Robins 1985: variance of the logarithm of the Mantel–Haenszel risk ratio.
        scatter=((col("m") * col("n1") * col("n0") - col("a") * col("c") * col("n")) / col("n") ** 2).sum(),
    )
    se = (col("scatter") / (col("top") * col("bottom"))).sqrt()
    ratio = col("top") / col("bottom")
    others = "interactions with other values on the same days; events against completed interactions without duplicate"
    return (
        sums.filter(col("spread") > 0, col("events") >= min_events)
        .with_columns(
            rr=ratio,
            rr_low=ratio * (-1.959964 * se).exp(),
            rr_high=ratio * (1.959964 * se).exp(),
            z=col("beyond") / col("spread").sqrt(),
        )
        .select(
            cause=pl.lit(cause),
            dimension=pl.lit(dimension),
            value="value",
            events=col("events").cast(pl.Int64),
            interactions=col("interactions").cast(pl.Int64),
            rate=col("events") / col("interactions"),
            other_events=col("other_events").cast(pl.Int64),
            other_interactions=col("other_interactions").cast(pl.Int64),
            other_rate=col("other_events") / col("other_interactions"),
            rr="rr",
            rr_low="rr_low",
            rr_high="rr_high",
            p_value=col("z"),
            expected=col("events") - col("beyond"),
            excess=col("events") * (1 - 1 / col("rr")),
            excess_low=col("events") * (1 - 1 / col("rr_low")),
            compared_with=pl.lit(others),
        )
    )  # fmt: skip


def _ranked(found: pl.DataFrame, q: float) -> pl.DataFrame:
    """*found*, whose ``p_value`` is still the score, with p- and q-values over all that was tested."""
    from scipy.special import gammainc, ndtr

    from flexkit.analyse.effects.multiplicity import benjamini_hochberg

    score, events, expected = (found[name].to_numpy() for name in ("p_value", "events", "expected"))
    p = 2 * ndtr(-abs(score))
    # Chance of so many events or more, twice: the lower tail of the gamma distribution at their number.
    few = (expected < _FEW) & (score > 0)
    p[few] = (2 * gammainc(events[few], expected[few])).clip(max=1)
    found = found.with_columns(p_value=pl.Series(p), q_value=pl.Series(benjamini_hochberg(p)))
    return (
        found.with_columns(stands_out=(pl.col("rr") > 1) & (pl.col("q_value") <= q))
        .select(pl.col(name).cast(dtype) for name, dtype in STANDOUT.items())
        .sort("stands_out", pl.col("excess_low"), "events", descending=True, nulls_last=True)
    )
