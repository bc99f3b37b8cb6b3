"""Charts: they draw what they are given, in UTC, in colours that everyone can tell apart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flexkit.present import charts
from flexkit.present.charts import theme
from flexkit.report.drawing import draw
from flexkit.terms import Cause
from tests.present.frames import CHARTS, FIXES, HOSTILE, LANES, RATES, WORDS, drawn


def parts(spec: Any) -> list[dict[str, Any]]:
    """Every object in *spec* outside its data."""
    if isinstance(spec, list):
        return [found for part in spec for found in parts(part)]
    if not isinstance(spec, dict):
        return []
    inner = [found for key, part in spec.items() if key not in ("datasets", "values") for found in parts(part)]
    return [spec, *inner]


@cache
def picture(name: str) -> str:
    """The SVG of the chart called *name*."""
    return draw(drawn(name).to_dict())


def test_every_chart_is_tried_here() -> None:
    assert set(CHARTS) == set(charts.__all__)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_draws(name: str) -> None:
    svg = picture(name)

    assert svg.count("<path") + svg.count("<rect") + svg.count("<line") > 3


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_to_draw_is_said_and_not_drawn_as_zero(name: str) -> None:
    svg = draw(drawn(name, CHARTS[name][1].clear()).to_dict())

    assert "<text" in svg


@pytest.mark.parametrize("name", CHARTS)
def test_time_is_drawn_in_utc_whoever_draws(name: str) -> None:
    times = [part for part in parts(drawn(name).to_dict()) if part.get("type") == "temporal" and "axis" in part]

    assert all(part["scale"]["type"] == "utc" for part in times if part.get("field") in {"date", "from"})


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_carries_its_finding_and_measure(name: str) -> None:
    title = drawn(name).to_dict()["title"]

    assert (title["text"], title["subtitle"]) == (WORDS["title"], WORDS["subtitle"])


@pytest.mark.parametrize("name", CHARTS)
def test_text_of_evidence_never_becomes_an_expression(name: str) -> None:
    """Words of evidence stand in data, and as values in orders and domains; expressions are this package's own."""
    places = [part for part in parts(drawn(name).to_dict()) for key, value in part.items()
              if key not in ("sort", "domain", "datasets", "values") and value == HOSTILE]  # fmt: skip
    expressions = ("expr", "labelExpr", "test", "filter", "calculate")
    texts = [part[key] for part in parts(drawn(name).to_dict()) for key in expressions if key in part]

    assert not places
    assert HOSTILE not in json.dumps(texts)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_as_wide_as_a_page_redraws_it(name: str) -> None:
    widths = {part["width"] for part in parts(drawn(name).to_dict()) if isinstance(part.get("width"), int)}

    assert widths == {theme.WIDTH}


def test_a_chart_carries_only_the_columns_that_it_draws() -> None:
    frame = RATES.with_columns(secret=pl.lit("+15551234567"))

    assert "15551234567" not in json.dumps(drawn("rate_over_time", frame).to_dict())


def test_a_gap_is_no_point_and_a_partial_day_is_named() -> None:
    data = drawn("rate_over_time").to_dict()["datasets"].values()
    rows = next(rows for rows in data if rows and "state" in rows[0] and len(rows) == RATES.height)

    assert [row["value"] for row in rows if row["is_gap"]] == [None, None]
    assert rows[-1]["state"] == "partial"


def test_a_fix_outside_the_days_does_not_stretch_the_axis() -> None:
    early = FIXES.with_columns(deployed_at=pl.col("deployed_at").dt.offset_by("-1y"))

    spec = charts.rate_over_time(RATES, fixes=early, **WORDS).to_dict()

    assert "2025" not in json.dumps(spec["datasets"])


def test_many_signals_name_only_those_that_decide() -> None:
    many = pl.concat([LANES, *[LANES.filter(role="other")] * 300])

    svg = draw(charts.swimlanes(many, **WORDS).to_dict())

    assert ": close channel<" in svg
    assert svg.count("task created") == 0


def test_where_nothing_tells_of_the_first_close_none_is_drawn() -> None:
    untold = LANES.filter(pl.col("role") != "first close")

    svg = draw(charts.swimlanes(untold, **WORDS).to_dict())

    assert "after the first signal" in svg
    assert ">open<" not in svg


def test_names_that_would_stand_on_one_another_are_left_out() -> None:
    crowd = pl.concat([LANES.filter(role="other").head(1).with_columns(label=pl.lit(f"crowd {n}")) for n in range(5)])

    svg = draw(charts.swimlanes(crowd, **WORDS).to_dict())

    assert sum(f">crowd {n}<" in svg for n in range(5)) == 2


