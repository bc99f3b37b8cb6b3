"""Parts that charts share: axes of time in a named zone, rules for fixes, shading for gaps, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.present.charts.theme import FIX, GRID, INK, MUTED, WIDTH
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE_AXIS = {"format": ".3~p", "tickCount": 5}
TIME = {"type": "utc", "padding": 12, "nice": False}
ROW = 42
"""Height of a row that has its label above its mark, so that phones need no room beside it."""

SHARE = "Interactions with a duplicate"
_DAY_FORMAT = "%-d %b"
_LINE = 14


def wall_clock(frame: pl.DataFrame, *columns: str, zone: str = "UTC") -> pl.DataFrame:
    """*frame* with dates and instants as what a clock in *zone* shows, marked as UTC.

    A chart's scale is always UTC: drawn in local time, a page would differ with whoever opens it.
    """
    shown = []
    for name in columns:
        dtype = frame.schema[name]
        column = pl.col(name)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            column = column.dt.convert_time_zone(zone).dt.replace_time_zone(None)
        shown.append(column.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"))
    return frame.with_columns(shown)


def rounded(frame: pl.DataFrame, *, digits: int = 5) -> pl.DataFrame:
    """*frame* with its fractions cut to what a screen can show: a chart carries every digit it is given."""
    return frame.with_columns(pl.selectors.float().round(digits))


def day_axis(zone: str, *, field: str = "date", title: str | None = None, labels: bool = True) -> alt.X:
    """The axis of days."""
    shown = f"Day ({zone})" if title is None else title
    axis = {"format": _DAY_FORMAT, "labelOverlap": True, "tickCount": 8, "labels": labels, "labelSeparation": 10}
    return alt.X(f"{field}:T", title=shown or None, scale=TIME, axis=axis)


def share_axis(title: str, *, field: str, top: float | None = None, percent: bool = True) -> alt.Y:
    """An axis of shares in percent (or of numbers) that begins at zero and ends at *top*."""
    scale = {"zero": True} if not top else {"domain": [0, top], "nice": False}
    return alt.Y(f"{field}:Q", title=title, axis=SHARE_AXIS if percent else {"tickCount": 5}, scale=scale)


def fix_marks(
    fixes: pl.DataFrame | None,
    *,
    zone: str,
    labels: bool = True,
    axis: bool = True,
    days: pl.DataFrame | None = None,
) -> list[Any]:
    """A dashed rule per fix, labelled with its title: where in time something was changed.

    *days* (with `date` as `wall_clock` gives it) are those of the chart, which tell on which side a title has room.
    """
    if fixes is None or fixes.is_empty():
        return []
    # Neighbours' titles stand in turn on two lines; a rule begins at its own line, so it crosses no title.
    fixes = fixes.sort("deployed_at").with_columns(line=pl.int_range(pl.len()) % 2)
    shown = wall_clock(fixes.select("title", "line", date="deployed_at"), "date", zone=zone)
    x = alt.X("date:T", scale=TIME) if axis else alt.X("date:T", scale=TIME, axis=None)
    rule: dict[str, Any] = {"color": FIX, "strokeDash": [5, 3], "strokeWidth": 1.5, "clip": True}
    if not labels:
        return [alt.Chart(shown).mark_rule(**rule).encode(x=x)]
    first, last = (
        (days if days is not None else shown).select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    )
    marks = []
    for line in sorted(set(shown["line"])):
        base = alt.Chart(shown.filter(line=line)).encode(x=x)
        marks.append(base.mark_rule(**rule).encode(y=fixed(alt.YValue, _LINE * line), y2=fixed(alt.Y2Value, "height")))
    # A title stands right of its rule; near the right edge, where no room is left for it, it stands left.
    third = (pl.col("date") >= first + 0.45 * (last - first)).cast(pl.Int8) + (
        pl.col("date") >= first + 0.7 * (last - first)
    ).cast(pl.Int8)
    for (line, place), own in shown.group_by("line", third.alias("place"), maintain_order=True):
        side: Any = {"align": "right", "dx": -5} if place == 2 else {"align": "left", "dx": 5}
        room = WIDTH * (0.5, 0.29, 0.5)[int(place)]
        text = alt.Chart(own.drop("place", strict=False)).mark_text(
            color=FIX, baseline="top", y=2 + _LINE * line, fontSize=11, limit=room, clip=True, **side
        )
        marks.append(text.encode(x=x, text=alt.Text("title:N")))
    return marks


def day_span(frame: pl.DataFrame, *, share: float = 0.7) -> pl.DataFrame:
    """*frame* with `from` and `to` around each `date`: a day's bar, which stays a share of a day when zoomed."""
    half = pl.duration(milliseconds=int(share * 43_200_000))
    return frame.with_columns((pl.col("date") - half).alias("from"), (pl.col("date") + half).alias("to"))


