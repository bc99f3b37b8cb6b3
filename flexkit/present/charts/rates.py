"""How often, and is it changing: charts of rates."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import (
    ALARM,
    AXIS,
    MUTED,
    SERIES,
    SERIES_LIGHT,
    SHADE,
    SURFACE,
    WIDTH,
    themed,
    zoom_on_time,
)
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt


_LEFT: Any = "left"
_RIGHT: Any = "right"
_CENTRE: Any = "center"


def rate_over_time(
    chart: pl.DataFrame,
    *,
    title: str,
    subtitle: str,
    fixes: pl.DataFrame | None = None,
    zone: str = "UTC",
) -> Any:
    """A control chart per day with its limits, and the interactions per day beneath.

    *chart* has date, value, centre, lower, upper, is_signal and exposure; is_partial and is_gap where
    known. A partial day is hollow, a gap is shaded: missing is not zero. Where `estimand` is "count", nothing
    is held to compare warnings with, and they are drawn as counts.
    """
    if chart.is_empty():
        return themed(parts.nothing_to_draw("Nothing is held to draw for these days."), title=title, subtitle=subtitle)
    flags = [
        (pl.col(name) if name in chart.columns else pl.lit(None)).cast(pl.Boolean).fill_null(value=False).alias(name)
        for name in ("is_partial", "is_gap", "is_signal")
    ]
    shown = chart.select("date", "value", "centre", "lower", "upper", "exposure", *flags)
    shown = parts.rounded(parts.wall_clock(shown, "date", zone=zone)).with_columns(
        pl.when(~pl.col("is_gap")).then("value").alias("value"),
        state=pl.when("is_signal").then(pl.lit("outside")).when("is_partial").then(pl.lit("partial"))
        .otherwise(pl.lit("inside")),
        size=pl.when("is_signal").then(95).when("is_partial").then(40).otherwise(26),
    )  # fmt: skip
    percent = "estimand" not in chart.columns or chart["estimand"][0] != "count"
    measure = parts.SHARE if percent else "Interactions with a warning"
    x = parts.day_axis(zone, title="" if percent else None, labels=not percent)
    top = 1.1 * max(
        parts.largest(shown, "value"), min(parts.largest(shown, "upper"), 1.6 * parts.largest(shown, "value"))
    )
    base = alt.Chart(shown).encode(x=x)
    y = parts.share_axis(measure, field="value", top=top, percent=percent)
    band = base.mark_area(color=SERIES, opacity=0.1, clip=True).encode(
        y=parts.share_axis(measure, field="lower", top=top, percent=percent), y2=alt.Y2("upper:Q")
    )
    centre = base.mark_line(color=MUTED, strokeWidth=1.2, strokeDash=[4, 3]).encode(y=alt.Y("centre:Q"))
    line = base.mark_line(color=SERIES, strokeWidth=1.6).encode(y=y)
    number = ".2%" if percent else ".3~r"
    states = ["inside", "outside", "partial"]
    points = base.mark_point(filled=True, strokeWidth=1.4, opacity=1, clip=True).encode(
        y=y,
        shape=_by_state("shape", states, ["circle", "diamond", "circle"]),
        fill=_by_state("fill", states, [SERIES, ALARM, SURFACE]),
        stroke=_by_state("stroke", states, [SERIES, ALARM, SERIES]),
        size=alt.Size("size:Q", scale=None),
        tooltip=[
            alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
            alt.Tooltip("value:Q", title="Rate", format=number),
            alt.Tooltip("centre:Q", title="Expected", format=number),
            alt.Tooltip("upper:Q", title="Upper limit", format=number),
            alt.Tooltip("exposure:Q", title="Completed", format=","),
        ],
    )
    named = shown.filter(pl.col("state") != "inside", pl.col("value").is_not_null()).with_columns(
        pl.when(state="partial").then(pl.lit("partial")).otherwise(pl.col("date").dt.to_string("%-d %b")).alias("note")
    )
    notes = [
        alt.Chart(side.select("date", "value", "note"))
        .mark_text(dy=-11, fontSize=11, color=MUTED, clip=True, align=align, dx=dx)
        .encode(x=x, y=alt.Y("value:Q"), text=alt.Text("note:N"))
        for align, dx, side in _at_edges(named, shown)
    ]
    gaps = shown.filter("is_gap").with_columns(end=pl.col("date").dt.offset_by("1d"))
    layers = [
        *parts.spans(gaps, colour=SHADE),
        band,
        centre,
        line,
        *parts.fix_marks(parts.within(fixes, chart), zone=zone, days=shown),
        points,
        *notes,
    ]
    upper = alt.layer(*layers).add_params(zoom_on_time()).properties(width=WIDTH, height=240)
    lower = (
        alt.Chart(parts.day_span(shown.select("date", "exposure")))
        .mark_bar(color=SERIES_LIGHT, clip=True)
        .encode(
            x=parts.day_axis(zone, field="from"),
            x2=alt.X2("to:T"),
            y=alt.Y("exposure:Q", title="Completed", axis={"tickCount": 2, "format": "~s"}),
            y2=alt.Y2Datum(0),
            tooltip=[
                alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
                alt.Tooltip("exposure:Q", title="Completed", format=","),
            ],
        )
        .properties(width=WIDTH, height=46)
    )
    if not percent:
        return themed(upper, title=title, subtitle=subtitle)
    stacked = alt.vconcat(upper, lower, spacing=6).resolve_scale(x="shared")
    return themed(stacked, title=title, subtitle=subtitle)


def _at_edges(named: pl.DataFrame, days: pl.DataFrame) -> list[tuple[Any, int, pl.DataFrame]]:
    """*named* by how a text above a point must stand to be whole: at the first days, at the last, between."""
    first, last = days["date"].min(), days["date"].max()
    assert isinstance(first, dt.datetime)  # noqa: S101 - of a chart with days; narrows the type
    assert isinstance(last, dt.datetime)  # noqa: S101
    edge = (last - first) * 0.04
    left, right = pl.col("date") < first + edge, pl.col("date") > last - edge
    sides = [
        (_LEFT, -4, named.filter(left)),
        (_RIGHT, 4, named.filter(right)),
        (_CENTRE, 0, named.filter(~left & ~right)),
    ]
    return [one for one in sides if one[2].height]


def _by_state(channel: str, states: list[str], values: list[Any]) -> Any:
    """A point's look by its state, without a legend: what is unusual carries its day."""
    channels = {"shape": alt.Shape, "fill": alt.Fill, "stroke": alt.Stroke}
    return channels[channel]("state:N", legend=None, scale={"domain": states, "range": values})


