"""How often, and is it changing: charts of rates."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import (
    ALARM,
    AXIS,
    HEAT,
    INK,
    MUTED,
    OUTLINE,
    SERIES,
    SERIES_LIGHT,
    SHADE,
    SURFACE,
    WIDTH,
    themed,
    zoom_on_time,
)
from flexkit.present.lean import without_grammar

with without_grammar():
    import altair as alt


_SHARE = "Interactions with a duplicate"


def _top(frame: pl.DataFrame, column: str) -> float:
    """The largest value of *column*, 0 where there is none."""
    top = frame[column].cast(pl.Float64).fill_nan(None).max()
    return float(top) if isinstance(top, float) else 0.0


_LEFT: Any = "left"
_RIGHT: Any = "right"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def rate_over_time(
    chart: pl.DataFrame,
    *,
    title: str,
    subtitle: str,
    fixes: pl.DataFrame | None = None,
    zone: str = "UTC",
    measure: str = _SHARE,
    percent: bool = True,
) -> Any:
    """A control chart per day with its limits, and the interactions per day beneath.

    *chart* has date, value, centre, lower, upper, is_signal and exposure; is_partial and is_gap where
    known. A partial day is hollow, a gap is shaded: missing is not zero.
    """
    if chart.is_empty():
        return themed(parts.nothing_to_draw("No day to draw in this window."), title=title, subtitle=subtitle)
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
    x = parts.day_axis(zone, title="", labels=False)
    top = 1.1 * max(_top(shown, "value"), min(_top(shown, "upper"), 1.6 * _top(shown, "value")))
    base = alt.Chart(shown).encode(x=x)
    y = parts.share_axis(measure, field="value", top=top, percent=percent)
    band = base.mark_area(color=SERIES, opacity=0.1, clip=True).encode(
        y=parts.share_axis(measure, field="lower", top=top, percent=percent), y2="upper:Q"
    )
    centre = base.mark_line(color=MUTED, strokeWidth=1.2, strokeDash=[4, 3]).encode(y="centre:Q")
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
    named = shown.filter(pl.col("state") != "inside").with_columns(
        pl.when(state="partial").then(pl.lit("partial")).otherwise(pl.col("date").dt.to_string("%-d %b")).alias("note")
    )
    notes = alt.Chart(named.select("date", "value", "note")).mark_text(dy=-11, fontSize=11, color=MUTED, clip=True)
    notes = notes.encode(x=x, y="value:Q", text="note:N")
    gaps = shown.filter("is_gap").with_columns(end=pl.col("date").dt.offset_by("1d"))
    layers = [
        *parts.spans(gaps, colour=SHADE),
        band,
        centre,
        line,
        *parts.fix_marks(parts.within(fixes, chart), zone=zone),
        points,
        notes,
    ]
    upper = alt.layer(*layers).add_params(zoom_on_time()).properties(width=WIDTH, height=240)
    lower = (
        alt.Chart(parts.day_span(shown.select("date", "exposure")))
        .mark_bar(color=SERIES_LIGHT, clip=True)
        .encode(
            x=parts.day_axis(zone, field="from"),
            x2="to:T",
            y=alt.Y("exposure:Q", title="Completed", axis=alt.Axis(tickCount=2, format="~s")),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
                alt.Tooltip("exposure:Q", title="Completed", format=","),
            ],
        )
        .properties(width=WIDTH, height=46)
    )
    stacked = alt.vconcat(upper, lower, spacing=6).resolve_scale(x="shared")
    return themed(stacked, title=title, subtitle=subtitle)


def _by_state(channel: str, states: list[str], values: list[Any]) -> Any:
    """A point's look by its state, without a legend: what is unusual carries its day."""
    channels = {"shape": alt.Shape, "fill": alt.Fill, "stroke": alt.Stroke}
    return channels[channel]("state:N", legend=None, scale=alt.Scale(domain=states, range=values))