def rows(order: Sequence[str], *, field: str = "label") -> alt.Y:
    """A row per label without an axis: the label stands above its mark (`row_labels`)."""
    return alt.Y(f"{field}:N", axis=None, sort=list(order))


def row_labels(base: alt.Chart, *, text: str = "text", dy: float = 1) -> Any:
    """The text of each row, above its mark, from the left edge."""
    mark = base.mark_text(align="left", baseline="bottom", dy=dy, color=INK, fontSize=12, limit=WIDTH)
    return mark.encode(x=fixed(alt.XValue, 0), text=alt.Text(f"{text}:N"))


def grouped(column: str) -> pl.Expr:
    """A count as text with thousands grouped."""
    return pl.col(column).map_elements(lambda count: f"{count:,.0f}", return_dtype=pl.String)


def of_counts(label: str) -> pl.Expr:
    """A row's label with its counts: ``web · 301 of 9,710``."""
    return pl.format("{} · {} of {}", label, grouped("events"), grouped("exposure"))


def within(fixes: pl.DataFrame | None, days: pl.DataFrame) -> pl.DataFrame | None:
    """The *fixes* between the first and the last `date` of *days*: others would stretch the axis."""
    if fixes is None or fixes.is_empty() or days.is_empty():
        return None
    first, last = days.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    on = pl.col("deployed_at").dt.date()
    return fixes.filter(on.is_between(_date(first), _date(last)))


def _date(value: Any) -> Any:
    return value.date() if hasattr(value, "date") else value


def fix_strip(fixes: pl.DataFrame | None, *, zone: str, days: pl.DataFrame) -> list[Any]:
    """The titles of fixes in a strip of their own, for charts whose panels have no room for text."""
    if fixes is None or fixes.is_empty():
        return []
    marks = fix_marks(fixes, zone=zone, axis=False, days=days)
    return [alt.layer(*marks).properties(width=WIDTH, height=18 if fixes.height == 1 else 32)]


def spans(frame: pl.DataFrame, *, colour: str, opacity: float = 1.0) -> list[Any]:
    """Shaded spans of time from column `date` to column `end`."""
    if frame.is_empty():
        return []
    return [
        alt.Chart(frame.select("date", "end"))
        .mark_rect(color=colour, opacity=opacity)
        .encode(x=alt.X("date:T", scale=TIME), x2=alt.X2("end:T"))
    ]


def whisker(base: alt.Chart, *, low: str, high: str, x: bool = True, colour: str = INK) -> Any:
    """The interval of an estimate, as a thin line along x (or y)."""
    mark = base.mark_rule(color=colour, strokeWidth=1.5, clip=True)
    if x:
        return mark.encode(x=alt.X(f"{low}:Q"), x2=alt.X2(f"{high}:Q"))
    return mark.encode(y=alt.Y(f"{low}:Q"), y2=alt.Y2(f"{high}:Q"))


def fixed(channel: Any, value: Any) -> Any:
    """*value* of a channel (such as ``alt.XValue``) for all marks, in pixels or words of Vega's."""
    return channel(value)


def either(channel: Any, test: Any, yes: str, no: str) -> Any:
    """A look (such as ``alt.ColorValue``) that is *yes* where *test* holds of a mark's datum, and *no* elsewhere."""
    return channel(no, condition={"test": test, "value": yes})


def reference_line(value: float, *, along_x: bool, colour: str = MUTED, dash: Sequence[int] = (3, 3)) -> Any:
    """A line at *value*: on the x axis (vertical) or the y axis."""
    base = alt.Chart(pl.DataFrame({"at": [value]})).mark_rule(color=colour, strokeDash=list(dash))
    return base.encode(x=alt.X("at:Q")) if along_x else base.encode(y=alt.Y("at:Q"))


def nothing_to_draw(words: str) -> Any:
    """A chart of one sentence, for when there is nothing to draw: an empty frame would look like zero."""
    note = alt.Chart(pl.DataFrame({"words": [words]})).mark_text(
        color=MUTED, fontSize=13, align="left", x=12, lineBreak="\n"
    )
    view = {"stroke": GRID, "strokeDash": [4, 4]}
    return note.encode(text=alt.Text("words:N")).properties(width=WIDTH, height=80, view=view)


def largest(frame: pl.DataFrame, column: str) -> float:
    """The largest value of *column*, 0 where there is none."""
    top = frame[column].cast(pl.Float64).fill_nan(None).max()
    return float(top) if isinstance(top, float) else 0.0