def days_between(gaps: pl.DataFrame, *, title: str, subtitle: str, zone: str = "UTC") -> Any:
    """Days from each duplicate to the next: for rates so small that a daily rate is mostly zero.

    *gaps* has date (of the later duplicate), value (days), centre, lower, upper and is_signal.
    """
    if gaps.is_empty():
        return themed(
            parts.nothing_to_draw("Fewer than two duplicates: nothing to space."), title=title, subtitle=subtitle
        )
    shown = parts.rounded(
        parts.wall_clock(gaps.select("date", "value", "centre", "upper", "is_signal"), "date", zone=zone)
    )
    base = alt.Chart(shown).encode(x=parts.day_axis(zone))
    layers = [
        base.mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1.2).encode(
            y=alt.Y("centre:Q", title="Days since the last")
        ),
        base.mark_line(color=AXIS, strokeWidth=1).encode(y=alt.Y("upper:Q")),
        base.mark_rule(color=SERIES_LIGHT, strokeWidth=2).encode(y=alt.Y("value:Q"), y2=alt.Y2Datum(0)),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=alt.Y("value:Q"),
            color=parts.either(alt.ColorValue, alt.datum.is_signal, ALARM, SERIES),
            shape=parts.either(alt.ShapeValue, alt.datum.is_signal, "diamond", "circle"),
            tooltip=[
                alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
                alt.Tooltip("value:Q", title="Days since the last", format=".1f"),
            ],
        ),
    ]  # fmt: skip
    chart = alt.layer(*layers).add_params(zoom_on_time()).properties(width=WIDTH, height=220)
    return themed(chart, title=title, subtitle=subtitle)