def breakdown(
    rates: pl.DataFrame, *, title: str, subtitle: str, overall: float | None = None, measure: str = _SHARE
) -> Any:
    """The rate of each unit (channel type, handler, queue, flow) with its interval, the largest first.

    *rates* has unit, rate, lo, hi, events and exposure.
    """
    if rates.is_empty():
        return themed(parts.nothing_to_draw("No unit to compare in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(rates.select("unit", "rate", "lo", "hi", "events", "exposure")).with_columns(
        text=parts.of_counts("unit")
    )
    order = shown.sort("rate", descending=True)["unit"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order, field="unit"))
    axis = alt.Axis(format=".3~p", grid=True, tickCount=6)
    scale = alt.Scale(domain=[0, 1.05 * max(_top(shown, "hi"), overall or 0)], nice=False)
    tooltip = [
        alt.Tooltip("unit:N", title="Unit"),
        alt.Tooltip("rate:Q", title="Rate", format=".2%"),
        alt.Tooltip("lo:Q", title="At least", format=".2%"),
        alt.Tooltip("hi:Q", title="At most", format=".2%"),
        alt.Tooltip("exposure:Q", title="Completed", format=","),
    ]
    layers = [
        base.mark_rule(color=SERIES, strokeWidth=2, yOffset=9).encode(
            x=alt.X("lo:Q", title=measure, axis=axis, scale=scale), x2="hi:Q"
        ),
        base.mark_point(filled=True, size=75, color=SERIES, opacity=1, yOffset=9).encode(x="rate:Q", tooltip=tooltip),
        parts.row_labels(base),
    ]
    if overall is not None:
        layers.insert(0, parts.reference_line(overall, along_x=True))
    chart = alt.layer(*layers).properties(width=WIDTH, height=parts.ROW * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def heatmap(cells: pl.DataFrame, *, title: str, subtitle: str, zone: str = "UTC", few: int = 30) -> Any:
    """The rate by hour and weekday; cells with fewer than *few* interactions show a cross, not a colour.

    *cells* has weekday (1 Monday to 7), hour, rate, events and exposure.
    """
    if cells.is_empty():
        return themed(parts.nothing_to_draw("No hour to draw in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(cells.select("weekday", "hour", "rate", "events", "exposure")).with_columns(
        day=pl.col("weekday").replace_strict(range(1, 8), DAYS, return_dtype=pl.String)
    )
    enough, few_rows = shown.filter(pl.col("exposure") >= few), shown.filter(pl.col("exposure") < few)
    top = _top(enough, "rate")
    coloured = _hours(enough, zone).mark_rect(stroke=SURFACE, strokeWidth=1.5).encode(
        fill=alt.Fill(
            "rate:Q",
            title=_SHARE,
            scale=alt.Scale(type="quantize", domain=[0, max(top, 0.001)], range=list(HEAT), nice=True),
            legend=alt.Legend(format=".2~p", gradientLength=260),
        )
    )  # fmt: skip
    layers = [coloured] if enough.height else []
    if few_rows.height:
        layers.append(_hours(few_rows, zone).mark_text(text="×", color=AXIS, fontSize=11))
    return themed(alt.layer(*layers).properties(width=WIDTH, height=190), title=title, subtitle=subtitle)


def _hours(cells: pl.DataFrame, zone: str) -> alt.Chart:
    return alt.Chart(cells).encode(
        x=alt.X("hour:O", title=f"Hour of day ({zone})", sort=list(range(24)),
                axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("day:O", title=None, sort=list(DAYS)),
        tooltip=[
            alt.Tooltip("day:O", title="Day"),
            alt.Tooltip("hour:O", title="Hour"),
            alt.Tooltip("rate:Q", title="Rate", format=".2%"),
            alt.Tooltip("events:Q", title="With a duplicate", format=","),
            alt.Tooltip("exposure:Q", title="Completed", format=","),
        ],
    )  # fmt: skip


def funnel(units: pl.DataFrame, *, title: str, subtitle: str, overall: float) -> Any:
    """Each unit's rate against its size, with the limits that chance alone would keep it in; outliers named.

    *units* has unit, exposure, rate and is_outlier, and lower_95, upper_95, lower_998, upper_998.
    """
    if units.is_empty():
        return themed(parts.nothing_to_draw("No unit to compare in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(units).sort("exposure")
    base = alt.Chart(shown).encode(
        x=alt.X(
            "exposure:Q",
            title="Completed interactions",
            scale=alt.Scale(type="log", nice=False, padding=14),
            axis=alt.Axis(format="~s", tickCount=6),
        )
    )
    layers = [
        base.mark_line(color=AXIS, strokeDash=[2, 3], strokeWidth=1).encode(y=parts.share_axis(_SHARE, field=f))
        for f in ("lower_95", "upper_95")
    ] + [
        base.mark_line(color=MUTED, strokeWidth=1, clip=True).encode(y=f"{f}:Q") for f in ("lower_998", "upper_998")
    ]  # fmt: skip
    dots = base.mark_point(filled=True, size=60, stroke=OUTLINE, strokeWidth=0.6, opacity=1).encode(
        y="rate:Q",
        color=alt.condition(alt.datum.is_outlier, alt.value(ALARM), alt.value(SERIES)),
        shape=alt.condition(alt.datum.is_outlier, alt.value("diamond"), alt.value("circle")),
        tooltip=[
            alt.Tooltip("unit:N", title="Unit"),
            alt.Tooltip("rate:Q", title="Rate", format=".2%"),
            alt.Tooltip("exposure:Q", title="Completed", format=","),
        ],
    )
    # The largest units stand at the right edge: their names go to the left.
    outliers, large = shown.filter("is_outlier"), 0.2 * max(units["exposure"])
    names = [
        alt.Chart(side.select("exposure", "rate", "unit"))
        .mark_text(align=align, dx=dx, dy=-8, color=INK)
        .encode(x="exposure:Q", y="rate:Q", text="unit:N")
        for side, align, dx in (
            (outliers.filter(pl.col("exposure") <= large), _LEFT, 6),
            (outliers.filter(pl.col("exposure") > large), _RIGHT, 2),
        )
        if side.height
    ]
    layered = alt.layer(*layers, parts.reference_line(overall, along_x=False), dots, *names)
    return themed(layered.properties(width=WIDTH, height=260), title=title, subtitle=subtitle)


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
        base.mark_line(color=AXIS, strokeWidth=1).encode(y="upper:Q"),
        base.mark_rule(color=SERIES_LIGHT, strokeWidth=2).encode(y="value:Q", y2=alt.datum(0)),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y="value:Q",
            color=alt.condition(alt.datum.is_signal, alt.value(ALARM), alt.value(SERIES)),
            shape=alt.condition(alt.datum.is_signal, alt.value("diamond"), alt.value("circle")),
            tooltip=[
                alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
                alt.Tooltip("value:Q", title="Days since the last", format=".1f"),
            ],
        ),
    ]  # fmt: skip
    chart = alt.layer(*layers).add_params(zoom_on_time()).properties(width=WIDTH, height=220)
    return themed(chart, title=title, subtitle=subtitle)
