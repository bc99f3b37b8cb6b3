"""Did it work: charts of effects."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import (
    ALARM,
    AXIS,
    FIX,
    GOOD,
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
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

_LEFT: Any = "left"
_RIGHT: Any = "right"
_RATIO_TICKS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10]


def counterfactual(
    days: pl.DataFrame,
    *,
    title: str,
    subtitle: str,
    fixes: pl.DataFrame | None = None,
    zone: str = "UTC",
    measure: str = "Interactions with a duplicate, per day",
) -> Any:
    """What was observed against what was to be expected without the fix, and what it avoided so far.

    *days* has date, observed, expected, lower, upper (the band of expected), phase ("before", "ramp",
    "after", "dropped") and, after the fix, avoided, avoided_lower, avoided_upper, cumulated.
    """
    if days.is_empty():
        return themed(parts.nothing_to_draw("No fix with days on both sides."), title=title, subtitle=subtitle)
    shown = parts.rounded(parts.wall_clock(days, "date", zone=zone), digits=3)
    base = alt.Chart(shown.select("date", "observed", "expected", "lower", "upper", "phase"))
    x = parts.day_axis(zone, title="", labels=False)
    excluded = parts.day_span(shown.filter(pl.col("phase").is_in(["ramp", "dropped"])), share=1.0)
    tooltip = [
        alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
        alt.Tooltip("observed:Q", title="Observed", format=",.0f"),
        alt.Tooltip("expected:Q", title="Expected without the fix", format=",.1f"),
    ]
    y = alt.Y("observed:Q", title=measure, scale={"zero": True})
    layers = [
        *parts.spans(excluded.select(date="from", end="to"), colour=SHADE),
        *_band(shown.filter(phase="after"), x, measure),
        base.mark_line(color=FIX, strokeDash=[5, 3], strokeWidth=1.6).encode(x=x, y=alt.Y("expected:Q")),
        base.mark_line(color=SERIES, strokeWidth=1.6).encode(x=x, y=y),
        base.mark_point(filled=True, size=30, color=SERIES, opacity=1).encode(x=x, y=y, tooltip=tooltip),
        *parts.fix_marks(parts.within(fixes, days), zone=zone, days=shown),
    ]
    top = alt.layer(*layers).add_params(zoom_on_time()).properties(width=WIDTH, height=220)
    return themed(_with_cumulated(top, shown, zone), title=title, subtitle=subtitle)


def _band(after: pl.DataFrame, x: alt.X, measure: str) -> list[Any]:
    """Where 95 % of days without the fix would lie."""
    if after.is_empty():
        return []
    y = alt.Y("lower:Q", title=measure, scale={"zero": True})
    area = alt.Chart(after.select("date", "lower", "upper")).mark_area(color=FIX, opacity=0.14)
    return [area.encode(x=x, y=y, y2=alt.Y2("upper:Q"))]


def _with_cumulated(top: Any, shown: pl.DataFrame, zone: str) -> Any:
    held = shown.filter(pl.col("avoided").is_not_null()) if "avoided" in shown.columns else shown.clear()
    if held.is_empty():
        return top
    base = alt.Chart(held.select("date", "avoided", "avoided_lower", "avoided_upper"))
    x = parts.day_axis(zone)
    y = alt.Y("avoided_lower:Q", title="Avoided so far", axis={"tickCount": 4}, scale={"zero": True})
    layers = [
        base.mark_area(color=GOOD, opacity=0.15).encode(x=x, y=y, y2=alt.Y2("avoided_upper:Q")),
        parts.reference_line(0.0, along_x=False, colour=AXIS, dash=(1, 0)),
        base.mark_line(color=GOOD, strokeWidth=1.8).encode(
            x=x,
            y=alt.Y("avoided:Q"),
            tooltip=[
                alt.Tooltip("date:T", title="Until", format="%a %-d %b %Y"),
                alt.Tooltip("avoided:Q", title="Avoided so far", format=",.0f"),
                alt.Tooltip("avoided_lower:Q", title="At least", format=",.0f"),
                alt.Tooltip("avoided_upper:Q", title="At most", format=",.0f"),
            ],
        ),
    ]
    bottom = alt.layer(*layers).properties(width=WIDTH, height=100)
    return alt.vconcat(top, bottom, spacing=8).resolve_scale(x="shared")


def forest(effects: pl.DataFrame, *, title: str, subtitle: str, target: float = 0.8) -> Any:
    """The rate ratio of each fix with its interval on a log scale: left of 1 is fewer duplicates.

    *effects* has label, rr, lo, hi and verdict (words). The dotted line is the *target* ratio.
    """
    shown = parts.rounded(effects.select("label", "rr", "lo", "hi", "verdict")).drop_nulls("rr")
    if shown.is_empty():
        return themed(parts.nothing_to_draw("No fix with an estimate."), title=title, subtitle=subtitle)
    shown = shown.with_columns(
        text=pl.format("{} · {}", "label", "verdict"),
        side=pl.when(pl.col("hi") < 1).then(pl.lit("fewer")).when(pl.col("lo") > 1).then(pl.lit("more"))
        .otherwise(pl.lit("open")),
    )  # fmt: skip
    base = alt.Chart(shown).encode(y=parts.rows(shown["label"].to_list()))
    sides, colours = ["fewer", "more", "open"], [GOOD, ALARM, MUTED]
    colour = alt.Color("side:N", legend=None, scale={"domain": sides, "range": colours})
    shape = alt.Shape("side:N", legend=None, scale={"domain": sides, "range": ["circle", "diamond", "square"]})
    scale = {"type": "log", "nice": False, "padding": 10}
    axis = {"grid": True, "format": "~g", "values": _RATIO_TICKS}
    layers = [
        parts.reference_line(target, along_x=True),
        parts.reference_line(1.0, along_x=True, colour=INK, dash=(1, 0)),
        base.mark_rule(strokeWidth=2.2, clip=True, yOffset=9).encode(
            x=alt.X("lo:Q", title="Rate after ÷ rate expected (log scale)", scale=scale, axis=axis),
            x2=alt.X2("hi:Q"),
            color=colour,
        ),
        base.mark_point(filled=True, size=95, opacity=1, yOffset=9).encode(
            x=alt.X("rr:Q"),
            color=colour,
            shape=shape,
            tooltip=[
                alt.Tooltip("label:N", title="Fix"),
                alt.Tooltip("rr:Q", title="Ratio", format=".2f"),
                alt.Tooltip("lo:Q", title="At least", format=".2f"),
                alt.Tooltip("hi:Q", title="At most", format=".2f"),
                alt.Tooltip("verdict:N", title="Verdict"),
            ],
        ),
        parts.row_labels(base),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=parts.ROW * shown.height)
    return themed(chart, title=title, subtitle=subtitle)


def placebo(ratios: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """The ratio at dates on which nothing was changed, and the ratio at the fix.

    *ratios* has date, ratio and is_fix.
    """
    shown = parts.rounded(ratios.select("date", "ratio", "is_fix")).drop_nulls("ratio")
    if shown.filter(~pl.col("is_fix")).is_empty():
        words = "Too few days before the fix for a placebo date."
        return themed(parts.nothing_to_draw(words), title=title, subtitle=subtitle)
    shown = parts.wall_clock(shown, "date")
    x = alt.X(
        "ratio:Q",
        title="Rate after ÷ rate expected (log scale)",
        scale={"type": "log", "nice": False, "padding": 20},
        axis={"grid": True, "format": "~g", "values": _RATIO_TICKS},
    )
    told = [alt.Tooltip("date:T", title="Placebo date", format="%-d %b %Y"), alt.Tooltip("ratio:Q", format=".2f")]
    dates = alt.Chart(shown.filter(~pl.col("is_fix"))).mark_tick(color=MUTED, thickness=2, size=34, opacity=0.75)
    layers = [dates.encode(x=x, tooltip=told)]
    if shown.filter("is_fix").height:
        real = alt.Chart(shown.filter("is_fix")).encode(x=x)
        mark = real.mark_point(shape="diamond", filled=True, size=170, color=FIX, stroke=OUTLINE, opacity=1)
        layers += [mark, real.mark_text(text="the fix", dy=-22, color=FIX, fontSize=12)]
    one = parts.reference_line(1.0, along_x=True, colour=INK, dash=(1, 0))
    return themed(alt.layer(one, *layers).properties(width=WIDTH, height=80), title=title, subtitle=subtitle)


def residuals(days: pl.DataFrame, *, title: str, subtitle: str, zone: str = "UTC") -> Any:
    """What the model left over, day by day: a pattern here is what its interval does not know of.

    *days* has date and residual (in standard errors).
    """
    if days.is_empty():
        return themed(parts.nothing_to_draw("No model was fitted."), title=title, subtitle=subtitle)
    shown = parts.rounded(parts.wall_clock(days.select("date", "residual"), "date", zone=zone), digits=2)
    base = alt.Chart(shown).encode(x=parts.day_axis(zone))
    stems = base.mark_rule(color=SERIES_LIGHT, strokeWidth=1.5).encode(
        y=alt.Y("residual:Q", title="Standard errors"), y2=alt.Y2Datum(0)
    )
    dots = base.mark_point(filled=True, size=34, color=SERIES, opacity=1).encode(
        y=alt.Y("residual:Q"),
        tooltip=[alt.Tooltip("date:T", title="Day", format="%-d %b"), alt.Tooltip("residual:Q", format=".1f")],
    )
    lines = [parts.reference_line(at, along_x=False) for at in (-2.0, 2.0)]
    zero = parts.reference_line(0.0, along_x=False, colour=AXIS, dash=(1, 0))
    return themed(
        alt.layer(*lines, zero, stems, dots).properties(width=WIDTH, height=170), title=title, subtitle=subtitle
    )


def predicted_and_realised(fixes: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """Each fix's predicted ratio against the one that came, with both intervals; on the line they agree.

    *fixes* has label, predicted, predicted_lo, predicted_hi, rr, lo and hi.
    """
    shown = parts.rounded(fixes).drop_nulls(["predicted", "rr"])
    if shown.is_empty():
        return themed(
            parts.nothing_to_draw("No fix has both a prediction and an estimate yet."), title=title, subtitle=subtitle
        )
    ends = [value for name in ("predicted_lo", "predicted_hi", "lo", "hi", "predicted", "rr") for value in shown[name]]
    known = [value for value in ends if value is not None and 0 < value < float("inf")]
    low, high = max(min(known) * 0.9, 0.01), min(max([*known, 1.0]) * 1.1, 20.0)
    scale = {"type": "log", "domain": [low, high], "nice": False}
    axis = {"grid": True, "format": "~g", "values": _RATIO_TICKS}
    base = alt.Chart(shown)
    is_right = pl.col("predicted") > (low * high) ** 0.5
    x = alt.X("predicted:Q", title="Predicted ratio (log scale)", scale=scale, axis=axis)
    y = alt.Y("rr:Q", title="Realised ratio (log scale)", scale=scale, axis=axis)
    line = (
        alt.Chart(pl.DataFrame({"a": [low, high]}))
        .mark_line(color=MUTED, strokeDash=[4, 3])
        .encode(x=alt.X("a:Q"), y=alt.Y("a:Q"))
    )
    layers = [
        line,
        base.mark_rule(color=SERIES, strokeWidth=1.4, clip=True).encode(
            x=alt.X("predicted_lo:Q", scale=scale, axis=axis), x2=alt.X2("predicted_hi:Q"), y=y
        ),
        base.mark_rule(color=SERIES, strokeWidth=1.4, clip=True).encode(
            x=x, y=alt.Y("lo:Q", scale=scale, axis=axis), y2=alt.Y2("hi:Q")
        ),
        base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
            x=x, y=y, fill=alt.FillValue(SURFACE), stroke=alt.StrokeValue(SERIES)
        ),
        *(
            alt.Chart(side)
            .mark_text(align=align, dx=dx, dy=-9, color=INK, limit=230)
            .encode(x=x, y=y, text=alt.Text("label:N"))
            for side, align, dx in ((shown.filter(~is_right), _LEFT, 9), (shown.filter(is_right), _RIGHT, -9))
            if side.height
        ),
    ]
    return themed(alt.layer(*layers).properties(width=WIDTH, height=300), title=title, subtitle=subtitle)
