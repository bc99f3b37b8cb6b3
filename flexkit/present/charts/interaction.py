"""What happened here: one interaction as swimlanes."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import ALARM, FIX, GRID, INK, MUTED, SERIES, SERIES_LIGHT, SHADE, WIDTH, themed
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

# Seconds, minutes and days in one picture, on both sides of the first close.
_TICKS = [-604_800, -86_400, -3600, -60, -1, 0, 1, 15, 60, 900, 3600, 86_400, 604_800]
_TICK_LABELS = (
    "datum.value == 0 ? 'first close' : (datum.value < 0 ? '−' : '+')"
    " + (abs(datum.value) < 60 ? abs(datum.value) + ' s' : abs(datum.value) < 3600 ? abs(datum.value) / 60 + ' min'"
    " : abs(datum.value) < 86400 ? abs(datum.value) / 3600 + ' h' : abs(datum.value) / 86400 + ' d')"
)
_ROLES = ["first close", "duplicate", "warning", "same completion", "other"]
_COLOURS = [FIX, ALARM, ALARM, SERIES, SERIES_LIGHT]
_SHAPES = ["circle", "cross", "triangle-up", "circle", "circle"]
_SIZES = [190, 170, 130, 60, 44]
_LANE = 76
_ROOM = 0.2
"""Share of the width that a name takes."""
_FEW = 14
"""Signals up to which every one is named; above, only those that decide."""


def swimlanes(signals: pl.DataFrame, *, title: str, subtitle: str, uncovered: pl.DataFrame | None = None) -> Any:
    """The signals of one interaction by source, in seconds from its first close (symmetric log scale).

    *signals* has seconds (from the first close), lane, label, role ("first close", "duplicate",
    "warning", "same completion", "other"), handler and clock (its time as text). *uncovered* has lane,
    start and end in the same seconds: spans of which a source holds nothing.
    """
    if signals.is_empty():
        words = "No signal of this interaction is held."
        return themed(parts.nothing_to_draw(words), title=title, subtitle=subtitle)
    shown = parts.rounded(signals.select("seconds", "lane", "label", "role", "handler", "clock"), digits=3)
    shown = shown.with_columns(
        size=pl.col("role").replace_strict(_ROLES, _SIZES, default=_SIZES[-1]),
        angle=pl.when(role="duplicate").then(45).otherwise(0),
    )
    lanes = signals["lane"].unique(maintain_order=True).to_list()
    if uncovered is not None:
        lanes += [lane for lane in uncovered["lane"].unique(maintain_order=True) if lane not in lanes]
    y = alt.Y("lane:N", axis=None, sort=lanes, scale={"domain": lanes})
    seconds = shown["seconds"].to_list()
    low, high = 1.4 * min([-2.0, *seconds]), 1.6 * max([3.0, *seconds])
    scale = {"type": "symlog", "constant": 1, "domain": [low, high], "nice": False}
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    is_told = "first close" in set(shown["role"])
    zero = "first close" if is_told else "first signal"
    axis = {
        "values": ticks,
        "labelExpr": _TICK_LABELS.replace("first close", zero),
        "grid": True,
        "gridDash": [2, 3],
        "labelOverlap": "greedy",
    }
    title_of_x = f"Before and after the {zero} (log scale on both sides)"
    x = alt.X("seconds:Q", title=title_of_x, scale=scale, axis=axis)
    base = alt.Chart(shown).encode(x=x, y=y)
    points = base.mark_point(filled=True, opacity=0.95).encode(
        color=alt.Color(
            "role:N",
            title=None,
            legend={"offset": 30, "columns": 5},
            scale={"domain": _ROLES, "range": _COLOURS},
        ),
        shape=alt.Shape("role:N", title=None, scale={"domain": _ROLES, "range": _SHAPES}),
        size=alt.Size("size:Q", scale=None),
        angle=alt.Angle("angle:Q", scale=None),
        tooltip=[
            alt.Tooltip("clock:N", title="Time"),
            alt.Tooltip("label:N", title="What"),
            alt.Tooltip("handler:N", title="Who"),
            alt.Tooltip("role:N", title="Part"),
        ],
    )
    state = _state(low, high, scale) if is_told else []
    layers = [*_holes(uncovered, y, scale, low, high), *state, *_lanes(lanes, y), points]
    chart = alt.layer(*layers, *_names(shown, x, y, low=low, high=high)).properties(
        width=WIDTH, height=_LANE * len(lanes)
    )
    return themed(chart, title=title, subtitle=subtitle)


def _names(shown: pl.DataFrame, x: alt.X, y: alt.Y, *, low: float, high: float) -> list[Any]:
    """The names of signals, those that decide with who did it; neighbours in a lane stand above and below in turn.

    A name begins or ends at its point, on the side where there is room; what would stand on another's name is left out.
    """
    is_few = shown.height <= _FEW
    decides = pl.col("role").is_in(["first close", "duplicate"])
    by_whom = pl.concat_str("handler", pl.col("label").str.strip_suffix(" requested"), separator=": ")
    spread = pl.col("seconds").sign() * pl.col("seconds").abs().log1p()
    left, right = -math.log1p(-low), math.log1p(high)
    named = (
        (shown if is_few else shown.filter(decides).head(_FEW))
        .sort("seconds")
        .with_columns(
            text=pl.when(decides & pl.col("label").str.ends_with("requested")).then(by_whom).fill_null(pl.col("label")),
            at=(spread - left) / (right - left),
        )
        .with_columns(above=pl.int_range(pl.len()).over("lane") % 2 == 1)
    )
    is_free = (pl.col("at") - pl.col("at").shift(2).over("lane") > _ROOM).fill_null(value=True)
    named = named.filter(is_free | decides).with_columns(is_left=pl.col("at") < 0.5)
    return [
        alt.Chart(named.filter(above=is_above, is_left=is_left).select("seconds", "lane", "text"))
        .mark_text(
            fontSize=10.5, dx=7 if is_left else -7, dy=-15 if is_above else 17, align="left" if is_left else "right",
            color=INK if is_few else MUTED, limit=230,
        )
        .encode(x=x, y=y, text=alt.Text("text:N"))
        for is_above in (False, True)
        for is_left in (False, True)
    ]  # fmt: skip


def _holes(uncovered: pl.DataFrame | None, y: alt.Y, scale: dict[str, Any], low: float, high: float) -> list[Any]:
    """Spans of which a source holds nothing: empty there does not mean that nothing happened."""
    if uncovered is None or uncovered.is_empty():
        return []
    clipped = uncovered.select("lane", pl.col("start").clip(low, high), pl.col("end").clip(low, high))
    mark = alt.Chart(clipped).mark_rect(color=SHADE, stroke=GRID, strokeDash=[3, 2], height={"band": 0.84})
    return [mark.encode(x=alt.X("start:Q", scale=scale), x2=alt.X2("end:Q"), y=y)]


def _state(low: float, high: float, scale: dict[str, Any]) -> list[Any]:
    """A ribbon on top: open until the first close, closed after it."""
    ends = pl.DataFrame({"from": [low, 0.0], "to": [0.0, high], "state": ["open", "closed"]})
    ribbon = alt.Chart(ends).mark_rect(height=6).encode(
        x=alt.X("from:Q", scale=scale),
        x2=alt.X2("to:Q"),
        y=parts.fixed(alt.YValue, -8),
        y2=parts.fixed(alt.Y2Value, -3),
        color=parts.either(alt.ColorValue, alt.datum.state == "open", SERIES_LIGHT, GRID),
    )  # fmt: skip
    ends_of_ribbon: tuple[Any, ...] = ({"text": "open", "align": "left"}, {"text": "closed", "align": "right"})
    names = pl.DataFrame({"at": [low, high], "state": ["open", "closed"]})
    texts = [
        alt.Chart(names.filter(state=mark["text"]))
        .mark_text(dy=-6, color=MUTED, fontSize=11, align=mark["align"])
        .encode(x=alt.X("at:Q", scale=scale), y=parts.fixed(alt.YValue, -10), text=alt.Text("state:N"))
        for mark in ends_of_ribbon
    ]
    return [ribbon, *texts, parts.reference_line(0.0, along_x=True, colour=FIX, dash=(1, 0))]


def _lanes(lanes: list[str], y: alt.Y) -> list[Any]:
    """A line per source, and its name above the line's left end."""
    base = alt.Chart(pl.DataFrame({"lane": lanes})).encode(y=y)
    return [base.mark_rule(color=GRID), parts.row_labels(base, text="lane", dy=-24)]
