"""Small frames for every chart, in the columns that the chart names."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from flexkit.present import charts

DAYS = [dt.date(2026, 9, 1) + dt.timedelta(days=number) for number in range(28)]
CAUSES = ["duplicate_processing", "channel_closed_directly", "uncoordinated_terminal", "undetermined"]
WORDS = {"title": "It fell", "subtitle": "Share, per day, UTC"}
HOSTILE = "</script><script>alert(1)</script>"

FIXES = pl.DataFrame({"title": ["Check the status"], "deployed_at": [dt.datetime(2026, 9, 12, 9, tzinfo=dt.UTC)]})
RATES = pl.DataFrame({"date": DAYS}).with_columns(
    value=pl.int_range(pl.len()) % 5 / 100,
    centre=pl.lit(0.02),
    lower=pl.lit(0.0),
    upper=pl.lit(0.05),
    exposure=pl.lit(700.0),
    is_signal=pl.int_range(pl.len()) == 9,
    is_partial=pl.int_range(pl.len()) == 27,
    is_gap=pl.int_range(pl.len()).is_in([14, 15]),
)
UNITS = pl.DataFrame(
    {
        "unit": ["web", HOSTILE], "rate": [0.03, 0.01], "lo": [0.02, 0.005], "hi": [0.04, 0.02], "events": [30, 5],
        "exposure": [1000, 500], "lower_95": [0.01, 0.0], "upper_95": [0.03, 0.04], "lower_998": [0.005, 0.0],
        "upper_998": [0.035, 0.05], "is_outlier": [True, False],
    }
)  # fmt: skip
HOURS = pl.DataFrame(
    [{"weekday": day, "hour": hour, "rate": 0.01 * day, "events": day, "exposure": 20 * hour}
     for day in range(1, 8) for hour in range(24)]
)  # fmt: skip
GAPS_BETWEEN = pl.DataFrame(
    {"date": [dt.datetime(2026, 9, day, tzinfo=dt.UTC) for day in (2, 9, 20)], "value": [1.0, 7.0, 11.0],
     "centre": [5.0] * 3, "lower": [0.0] * 3, "upper": [20.0] * 3, "is_signal": [False, False, True]}
)  # fmt: skip
BY_CAUSE = pl.DataFrame(
    {"cause": CAUSES, "count": [20, 10, 5, 3], "lo": [15.0, 6.0, 2.0, 1.0], "hi": [25.0, 15.0, 9.0, 7.0],
     "share": [0.53, 0.26, 0.13, 0.08]}
)  # fmt: skip
BY_HANDLER = pl.DataFrame(
    {"handlers": ["close-fn, twice", "unknown, then x", HOSTILE], "cause": CAUSES[:3], "count": [9, 3, 1]}
)
PER_DAY = pl.DataFrame(
    [{"date": day, "cause": cause, "count": at % 4} for at, day in enumerate(DAYS) for cause in CAUSES]
)
GAP_BINS = pl.DataFrame({"low": [0.1, 1.0], "high": [1.0, 10.0], "cause": CAUSES[:2], "count": [4, 6]})
STANDS_OUT = pl.DataFrame(
    {"label": ["handler: close-fn", "hour: 9"], "ratio": [6.2, 1.1], "lo": [4.0, 0.7], "hi": [9.0, 1.6],
     "events": [40, 9], "exposure": [400, 700], "is_significant": [True, False]}
)  # fmt: skip
MISSING = pl.DataFrame({"label": ["Only alerts are held"], "count": [12]})
COVERAGE = pl.DataFrame(
    [{"source": "Studio", "date": day, "state": ("complete", "partial", "saturated", "expired", "gap")[at % 5],
      "rows": at} for at, day in enumerate(DAYS)]
)  # fmt: skip
AROUND = pl.DataFrame({"date": DAYS}).with_columns(
    observed=pl.int_range(pl.len()) % 7,
    expected=pl.lit(6.0),
    lower=pl.lit(2.0),
    upper=pl.lit(10.0),
    phase=pl.when(pl.int_range(pl.len()) < 12).then(pl.lit("before")).otherwise(pl.lit("after")),
    avoided=pl.when(pl.int_range(pl.len()) >= 12).then(pl.int_range(pl.len()) * 1.0),
    avoided_lower=pl.lit(-2.0),
    avoided_upper=pl.lit(40.0),
)
EFFECTS = pl.DataFrame(
    {"label": ["Check the status", "One owner", "Worse"], "rr": [0.5, 1.0, 1.6], "lo": [0.4, 0.7, 1.2],
     "hi": [0.7, 1.5, 2.2], "verdict": ["helped", "unclear", "made it worse"]}
)  # fmt: skip
PLACEBO = pl.DataFrame({"date": DAYS[:3], "ratio": [1.1, 0.9, 0.5], "is_fix": [False, False, True]})
RESIDUALS = pl.DataFrame({"date": DAYS, "residual": [0.1 * at - 1 for at in range(28)]})
COMPARED = pl.DataFrame(
    {"label": ["Check the status"], "predicted": [0.5], "predicted_lo": [0.4], "predicted_hi": [0.6], "rr": [0.55],
     "lo": [0.4], "hi": [0.7]}
)  # fmt: skip
PREVENTED = pl.DataFrame(
    {"label": ["Check the status", "One owner"], "prevented": [5.0, None], "lo": [3.0, None], "hi": [8.0, None],
     "bound_lo": [4.0, 0.5], "bound_hi": [6.0, 3.0], "premature": [0.0, 2.0]}
)  # fmt: skip
STEPS = pl.DataFrame({"label": ["A", "B"], "before": [6.0, 1.0], "after": [1.0, 1.0], "prevented": [5.0, 0.0]})
LANES = pl.DataFrame(
    {"seconds": [-540.0, 0.0, 0.2, 2.4], "lane": ["TaskRouter events", "Webhooks", "Webhooks", HOSTILE],
     "label": ["task created", "channel closed", "conversation closed", "close channel requested"],
     "role": ["other", "first close", "same completion", "duplicate"], "handler": [None, "close-fn", None, "close-fn"],
     "clock": ["2026-09-01 10:00:00"] * 4}
)  # fmt: skip
HOLES = pl.DataFrame({"lane": ["Studio"], "start": [-900.0], "end": [4000.0]})

CHARTS: dict[str, tuple[Any, pl.DataFrame, dict[str, Any]]] = {
    "rate_over_time": (charts.rate_over_time, RATES, {"fixes": FIXES}),
    "breakdown": (charts.breakdown, UNITS, {"overall": 0.02}),
    "funnel": (charts.funnel, UNITS, {"overall": 0.02}),
    "heatmap": (charts.heatmap, HOURS, {}),
    "days_between": (charts.days_between, GAPS_BETWEEN, {}),
    "pareto": (charts.pareto, BY_CAUSE, {}),
    "by_handler": (charts.by_handler, BY_HANDLER, {}),
    "over_time": (charts.over_time, PER_DAY, {"fixes": FIXES}),
    "gap_times": (charts.gap_times, GAP_BINS, {}),
    "stands_out": (charts.stands_out, STANDS_OUT, {}),
    "missing_evidence": (charts.missing_evidence, MISSING, {}),
    "coverage": (charts.coverage, COVERAGE, {}),
    "counterfactual": (charts.counterfactual, AROUND, {"fixes": FIXES}),
    "forest": (charts.forest, EFFECTS, {}),
    "placebo": (charts.placebo, PLACEBO, {}),
    "residuals": (charts.residuals, RESIDUALS, {}),
    "predicted_and_realised": (charts.predicted_and_realised, COMPARED, {}),
    "prevented": (charts.prevented, PREVENTED, {}),
    "sequence": (charts.sequence, STEPS, {}),
    "swimlanes": (charts.swimlanes, LANES, {"uncovered": HOLES}),
}
"""Each chart with a frame that it can draw, and what else it takes."""


def drawn(name: str, frame: pl.DataFrame | None = None) -> Any:
    """The chart called *name*, of *frame* or of its own."""
    draw, own, more = CHARTS[name]
    return draw(own if frame is None else frame, **WORDS, **more)
