"""The `effects` table: one row per fix, with estimate, interval, checks and verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from flexkit.analyse.effects import scope
from flexkit.analyse.effects.analysis import Analysis, Control, Setting, analyse, complete_until
from flexkit.analyse.effects.balancing import check_balancing
from flexkit.analyse.effects.fixes import ADDRESSES, parse_fixes
from flexkit.analyse.effects.looks import next_look
from flexkit.analyse.effects.multiplicity import benjamini_hochberg, shrink
from flexkit.analyse.effects.verdict import DECIDED, decide
from flexkit.analyse.effects.window import DOUBTFUL_VIF, as_date
from flexkit.analyse.rates.calendar import check_zone

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

_INTERVAL = pl.Struct({"name": pl.String, "rr": pl.Float64, "lo": pl.Float64, "hi": pl.Float64})
_BALANCE = pl.Struct(
    {"measure": pl.String, "rr": pl.Float64, "lo": pl.Float64, "hi": pl.Float64, "is_worse": pl.Boolean}
)

EFFECTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "fix_id": pl.String, "title": pl.String, "fix_kind": pl.String, "deployed_at": pl.Datetime("us", "UTC"),
    "estimand": pl.String, "unit_scope": pl.String, "model": pl.String,
    "n_pre": pl.Int64, "n_post": pl.Int64, "washout_days": pl.Int64, "selection_days_dropped": pl.Int64,
    "window_from": pl.Date, "window_to": pl.Date,
    "events_pre": pl.Float64, "events_post": pl.Float64, "exposure_pre": pl.Float64, "exposure_post": pl.Float64,
    "rate_pre": pl.Float64, "rate_post": pl.Float64, "rate_post_expected": pl.Float64,
    "rr": pl.Float64, "rr_lo": pl.Float64, "rr_hi": pl.Float64, "pct_change": pl.Float64,
    "avoided": pl.Float64, "avoided_lo": pl.Float64, "avoided_hi": pl.Float64,
    "p_value": pl.Float64, "q_value": pl.Float64, "p_harm": pl.Float64, "p_benefit": pl.Float64,
    "p_target": pl.Float64, "target_rr": pl.Float64, "log_rr_se": pl.Float64,
    "phi": pl.Float64, "rho": pl.Float64, "vif": pl.Float64, "df": pl.Float64,
    "placebo_rank": pl.Float64, "placebo_m": pl.Int64, "pretrend_p": pl.Float64, "control_used": pl.Boolean,
    "vif_overlap": pl.Float64, "bundled_with": pl.List(pl.String), "separable": pl.Boolean, "rtm_flag": pl.Boolean,
    "denominators": pl.String, "coverage_pre": pl.Float64, "coverage_post": pl.Float64, "volume_ratio": pl.Float64,
    "tipping_volume": pl.Float64, "mde_now": pl.Float64, "ready_on": pl.Date,
    "look_no": pl.Int64, "look_on": pl.Date, "look_z": pl.Float64, "next_look_on": pl.Date,
    "look_rr": pl.Float64, "look_lo": pl.Float64, "look_hi": pl.Float64, "is_interim": pl.Boolean,
    "on_target_rr": pl.Float64, "on_target_lo": pl.Float64, "on_target_hi": pl.Float64,
    "off_target_rr": pl.Float64, "off_target_lo": pl.Float64, "off_target_hi": pl.Float64,
    "rr_eb": pl.Float64, "model_dependent": pl.Boolean, "sensitivities": pl.List(_INTERVAL),
    "balancing": pl.List(_BALANCE),
    "predicted_rr": pl.Float64, "predicted_lo": pl.Float64, "predicted_hi": pl.Float64,
    "realised_vs_predicted": pl.String,
    "verdict": pl.String, "is_decided": pl.Boolean, "reasons": pl.List(pl.String), "flags": pl.List(pl.String),
}  # fmt: skip
"""One row per fix. rr and what goes with it use all days so far (is_interim: between looks); the verdict is that of
the last dated look (look_…). rate_post_expected is the rate that the model expects without the fix. mde_now is the
largest ratio below one that the data so far would show. tipping_volume, for counts without denominator: the volume
(after over before) that would explain everything. rr_eb is drawn towards the other fixes (three or more). Numbers
that cannot be told are null."""


def effects(
    daily: pl.DataFrame,
    fixes: pl.DataFrame,
    *,
    control: Control = "auto",
    now: dt.datetime | dt.date | None = None,
    tz: str = "UTC",
    balancing: pl.DataFrame | None = None,
    predicted: pl.DataFrame | None = None,
    logging_changes: Sequence[dt.date] = (),
    is_truncated: bool = False,
) -> pl.DataFrame:
    """The effect of every fix on daily counts: the `effects` table (columns `EFFECTS`), in order of deployment.

    *daily* is `rates.daily_counts`, or any frame with date (local days in *tz*), events and exposure; with
    channel_type, first_handler and handler the scopes of fixes hold, and what none of them reaches becomes the
    control. *control*: "auto", "off", or a frame of its own (date, events, exposure). *now* sets the last complete
    day (default: the newest in *daily*). *balancing*: date, measure, events, exposure; a measure that rises makes
    the verdict "harmed". *predicted* (fix_id, predicted_rr, predicted_lo, predicted_hi) is held against what came.
    *logging_changes* are days on which logging or alerts changed: within a fix's window they forbid a verdict.

    Raises `SchemaError` and `UsageError` for frames and fixes that make no sense; anything that the data cannot tell
    is a row with its verdict and reasons. No fix, no row.
    """
    analyses = analyse_all(
        daily, fixes, control=control, now=now, tz=tz, balancing=balancing, logging_changes=logging_changes,
        is_truncated=is_truncated,
    )  # fmt: skip
    return effects_of(analyses, now=now, tz=tz, predicted=predicted)


def effects_of(
    analyses: Sequence[Analysis],
    *,
    now: dt.datetime | dt.date | None = None,
    tz: str = "UTC",
    predicted: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The `effects` table of what `analyse_all` found, for who needs both; *now* and *tz* as they were there."""
    if not analyses:
        return pl.DataFrame(schema=EFFECTS)
    p_values = np.array([each.looked["p_value"] if _counts_once(each) else math.nan for each in analyses])
    q_values = benjamini_hochberg(p_values)
    separable = np.array([not each.around.is_bundle for each in analyses])
    steps = np.array(
        [_log(each.current["rr"]) if one else math.nan for each, one in zip(analyses, separable, strict=True)]
    )
    errors = np.array([each.current["log_rr_se"] for each in analyses])
    shrunken = np.exp(shrink(steps, errors))
    rows = []
    for number, each in enumerate(analyses):
        q_value = q_values[number]
        if each.around.is_bundle:
            q_value = _of_bundle(each, analyses, q_values)
        rows.append({**_row(each, float(q_value), float(shrunken[number])), **_targets(each, tz, now)})
    table = pl.DataFrame(rows, schema={name: EFFECTS[name] for name in EFFECTS if name not in _PREDICTED}, strict=False)
    table = table.with_columns(pl.col(name).fill_nan(None) for name, dtype in table.schema.items() if dtype.is_float())
    return _with_prediction(table, predicted).select(list(EFFECTS))


