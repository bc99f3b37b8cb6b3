"""Colours, sizes and the chart theme, each said once: pages map the colours to their dark counterparts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.present.lean import without_grammar
from flexkit.terms import Cause

with without_grammar():
    import altair as alt

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 680
"""Width of a chart in pixels; pages redraw a chart of this width to the width that they have."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

INK = "#1c2127"
MUTED = "#59626d"
AXIS = "#9aa3ad"
GRID = "#e4e7eb"
SHADE = "#eef0f3"
SURFACE = "#fefefe"
OUTLINE = "#222222"
SERIES = "#1b5fa6"
SERIES_LIGHT = "#9dc0e4"
ALARM = "#b3261e"
GOOD = "#1a7f4b"
FIX = "#6f42c1"
HEAT = ("#eaf1f8", "#bcd4eb", "#86b1da", "#4a87c3", "#1a558f")
"""From low to high, one hue."""

# Told apart under the three common colour vision deficiencies (smallest distance 17.0, Machado's
# simulation); orange and grey are light, so every mark of a cause is outlined or labelled.
CAUSE_COLOURS: dict[str, str] = {
    Cause.DUPLICATE_PROCESSING: "#0072b2",
    Cause.CHANNEL_CLOSED_DIRECTLY: "#e69f00",
    Cause.CLOSED_INSTEAD_OF_PARTICIPANT: "#009e73",
    Cause.UNCOORDINATED_TERMINAL: "#cc3311",
    Cause.PROXY_ORIGIN: "#7d8791",
    Cause.UNDETERMINED: "#bbbbbb",
}
CAUSE_SHAPES: dict[str, str] = {
    Cause.DUPLICATE_PROCESSING: "circle",
    Cause.CHANNEL_CLOSED_DIRECTLY: "square",
    Cause.CLOSED_INSTEAD_OF_PARTICIPANT: "triangle-up",
    Cause.UNCOORDINATED_TERMINAL: "diamond",
    Cause.PROXY_ORIGIN: "stroke",
    Cause.UNDETERMINED: "cross",
}

DARK: dict[str, str] = {
    INK: "#e8eaed",
    MUTED: "#a3adb8",
    AXIS: "#66707b",
    GRID: "#2b3138",
    SHADE: "#20262c",
    SURFACE: "#14181c",
    OUTLINE: "#0c0f12",
    SERIES: "#6aa9e9",
    SERIES_LIGHT: "#2f5781",
    ALARM: "#ff7b72",
    GOOD: "#4ac28a",
    FIX: "#b294f2",
    # States of coverage that are not complete.
    "#f3d694": "#7a5f1e",
    "#e8a87c": "#8a4b26",
    "#d9dde2": "#4a525b",
    **dict(zip(HEAT, ("#1d2a37", "#244563", "#2f6698", "#5593cf", "#9dcbf7"), strict=True)),
    CAUSE_COLOURS[Cause.DUPLICATE_PROCESSING]: "#4aa8e0",
    CAUSE_COLOURS[Cause.CHANNEL_CLOSED_DIRECTLY]: "#f0b429",
    CAUSE_COLOURS[Cause.CLOSED_INSTEAD_OF_PARTICIPANT]: "#35c79a",
    CAUSE_COLOURS[Cause.UNCOORDINATED_TERMINAL]: "#f2775c",
    CAUSE_COLOURS[Cause.PROXY_ORIGIN]: "#8f99a3",
    CAUSE_COLOURS[Cause.UNDETERMINED]: "#9ba3ab",
}
"""What a page shows instead of each colour in the dark."""


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
    "axisX": {"grid": False, "tickSize": 4},
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


def cause_scale(causes: Sequence[str]) -> alt.Scale:
    """The fixed colours of *causes*, whichever of them a chart shows."""
    return alt.Scale(domain=list(causes), range=[CAUSE_COLOURS[cause] for cause in causes])


def cause_shape_scale(causes: Sequence[str]) -> alt.Scale:
    """The fixed shapes of *causes*, so that no chart speaks by colour alone."""
    return alt.Scale(domain=list(causes), range=[CAUSE_SHAPES[cause] for cause in causes])


def zoom_on_time() -> alt.Parameter:
    """Drag to move along the time axis, wheel with Shift to zoom, double click to go back.

    The bare wheel goes on scrolling the page.
    """
    return alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]")
