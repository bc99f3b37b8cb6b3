"""Every colour of charts, said once, with what a page shows instead in the dark."""

from __future__ import annotations

from flexkit.terms import Cause

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