def analyse_all(
    daily: pl.DataFrame,
    fixes: pl.DataFrame,
    *,
    control: Control = "auto",
    now: dt.datetime | dt.date | None = None,
    tz: str = "UTC",
    balancing: pl.DataFrame | None = None,
    logging_changes: Sequence[dt.date] = (),
    is_truncated: bool = False,
) -> list[Analysis]:
    """The analyses behind the `effects` table, in order of deployment: for charts and for what the table leaves out."""
    check_zone(tz)
    scope.check_daily(daily)
    if balancing is not None:
        check_balancing(balancing)
    parsed = parse_fixes(fixes, tz=tz)
    setting = Setting(
        tz=tz, complete_until=complete_until(daily, now, tz=tz), control=control, balancing=balancing,
        logging_changes=logging_changes, is_truncated=is_truncated,
    )  # fmt: skip
    return [analyse(daily, fix, parsed, setting) for fix in parsed]


_PREDICTED = ("predicted_rr", "predicted_lo", "predicted_hi", "realised_vs_predicted")


def _row(each: Analysis, q_value: float, shrunken: float) -> dict[str, Any]:
    found, around, fix, looked = each.current, each.around, each.fix, each.looked
    verdict, reasons = decide(each.case(q_value))
    rate_before = _ratio(found["events_before"], found["exposure_before"])
    expected = found["avoided"] + found["events_after"]
    look = each.look
    look_days = None if look is None else min(look.days, around.age)
    coming = next_look(around.age)
    flags = [*found["flags"], *each.notes, *each.quality.notes]
    if around.neighbours and around.overlap > DOUBTFUL_VIF:
        flags.append("overlaps_other_fix")
    if each.depends_on_model:
        flags.append("model_dependent")
    is_count = each.quality.denominators != "ok"
    return {
        "fix_id": fix.fix_id, "title": fix.title, "fix_kind": fix.kind.value, "deployed_at": fix.deployed_at,
        "estimand": "count" if is_count else "dup_share", "unit_scope": fix.scope, "model": found["model"],
        "n_pre": found["buckets_before"], "n_post": found["buckets_after"], "washout_days": around.settled - around.day,
        "selection_days_dropped": 7 if "selection_window_dropped" in found["flags"] else 0,
        "window_from": as_date(around.first), "window_to": as_date(max(around.end, around.first) - 1),
        "events_pre": found["events_before"], "events_post": found["events_after"],
        "exposure_pre": found["exposure_before"], "exposure_post": found["exposure_after"],
        "rate_pre": rate_before, "rate_post": _ratio(found["events_after"], found["exposure_after"]),
        "rate_post_expected": _ratio(expected, found["exposure_after"]),
        "rr": found["rr"], "rr_lo": found["rr_low"], "rr_hi": found["rr_high"], "pct_change": (found["rr"] - 1) * 100,
        "avoided": found["avoided"], "avoided_lo": found["avoided_low"], "avoided_hi": found["avoided_high"],
        "p_value": looked["p_value"], "q_value": q_value, "p_harm": found["p_harm"], "p_benefit": 1 - found["p_harm"],
        "p_target": found["p_target"], "target_rr": fix.target_rr, "log_rr_se": found["log_rr_se"],
        "phi": found["phi"], "rho": found["rho"], "vif": found["vif"], "df": found["df"],
        "placebo_rank": each.placebo.rank, "placebo_m": each.placebo.count, "pretrend_p": found["pretrend_p"],
        "control_used": each.control is not None, "vif_overlap": around.overlap,
        "bundled_with": [name for name in around.members if name != fix.fix_id], "separable": not around.is_bundle,
        "rtm_flag": "selection_window_dropped" in found["flags"] or bool(fix.triggered_by_spike),
        "denominators": each.quality.denominators, "coverage_pre": each.quality.coverage_before,
        "coverage_post": each.quality.coverage_after, "volume_ratio": each.quality.volume_ratio,
        "tipping_volume": found["rr"] if is_count else math.nan, "mde_now": found["mde"], "ready_on": each.ready_on(),
        "look_no": None if look is None else look.number, "look_z": None if look is None else look.z,
        "look_on": None if look_days is None else as_date(around.settled + look_days - 1),
        "next_look_on": None if coming is None else as_date(around.settled + coming - 1),
        "look_rr": looked["rr"], "look_lo": looked["rr_low"], "look_hi": looked["rr_high"],
        "is_interim": look is None or look.days != around.age,
        "rr_eb": shrunken, "model_dependent": each.depends_on_model,
        "sensitivities": [{"name": one.name, "rr": one.rr, "lo": one.low, "hi": one.high} for one in each.others],
        "balancing": [
            {"measure": one.measure, "rr": one.rr, "lo": one.low, "hi": one.high, "is_worse": one.is_worse}
            for one in each.balances
        ],
        "verdict": verdict.value, "is_decided": verdict in DECIDED, "reasons": reasons,
        "flags": list(dict.fromkeys(flags)),
    }  # fmt: skip


