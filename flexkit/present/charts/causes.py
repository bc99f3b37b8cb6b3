"""Why, by whom, how fast: charts of causes."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import (
    ALARM,
    INK,
    MUTED,
    OUTLINE,
    SERIES,
    WIDTH,
    cause_scale,
    themed,
)
from flexkit.present.labels import CAUSE_LABELS, cause_label
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

_COUNTS = {"grid": True, "tickMinStep": 1, "tickCount": 6, "format": "~s"}
# A race, a webhook's time-out, a retry, a sweeper, a parked conversation.
_GUIDES = (0.1, 1, 15, 60, 900, 3600, 86_400, 604_800)
_GUIDE_LABELS = (
    "datum.value < 60 ? datum.value + ' s' : datum.value < 3600 ? datum.value / 60 + ' min' : "
    "datum.value < 86400 ? datum.value / 3600 + ' h' : datum.value / 86400 + ' d'"
)


def pareto(counts: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """Duplicates by cause, the most frequent first and the undetermined always shown, with intervals.

    *counts* has cause, count, lo and hi (of the count, null where not estimated), and share.
    """
    if counts.is_empty():
        return themed(parts.nothing_to_draw("No duplicate in this window."), title=title, subtitle=subtitle)
    shown = _labelled(counts.select("cause", "count", "lo", "hi", "share")).with_columns(
        text=pl.format(
            "{} · {} ({} %)", "label", parts.grouped("count"), (pl.col("share") * 100).round(0).cast(pl.Int64)
        )
    )
    order = shown.sort("count", descending=True)["label"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order))
    bars = base.mark_bar(stroke=OUTLINE, strokeWidth=1, height=15, yOffset=10).encode(
        x=alt.X("count:Q", title="Duplicates", axis=_COUNTS),
        color=alt.Color("cause:N", legend=None, scale=_colours(shown)),
        tooltip=[alt.Tooltip("label:N", title="Cause"), alt.Tooltip("count:Q", title="Duplicates", format=",")],
    )
    interval = base.mark_rule(color=INK, strokeWidth=1.5, yOffset=10).encode(x=alt.X("lo:Q"), x2=alt.X2("hi:Q"))
    ends = base.mark_tick(color=INK, thickness=1.5, size=9, yOffset=10)
    layers = [bars, interval, ends.encode(x=alt.X("lo:Q")), ends.encode(x=alt.X("hi:Q")), parts.row_labels(base)]
    chart = alt.layer(*layers).properties(width=WIDTH, height=parts.ROW * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def by_handler(counts: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """Duplicates by the pair of handlers, split by cause.

    *counts* has handlers, cause and count.
    """
    if counts.is_empty():
        return themed(parts.nothing_to_draw("No handler is known for any duplicate."), title=title, subtitle=subtitle)
    shown = _labelled(counts.select("handlers", "cause", "count")).with_columns(
        total=pl.col("count").sum().over("handlers")
    )
    order = shown.sort("total", "handlers", descending=[True, False])["handlers"].unique(maintain_order=True).to_list()
    rows = parts.rows(order, field="handlers")
    bars = alt.Chart(shown).mark_bar(stroke=OUTLINE, strokeWidth=0.8, height=15, yOffset=10).encode(
        y=rows,
        x=alt.X("sum(count):Q", title="Duplicates", axis=_COUNTS),
        color=_legend(shown),
        order=alt.Order("rank:Q"),
        tooltip=[
            alt.Tooltip("handlers:N", title="Who"),
            alt.Tooltip("label:N", title="Cause"),
            alt.Tooltip("count:Q", title="Duplicates", format=","),
        ],
    )  # fmt: skip
    names = shown.unique("handlers", maintain_order=True).select(
        "handlers", text=pl.format("{} · {}", "handlers", parts.grouped("total"))
    )
    labels = parts.row_labels(alt.Chart(names).encode(y=rows))
    chart = alt.layer(bars, labels).properties(width=WIDTH, height=parts.ROW * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def over_time(
    daily: pl.DataFrame, *, title: str, subtitle: str, fixes: pl.DataFrame | None = None, zone: str = "UTC"
) -> Any:
    """Duplicates of each cause per day, one strip per cause on one scale, with the fixes marked.

    *daily* has date, cause and count; days without a duplicate are rows with count 0.
    """
    if daily.is_empty():
        return themed(parts.nothing_to_draw("No duplicate in this window."), title=title, subtitle=subtitle)
    shown = _labelled(parts.wall_clock(daily.select("date", "cause", "count"), "date", zone=zone))
    heights = {"domain": [0, 1.05 * max([1, *shown["count"]])], "nice": False}
    causes = shown.sort("rank")["cause"].unique(maintain_order=True).to_list()
    fixes = parts.within(fixes, daily)
    strips = parts.fix_strip(fixes, zone=zone, days=shown)
    for cause in causes:
        last = cause == causes[-1]
        bars = (
            alt.Chart(parts.day_span(shown.filter(cause=cause).select("date", "count", "label", "cause")))
            .mark_bar(stroke=OUTLINE, strokeWidth=0.6, clip=True)
            .encode(
                x=parts.day_axis(zone, field="from", title=None if last else "", labels=last),
                x2=alt.X2("to:T"),
                y=alt.Y("count:Q", title=None, scale=heights, axis={"tickCount": 2, "format": "d"}),
                y2=alt.Y2Datum(0),
                color=alt.Color("cause:N", legend=None, scale=cause_scale([cause])),
                tooltip=[
                    alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
                    alt.Tooltip("label:N", title="Cause"),
                    alt.Tooltip("count:Q", title="Duplicates"),
                ],
            )
        )  # fmt: skip
        marks = parts.fix_marks(fixes, zone=zone, labels=False)
        strips.append(
            alt.layer(bars, *marks).properties(
                width=WIDTH,
                height=58,
                title=alt.TitleParams(cause_label(cause), fontSize=12, offset=4, frame="group", anchor="start"),
            )
        )
    stacked = alt.vconcat(*strips, spacing=10).resolve_scale(x="shared", color="independent")
    return themed(stacked, title=title, subtitle=subtitle)


def gap_times(bins: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """Time from the first close to the second completion, on a log scale, coloured by cause.

    *bins* has low and high (seconds), cause and count.
    """
    if bins.is_empty():
        return themed(parts.nothing_to_draw("No duplicate with two known times."), title=title, subtitle=subtitle)
    shown = _labelled(bins.select("low", "high", "cause", "count")).sort("low", "rank").with_columns(
        # Stacked here: Vega-Lite does not stack bars whose ends on the other axis are given.
        above=pl.col("count").cum_sum().over("low")
    ).with_columns(below=pl.col("above") - pl.col("count"))  # fmt: skip
    axis = {"values": list(_GUIDES), "labelExpr": _GUIDE_LABELS, "grid": True, "gridDash": [2, 3], "ticks": True}
    bars = alt.Chart(shown).mark_bar(stroke=OUTLINE, strokeWidth=0.7).encode(
        x=alt.X(
            "low:Q", title="From the first close to the second (log scale)", scale={"type": "log", "nice": False},
            axis=axis,
        ),
        x2=alt.X2("high:Q"),
        y=alt.Y("below:Q", title="Duplicates", axis={"tickMinStep": 1}, scale={"zero": True}),
        y2=alt.Y2("above:Q"),
        color=_legend(shown),
        tooltip=[
            alt.Tooltip("label:N", title="Cause"),
            alt.Tooltip("low:Q", title="From (s)", format=".3~g"),
            alt.Tooltip("high:Q", title="To (s)", format=".3~g"),
            alt.Tooltip("count:Q", title="Duplicates"),
        ],
    )  # fmt: skip
    return themed(bars.properties(width=WIDTH, height=220), title=title, subtitle=subtitle)


def stands_out(found: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """What is over-represented among duplicates: relative risk with its interval on a log scale.

    *found* has label (dimension and value), ratio, lo, hi, events, exposure and is_significant.
    """
    if found.is_empty():
        return themed(parts.nothing_to_draw("Nothing stands out in this window."), title=title, subtitle=subtitle)
    shown = parts.rounded(found.select("label", "ratio", "lo", "hi", "events", "exposure", "is_significant"))
    shown = shown.with_columns(text=parts.of_counts("label"))
    order = shown["label"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order))
    axis = {"grid": True, "format": "~g", "values": [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]}
    strong = alt.datum.is_significant
    layers = [
        parts.reference_line(1.0, along_x=True, colour=INK, dash=(1, 0)),
        base.mark_rule(strokeWidth=2, clip=True, yOffset=9).encode(
            x=alt.X(
                "lo:Q",
                title="Times as likely to be completed twice (log scale)",
                scale={"type": "log", "nice": False, "padding": 10},
                axis=axis,
            ),
            x2=alt.X2("hi:Q"),
            color=parts.either(alt.ColorValue, strong, ALARM, MUTED),
        ),
        base.mark_point(filled=True, size=75, opacity=1, yOffset=9).encode(
            x=alt.X("ratio:Q"),
            color=parts.either(alt.ColorValue, strong, ALARM, MUTED),
            shape=parts.either(alt.ShapeValue, strong, "diamond", "circle"),
            tooltip=[
                alt.Tooltip("label:N", title="Which"),
                alt.Tooltip("ratio:Q", title="Times as likely", format=".2f"),
                alt.Tooltip("events:Q", title="With a duplicate", format=","),
                alt.Tooltip("exposure:Q", title="Completed", format=","),
            ],
        ),
        parts.row_labels(base),
    ]
    chart = alt.layer(*layers).properties(width=WIDTH, height=parts.ROW * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def missing_evidence(reasons: pl.DataFrame, *, title: str, subtitle: str) -> Any:
    """Why causes are undetermined: duplicates by what is missing.

    *reasons* has label and count.
    """
    if reasons.is_empty():
        return themed(parts.nothing_to_draw("Every duplicate has a cause."), title=title, subtitle=subtitle)
    shown = reasons.select("label", "count", text=pl.format("{} · {}", "label", parts.grouped("count")))
    order = shown.sort("count", descending=True)["label"].to_list()
    base = alt.Chart(shown).encode(y=parts.rows(order))
    bars = base.mark_bar(color=SERIES, height=15, yOffset=10).encode(
        x=alt.X("count:Q", title="Duplicates that it would help to settle", axis=_COUNTS)
    )
    chart = alt.layer(bars, parts.row_labels(base)).properties(width=WIDTH, height=parts.ROW * len(order))
    return themed(chart, title=title, subtitle=subtitle)


def _labelled(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with each cause's label and its place in the fixed order."""
    causes = list(CAUSE_LABELS)
    return frame.with_columns(
        label=pl.col("cause").replace_strict(causes, [cause_label(cause) for cause in causes], default=pl.col("cause")),
        rank=pl.col("cause").replace_strict(causes, range(len(causes)), default=len(causes)),
    )


def _colours(frame: pl.DataFrame) -> dict[str, Any]:
    return cause_scale(frame.sort("rank")["cause"].unique(maintain_order=True).to_list())


def _legend(frame: pl.DataFrame) -> alt.Color:
    """The legend of the causes in *frame*, by their labels, in their fixed colours."""
    order = frame.sort("rank").unique("cause", maintain_order=True)
    scale = cause_scale(order["cause"].to_list())
    named = {"domain": order["label"].to_list(), "range": scale["range"]}
    return alt.Color("label:N", title=None, scale=named)
