"""What would each fix prevent: charts of the replay."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import AXIS, GOOD, INK, MUTED, OUTLINE, SERIES, SERIES_LIGHT, SHADE, WIDTH, themed
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt


def prevented(fixes: pl.DataFrame, *, title: str, subtitle: str, measure: str = "Duplicates per week") -> Any:
    """What each kind of fix would prevent alone, with its interval, over the bounds of incomplete evidence.

    *fixes* has label, prevented, lo, hi, bound_lo, bound_hi and premature (closes too early that it
    would prevent); `prevented` is null where only bounds are known.
    """
    if fixes.is_empty():
        return themed(parts.nothing_to_draw("No duplicate to replay."), title=title, subtitle=subtitle)
    if fixes.select(pl.all_horizontal(pl.col("prevented", "bound_hi").is_null()).all()).item():
        words = "What a fix would prevent cannot be told from what is held."
        return themed(parts.nothing_to_draw(words), title=title, subtitle=subtitle)
    shown = parts.rounded(fixes, digits=2)
    order = shown["label"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order))
    axis = {"grid": True, "tickCount": 6}
    tooltip = [
        alt.Tooltip("label:N", title="Fix"),
        alt.Tooltip("prevented:Q", title=measure, format=",.1f"),
        alt.Tooltip("lo:Q", title="At least", format=",.1f"),
        alt.Tooltip("hi:Q", title="At most", format=",.1f"),
        alt.Tooltip("premature:Q", title="Closes too early", format=",.1f"),
    ]
    layers = [
        base.mark_bar(color=SHADE, stroke=AXIS, strokeWidth=0.8, strokeDash=[3, 2], height=19, yOffset=11).encode(
            x=alt.X("bound_lo:Q", title=measure, axis=axis, scale={"zero": True}), x2=alt.X2("bound_hi:Q")
        ),
        parts.row_labels(base, text="text") if "text" in shown.columns else parts.row_labels(base, text="label"),
    ]
    if shown["prevented"].count():
        found = base.mark_bar(color=SERIES_LIGHT, stroke=SERIES, strokeWidth=1, height=11, yOffset=11, opacity=0.9)
        interval = base.mark_rule(color=INK, strokeWidth=1.6, yOffset=11)
        layers[1:1] = [
            found.encode(x=alt.X("prevented:Q"), x2=alt.X2Datum(0), tooltip=tooltip),
            interval.encode(x=alt.X("lo:Q"), x2=alt.X2("hi:Q")),
        ]
    early = shown.filter(pl.col("premature") > 0)
    if early.height:
        mark = alt.Chart(early).mark_point(
            shape="triangle-up", filled=True, size=70, color=GOOD, stroke=OUTLINE, opacity=1, yOffset=11
        )
        layers.append(mark.encode(x=alt.X("premature:Q"), y=parts.rows(order), tooltip=tooltip))
    chart = alt.layer(*layers).properties(width=WIDTH, height=(parts.ROW + 4) * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def sequence(
    steps: pl.DataFrame, *, title: str, subtitle: str, measure: str = "Duplicates per week that remain"
) -> Any:
    """What remains after each fix, in the order that prevents most first.

    *steps* has label, before, after and prevented, in order.
    """
    if steps.is_empty():
        return themed(parts.nothing_to_draw("No fix would prevent a duplicate."), title=title, subtitle=subtitle)
    useful = steps.filter(pl.col("prevented") >= 0.05)
    if useful.is_empty():
        return themed(parts.nothing_to_draw("No fix would prevent a warning."), title=title, subtitle=subtitle)
    shown = parts.rounded(useful.select("label", "before", "after", "prevented"), digits=2).with_columns(
        text=pl.format("{} · −{}", "label", pl.col("prevented").round(1))
    )
    base = alt.Chart(shown).encode(y=parts.rows(shown["label"].to_list()))
    x = alt.X("after:Q", title=measure, axis={"grid": True, "tickCount": 6}, scale={"zero": True})
    layers = [
        base.mark_bar(color=SERIES_LIGHT, height=13, yOffset=10).encode(x=x, x2=alt.X2Datum(0)),
        base.mark_bar(color=GOOD, opacity=0.75, height=13, yOffset=10).encode(
            x=alt.X("after:Q"),
            x2=alt.X2("before:Q"),
            tooltip=[
                alt.Tooltip("label:N", title="Next fix"),
                alt.Tooltip("prevented:Q", title="Prevents", format=",.1f"),
                alt.Tooltip("after:Q", title="Remaining", format=",.1f"),
            ],
        ),
        base.mark_tick(color=MUTED, thickness=1.5, size=19, yOffset=10).encode(x=alt.X("after:Q")),
        parts.row_labels(base),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=parts.ROW * shown.height)
    return themed(chart, title=title, subtitle=subtitle)
