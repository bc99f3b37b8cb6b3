"""Where and when: charts that compare channel types, handlers and hours."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.analyse.rates.table import is_count
from flexkit.present.charts import parts
from flexkit.present.charts.theme import (
    ALARM,
    AXIS,
    HEAT,
    INK,
    MUTED,
    OUTLINE,
    SERIES,
    SURFACE,
    WIDTH,
    themed,
)
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

_LEFT: Any = "left"
_RIGHT: Any = "right"
_NO_SHARE = "No completed interactions are held, so there is no share to draw."
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def breakdown(
    rates: pl.DataFrame, *, title: str, subtitle: str, overall: float | None = None, measure: str = parts.SHARE
) -> Any:
    """The rate of each unit (channel type, handler, queue, flow) with its interval, the largest first.

    *rates* has unit, rate, lo, hi, events and exposure; where its estimand is "count" there is no rate to draw.
    """
    if is_count(rates):
        return themed(parts.nothing_to_draw(_NO_SHARE), title=title, subtitle=subtitle)
    if rates.is_empty():
        return themed(parts.nothing_to_draw("No unit to compare in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(rates.select("unit", "rate", "lo", "hi", "events", "exposure")).with_columns(
        text=parts.of_counts("unit")
    )
    order = shown.sort("rate", descending=True)["unit"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order, field="unit"))
    axis = {"format": ".3~p", "grid": True, "tickCount": 6}
    scale = {"domain": [0, 1.05 * max(parts.largest(shown, "hi"), overall or 0)], "nice": False}
    tooltip = [
        alt.Tooltip("unit:N", title="Unit"),
        alt.Tooltip("rate:Q", title="Rate", format=".2%"),
        alt.Tooltip("lo:Q", title="At least", format=".2%"),
        alt.Tooltip("hi:Q", title="At most", format=".2%"),
        alt.Tooltip("exposure:Q", title="Completed", format=","),
    ]
    layers = [
        base.mark_rule(color=SERIES, strokeWidth=2, yOffset=9).encode(
            x=alt.X("lo:Q", title=measure, axis=axis, scale=scale), x2=alt.X2("hi:Q")
        ),
        base.mark_point(filled=True, size=75, color=SERIES, opacity=1, yOffset=9).encode(
            x=alt.X("rate:Q"), tooltip=tooltip
        ),
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
    top = parts.largest(enough, "rate")
    coloured = _hours(enough, zone).mark_rect(stroke=SURFACE, strokeWidth=1.5).encode(
        fill=alt.Fill(
            "rate:Q",
            title=parts.SHARE,
            scale={"type": "quantize", "domain": [0, max(top, 0.001)], "range": list(HEAT), "nice": True},
            legend={"format": ".2~p", "gradientLength": 260},
        )
    )  # fmt: skip
    layers = [coloured] if enough.height else []
    if few_rows.height:
        layers.append(_hours(few_rows, zone).mark_text(text="×", color=MUTED, fontSize=10))
    return themed(alt.layer(*layers).properties(width=WIDTH, height=190), title=title, subtitle=subtitle)


def _hours(cells: pl.DataFrame, zone: str) -> alt.Chart:
    return alt.Chart(cells).encode(
        x=alt.X("hour:O", title=f"Hour of day ({zone})", sort=list(range(24)),
                axis={"labelAngle": 0, "labelOverlap": True}),
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

    *units* has unit, exposure, rate and is_outlier, and lower_95, upper_95, lower_998, upper_998; where its estimand
    is "count" there is no rate to draw.
    """
    if is_count(units):
        return themed(parts.nothing_to_draw(_NO_SHARE), title=title, subtitle=subtitle)
    if units.is_empty():
        return themed(parts.nothing_to_draw("No unit to compare in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(units).sort("exposure")
    # A unit of two interactions may have any share by chance: its limits would flatten all others.
    top = min(parts.largest(units, "upper_998"), max(1.5 * parts.largest(units, "rate"), 5 * overall)) * 1.05
    base = alt.Chart(shown).encode(
        x=alt.X(
            "exposure:Q",
            title="Completed interactions",
            scale={"type": "log", "nice": False, "padding": 14},
            axis={"format": "~s", "tickCount": 6},
        )
    )
    layers = [
        base.mark_line(color=AXIS, strokeDash=[2, 3], strokeWidth=1, clip=True).encode(
            y=parts.share_axis(parts.SHARE, field=f, top=top)
        )
        for f in ("lower_95", "upper_95")
    ] + [
        base.mark_line(color=MUTED, strokeWidth=1, clip=True).encode(y=alt.Y(f"{f}:Q"))
        for f in ("lower_998", "upper_998")
    ]
    dots = base.mark_point(filled=True, size=60, stroke=OUTLINE, strokeWidth=0.6, opacity=1).encode(
        y=alt.Y("rate:Q"),
        color=parts.either(alt.ColorValue, alt.datum.is_outlier, ALARM, SERIES),
        shape=parts.either(alt.ShapeValue, alt.datum.is_outlier, "diamond", "circle"),
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
        .encode(x=alt.X("exposure:Q"), y=alt.Y("rate:Q"), text=alt.Text("unit:N"))
        for side, align, dx in (
            (outliers.filter(pl.col("exposure") <= large), _LEFT, 6),
            (outliers.filter(pl.col("exposure") > large), _RIGHT, 2),
        )
        if side.height
    ]
    layered = alt.layer(*layers, parts.reference_line(overall, along_x=False), dots, *names)
    return themed(layered.properties(width=WIDTH, height=260), title=title, subtitle=subtitle)
