"""How far to trust it: what is held of each source, day by day."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.present.charts import parts
from flexkit.present.charts.theme import ALARM, GRID, INK, SERIES_LIGHT, SURFACE, WIDTH, themed
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

_STATES = ["complete", "partial", "saturated", "expired", "gap"]
_COLOURS = [SERIES_LIGHT, "#f3d694", "#e8a87c", "#d9dde2", SURFACE]
_LETTERS = ["", "p", "s", "e", "×"]


def coverage(days: pl.DataFrame, *, title: str, subtitle: str, zone: str = "UTC") -> Any:
    """Which source is held for which day: complete, partial, saturated, expired, or not at all.

    *days* has source (as a page calls it), date, state (a CoverageState or "gap") and rows.
    """
    if days.is_empty():
        return themed(parts.nothing_to_draw("No source is held for this window."), title=title, subtitle=subtitle)
    shown = parts.wall_clock(days.select("source", "date", "state", "rows"), "date", zone=zone)
    shown = parts.day_span(shown, share=0.92).with_columns(
        letter=pl.col("state").replace_strict(_STATES, _LETTERS, default="?", return_dtype=pl.String)
    )
    order = shown["source"].unique(maintain_order=True).to_list()
    y = parts.rows(order, field="source")
    held = [state for state in _STATES if state in set(shown["state"])]
    scale = {"domain": held, "range": [_COLOURS[_STATES.index(state)] for state in held]}
    cells = alt.Chart(shown).mark_bar(stroke=GRID, strokeWidth=1, height=15, yOffset=10, clip=True).encode(
        x=parts.day_axis(zone, field="from"),
        x2=alt.X2("to:T"),
        y=y,
        fill=alt.Fill("state:N", title=None, scale=scale, legend={"columns": 5}),
        tooltip=[
            alt.Tooltip("source:N", title="Source"),
            alt.Tooltip("date:T", title="Day", format="%a %-d %b %Y"),
            alt.Tooltip("state:N", title="Held"),
            alt.Tooltip("rows:Q", title="Rows", format=","),
        ],
    )  # fmt: skip
    marked = shown.filter(pl.col("letter") != "").select("source", "date", "letter", "state")
    letters = alt.Chart(marked).mark_text(fontSize=10, yOffset=10, baseline="middle").encode(
        x=alt.X("date:T"),
        y=y,
        text=alt.Text("letter:N"),
        color=parts.either(alt.ColorValue, alt.datum.state == "gap", ALARM, INK),
    )  # fmt: skip
    names = parts.row_labels(alt.Chart(pl.DataFrame({"source": order})).encode(y=y), text="source")
    layers = [cells, letters, names] if marked.height else [cells, names]
    chart = alt.layer(*layers).properties(width=WIDTH, height=38 * len(order))
    return themed(chart, title=title, subtitle=subtitle)