def _targets(each: Analysis, tz: str, now: dt.datetime | dt.date | None) -> dict[str, float]:
    """The effect on the causes that the fix addresses, and on the others, which it should leave alone."""
    empty = {f"{side}_target_{part}": math.nan for side in ("on", "off") for part in ("rr", "lo", "hi")}
    causes = ADDRESSES.get(each.fix.kind)
    if "cause" not in each.daily.columns or causes is None:
        return empty
    names = [cause.value for cause in causes]
    is_on = pl.col("cause").is_in(names).fill_null(value=False)
    is_off = ~is_on & pl.col("cause").is_not_null() & ~pl.col("cause").is_in(["undetermined", "proxy_origin"])
    setting = Setting(
        tz=tz, complete_until=complete_until(each.daily, now, tz=tz), control="off", model="step", with_checks=False
    )
    for side, chosen in (("on", is_on), ("off", is_off)):
        if not each.daily.select(chosen.any()).item():
            continue
        part = each.daily.with_columns(pl.when(chosen).then(pl.col("events")).otherwise(0).alias("events"))
        found = analyse(part, each.fix, [each.fix], setting).current
        empty.update(
            {
                f"{side}_target_rr": found["rr"],
                f"{side}_target_lo": found["rr_low"],
                f"{side}_target_hi": found["rr_high"],
            }
        )
    return empty


def _counts_once(each: Analysis) -> bool:
    """Of a bundle only its first member enters the count of tests."""
    return not each.around.is_bundle or each.fix.fix_id == min(each.around.members)


def _of_bundle(each: Analysis, analyses: Sequence[Analysis], q_values: np.ndarray[Any, Any]) -> float:
    first = min(each.around.members)
    named = {other.fix.fix_id: float(q) for other, q in zip(analyses, q_values, strict=True)}
    return named.get(first, math.nan)


def _with_prediction(table: pl.DataFrame, predicted: pl.DataFrame | None) -> pl.DataFrame:
    """*table* with what was predicted, and whether the outcome agrees: within both intervals, less, or more."""
    if predicted is None:
        nothing = [pl.lit(None, dtype=EFFECTS[name]).alias(name) for name in _PREDICTED]
        return table.with_columns(nothing)
    joined = table.join(predicted.select("fix_id", *_PREDICTED[:3]), on="fix_id", how="left")
    own = pl.col("log_rr_se").pow(2)
    spread = (pl.col("predicted_hi").log() - pl.col("predicted_lo").log()) / (2 * 1.96)
    difference = pl.col("rr").log() - pl.col("predicted_rr").log()
    z = difference / (own + spread.pow(2)).sqrt()
    words = (
        pl.when(z.is_null() | z.is_nan())
        .then(None)
        .when(z > 1.96)
        .then(pl.lit("under_delivers"))
        .when(z < -1.96)
        .then(pl.lit("over_delivers"))
        .otherwise(pl.lit("as_predicted"))
    )
    return joined.with_columns(realised_vs_predicted=words)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 and math.isfinite(ratio) else math.nan