def test_the_same_picture_in_every_time_zone(tmp_path: Path) -> None:
    script = tmp_path / "draw.py"
    script.write_text(
        "from flexkit.report.drawing import draw\nfrom tests.present.frames import drawn\n"
        "print(draw(drawn('rate_over_time').to_dict()))\n"
    )
    pictures = {
        zone: subprocess.run(
            [sys.executable, str(script)], env={**os.environ, "TZ": zone, "PYTHONPATH": str(Path.cwd())},
            capture_output=True, text=True, check=True,
        ).stdout
        for zone in ("Asia/Tokyo", "America/New_York")
    }  # fmt: skip

    assert pictures["Asia/Tokyo"] == pictures["America/New_York"]
    assert "1 Sep" in pictures["Asia/Tokyo"] or "6 Sep" in pictures["Asia/Tokyo"]


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (source: WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


LIGHT_PAGE, DARK_PAGE = "#fbfbfa", "#14181c"


@pytest.mark.parametrize("colour", [theme.INK, theme.MUTED, theme.FIX, theme.ALARM, theme.GOOD])
def test_text_in_charts_can_be_read_in_light_and_dark(colour: str) -> None:
    assert contrast(colour, LIGHT_PAGE) >= 4.5
    assert contrast(theme.DARK[colour], DARK_PAGE) >= 4.5


@pytest.mark.parametrize("cause", list(Cause))
def test_a_cause_stands_out_from_the_page_by_itself_or_its_outline(cause: Cause) -> None:
    colour = theme.CAUSE_COLOURS[cause]

    assert max(contrast(colour, LIGHT_PAGE), contrast(theme.OUTLINE, LIGHT_PAGE)) >= 3
    assert contrast(theme.DARK[colour], DARK_PAGE) >= 3


def test_every_cause_has_its_own_colour_and_shape() -> None:
    assert set(theme.CAUSE_COLOURS) == set(theme.CAUSE_SHAPES) == set(Cause)
    assert len(set(theme.CAUSE_COLOURS.values())) == len(Cause)
    assert len(set(theme.CAUSE_SHAPES.values())) == len(Cause)


# Machado, Oliveira and Fernandes 2009, severity 1.0.
DEFICIENCIES = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_four_causes_can_be_told_apart_without_full_colour_vision(deficiency: str) -> None:
    causes = [cause for cause in Cause if cause is not Cause.PROXY_ORIGIN]
    seen = [lab(theme.CAUSE_COLOURS[cause], DEFICIENCIES[deficiency]) for cause in causes]
    nearest = min(
        sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        for at, one in enumerate(seen)
        for other in seen[at + 1 :]
    )

    assert nearest > 15


def lab(colour: str, seen: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of a colour as somebody with that deficiency sees it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    red, green, blue = (min(max(sum(w * v for w, v in zip(row, linear, strict=True)), 0), 1) for row in seen)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    root = [v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z)]
    return 116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])


def test_colours_are_fixed_to_causes_whatever_a_chart_shows() -> None:
    scale = theme.cause_scale(["undetermined", "duplicate_processing"])

    assert dict(zip(scale["domain"], scale["range"], strict=True))["duplicate_processing"] == "#0072b2"


def test_every_colour_of_the_theme_has_a_dark_counterpart() -> None:
    used = {theme.INK, theme.MUTED, theme.AXIS, theme.GRID, theme.SHADE, theme.SURFACE, theme.OUTLINE, theme.SERIES,
            theme.SERIES_LIGHT, theme.ALARM, theme.GOOD, theme.FIX, *theme.CAUSE_COLOURS.values(),
            *theme.HEAT}  # fmt: skip

    assert used <= set(theme.DARK)


@pytest.mark.parametrize("name", CHARTS)
def test_a_drawing_uses_no_colour_that_the_dark_does_not_know(name: str) -> None:
    svg = picture(name)
    colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]{3,6}|black|white)"', svg))

    assert colours <= set(theme.DARK)


def test_what_no_fix_is_known_to_prevent_is_not_drawn() -> None:
    """Vega complains about a scale of nothing."""
    known = CHARTS["prevented"][1]
    nothing = known.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("prevented", "lo", "hi"))

    along = [
        [layer["encoding"]["x"].get("field") for layer in drawn("prevented", frame).to_dict()["layer"]]
        for frame in (known, nothing)
    ]

    assert ["prevented" in fields for fields in along] == [True, False]


def test_names_of_pairs_come_in_the_order_of_their_rows() -> None:
    pairs = [f"handler-{number}" for number in range(40)]
    frame = pl.DataFrame({"handlers": pairs, "cause": CHARTS["by_handler"][1]["cause"][0], "count": range(40, 0, -1)})

    datasets = drawn("by_handler", frame).to_dict()["datasets"].values()

    assert all([row["handlers"] for row in rows] == pairs for rows in datasets)
