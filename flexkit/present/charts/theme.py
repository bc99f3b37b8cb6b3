"""Colours, sizes and the chart theme, each said once: pages map the colours to their dark counterparts.

Charts give their axes, scales and legends as plain dictionaries and their channels as Altair's classes: Altair copies a
chart at every step, of `alt.Axis` all seventy fields whether set or not, and looks through all of its classes for the
one that a channel given as text or as a dictionary is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.present.colours import (
    ALARM,
    AXIS,
    CAUSE_COLOURS,
    CAUSE_SHAPES,
    DARK,
    FIX,
    GOOD,
    GRID,
    HEAT,
    INK,
    MUTED,
    OUTLINE,
    SERIES,
    SERIES_LIGHT,
    SHADE,
    SURFACE,
)
from flexkit.present.lean import without_checks

with without_checks():
    import altair as alt

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 680
"""Width of a chart in pixels; pages redraw a chart of this width to the width that they have."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def themed(chart: alt.TopLevelMixin, *, title: str, subtitle: str) -> Any:
    """*chart* with its finding as title, its measure as subtitle, and the theme."""
    configured: Any = chart.properties(title=alt.TitleParams(text=title, subtitle=subtitle))
    return configured.configure(**CONFIG)


CONFIG: dict[str, Any] = {
    "background": SURFACE,
    "font": FONT,
    "padding": 6,
    "view": {"stroke": None, "continuousWidth": WIDTH, "discreteWidth": WIDTH},
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": INK,
        "fontSize": 15,
        "fontWeight": 600,
        "subtitleColor": MUTED,
        "subtitleFontSize": 12,
        "subtitlePadding": 4,
        "offset": 14,
    },
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": AXIS,
        "tickColor": AXIS,
        "labelPadding": 5,
        "titlePadding": 8,
    },
    "axisX": {"grid": False, "tickSize": 4, "labelFlush": False},
    "axisY": {"domain": False, "ticks": False, "titleAnchor": "end"},
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "top",
        "direction": "horizontal",
        "symbolStrokeWidth": 1.5,
        "labelLimit": 260,
        "columns": 3,
        "gradientStrokeColor": GRID,
    },
    "header": {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 12, "labelAnchor": "start"},
    "line": {"strokeWidth": 2, "color": SERIES},
    "point": {"color": SERIES, "filled": True, "size": 36},
    "bar": {"color": SERIES},
    "rule": {"color": MUTED},
    "text": {"color": INK, "fontSize": 11},
    "area": {"color": SERIES},
}


def cause_scale(causes: Sequence[str]) -> dict[str, Any]:
    """The fixed colours of *causes*, whichever of them a chart shows."""
    return {"domain": list(causes), "range": [CAUSE_COLOURS[cause] for cause in causes]}


def cause_shape_scale(causes: Sequence[str]) -> dict[str, Any]:
    """The fixed shapes of *causes*, so that no chart speaks by colour alone."""
    return {"domain": list(causes), "range": [CAUSE_SHAPES[cause] for cause in causes]}


def zoom_on_time() -> alt.Parameter:
    """Drag to move along the time axis, wheel with Shift to zoom, double click to go back.

    The bare wheel goes on scrolling the page.
    """
    return alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]")


__all__ = [
    "ALARM",
    "AXIS",
    "CAUSE_COLOURS",
    "CAUSE_SHAPES",
    "CONFIG",
    "DARK",
    "FIX",
    "FONT",
    "GOOD",
    "GRID",
    "HEAT",
    "INK",
    "MUTED",
    "OUTLINE",
    "SERIES",
    "SERIES_LIGHT",
    "SHADE",
    "SURFACE",
    "WIDTH",
    "cause_scale",
    "cause_shape_scale",
    "themed",
    "zoom_on_time",
]
