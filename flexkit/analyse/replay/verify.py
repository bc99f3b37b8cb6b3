"""Predicted against realised: what each deployed fix was expected to do, and what it did."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.replay.readings import Reach
from flexkit.analyse.replay.study import DELTA_READ, TTL, Recorded, Terms, recorded, study
from flexkit.analyse.replay.table import table
from flexkit.errors import SchemaError
from flexkit.terms import FixKind
from flexkit.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

BASELINE = dt.timedelta(days=56)
"""A fix is predicted from so much evidence before it, or from as much as there is."""

FIXES_FOR_SLOPE = 4
"""So many fixes are needed before past predictions correct the next one."""

_Z90, _Z95 = 1.6449, 1.9600
_PREDICTED: dict[str, pl.DataType | type[pl.DataType]] = {
    "fix_id": pl.String,
    "kind": pl.String,
    "deployed_at": pl.Datetime("us", "UTC"),
    "status": pl.String,
    "reasons": pl.List(pl.String),
    "interactions_window": pl.Int64,
    "prevented_share": pl.Float64,
    "prevented_share_lo": pl.Float64,
    "prevented_share_hi": pl.Float64,
    "predicted_rr": pl.Float64,
    "predicted_rr_lo": pl.Float64,
    "predicted_rr_hi": pl.Float64,
}


def predictions(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None = None,
    *,
    fixes: pl.DataFrame,
    coverage: pl.LazyFrame | pl.DataFrame | None = None,
    handlers: pl.LazyFrame | pl.DataFrame | None = None,
    delta_read: dt.timedelta = DELTA_READ,
    ttl: dt.timedelta = TTL,
    draws: int = 40,
    seed: int = 80906,
) -> pl.DataFrame:
    """What each of *fixes* was to be expected to do, from the 56 days before it: one row per fix.

    *fixes* has fix_id, kind, deployed_at, and optionally channel_types, handlers and adoption (a share).
    ``predicted_rr`` is the expected ratio of interactions with a warning, after to before, within the
    fix's channel types; its interval (90 %) holds both what is unknown and chance. A fix of kind
    ``other``, and one without a warning before it, has none.
    """
    missing = [name for name in ("fix_id", "kind", "deployed_at") if name not in fixes.columns]
    if missing:
        msg = f"fixes has no column {', '.join(missing)}. It has: {', '.join(fixes.columns)}."
        raise SchemaError(msg)
    held = signals if isinstance(signals, Recorded) else recorded(signals, alerts, handlers=handlers)
    covered = None if coverage is None else coverage.lazy().collect()
    rows = []
    for fix in fixes.sort("deployed_at").iter_rows(named=True):
        row: dict[str, object] = {"fix_id": fix["fix_id"], "kind": fix["kind"], "deployed_at": fix["deployed_at"]}
        if fix["kind"] in {kind.value for kind in FixKind} - {FixKind.OTHER.value}:
            kind = FixKind(fix["kind"])
            types = tuple(fix.get("channel_types") or ())
            share = fix.get("adoption") or 1.0
            terms = Terms({kind: Reach(tuple(fix.get("handlers") or ()), types)}, {kind: share}, None, delta_read, ttl)
            window = Window(fix["deployed_at"] - BASELINE, fix["deployed_at"])
            found = study(held, terms, window=window, channel_types=types)
            told = table(found, coverage=covered, scope="", draws=draws, replicates=2, seed=seed, unseen=1.0)
            row |= _ratio(told.row(by_predicate=pl.col("fix_id") == kind.value, named=True))
        rows.append(row)
    return pl.DataFrame(rows, schema=_PREDICTED)


def _ratio(told: dict[str, object]) -> dict[str, object]:
    """The expected ratio: one less the share of interactions that would have been spared."""
    count = told["interactions_window"]
    row = {name: told[name] for name in ("status", "reasons", "interactions_window")}
    if not isinstance(count, int) or count == 0:
        return row
    names = {"": "prevented_interactions_share", "_lo": "prevented_interactions_share_lo",
             "_hi": "prevented_interactions_share_hi"}  # fmt: skip
    # All of them prevented is never certain: half an interaction stays possible.
    ceiling = 1 - 0.5 / count
    shares = {end: told[name] for end, name in names.items()}
    for end, share in shares.items():
        row[f"prevented_share{end}"] = share
        other = {"": "", "_lo": "_hi", "_hi": "_lo"}[end]
        row[f"predicted_rr{other}"] = 1 - min(share, ceiling) if isinstance(share, float) else None
    return row


def calibration(predicted: pl.DataFrame, effects: pl.DataFrame) -> pl.DataFrame:
    """Each fix's realised effect beside its prediction, and how well predictions have held so far.

    *predicted* is of `predictions`; *effects* has fix_id, rr, rr_low and rr_high (95 %). ``ratio`` is
    ln rr ÷ ln predicted_rr: 1 where the fix did what was expected, 0 where it did nothing; ``difference``
    is ln rr − ln predicted_rr with its 95 % interval; ``verdict`` is ``as_predicted``, ``under_delivers``,
    ``over_delivers`` or ``undecided``. ``slope`` (realised on predicted, through the origin, weighted by
    certainty; the same in every row) corrects the next prediction once `FIXES_FOR_SLOPE` fixes are known.
    """
    for name, frame, needed in (
        ("predicted", predicted, ("fix_id", "predicted_rr", "predicted_rr_lo", "predicted_rr_hi")),
        ("effects", effects, ("fix_id", "rr", "rr_low", "rr_high")),
    ):
        if absent := [column for column in needed if column not in frame.columns]:
            msg = f"{name} has no column {', '.join(absent)}. It has: {', '.join(frame.columns)}."
            raise SchemaError(msg)
    ratios = pl.col("rr", "rr_low", "rr_high").cast(pl.Float64).fill_nan(None)
    both = predicted.join(
        effects.select(pl.col("fix_id").cast(pl.String), ratios),
        on="fix_id",
        how="left",
        maintain_order="left",
    )
    expected, realised = _log("predicted_rr"), _log("rr")
    expected_se = (_log("predicted_rr_hi") - _log("predicted_rr_lo")) / (2 * _Z90)
    realised_se = (_log("rr_high") - _log("rr_low")) / (2 * _Z95)
    error = (expected_se.pow(2) + realised_se.pow(2)).sqrt()
    # Without an expected effect there is nothing that the realised one could be a share of.
    ratio = pl.when(expected.abs() > 1e-9).then(realised / expected)
    both = both.with_columns(
        ratio=ratio,
        difference=realised - expected,
        difference_lo=realised - expected - _Z95 * error,
        difference_hi=realised - expected + _Z95 * error,
        _error=error,
        _expected=expected,
        _realised=realised,
    )
    verdict = (
        pl.when(pl.col("difference_lo").is_null() | pl.col("difference_hi").is_null())
        .then(pl.lit("undecided"))
        .when(pl.col("difference_lo") > 0)
        .then(pl.lit("under_delivers"))
        .when(pl.col("difference_hi") < 0)
        .then(pl.lit("over_delivers"))
        .otherwise(pl.lit("as_predicted"))
    )
    slope, low, high, count = _slope(both.select("_expected", "_realised", "_error").iter_rows())
    corrected = (slope * pl.col("_expected")).exp() if count >= FIXES_FOR_SLOPE else pl.lit(None, pl.Float64)
    return both.with_columns(
        verdict=verdict,
        fixes_compared=pl.lit(count, pl.Int64),
        slope=pl.lit(slope, pl.Float64).fill_nan(None),
        slope_lo=pl.lit(low, pl.Float64).fill_nan(None),
        slope_hi=pl.lit(high, pl.Float64).fill_nan(None),
        corrected_rr=corrected,
    ).drop("_error", "_expected", "_realised")


def _log(column: str) -> pl.Expr:
    """The logarithm where there is one; a ratio of nothing has none."""
    return pl.when(pl.col(column) > 0).then(pl.col(column).log())


def _slope(points: Iterable[tuple[float | None, float | None, float | None]]) -> tuple[float, float, float, int]:
    """Weighted slope through the origin, its 95 % interval, and the number of points."""
    known = [(x, y, e) for x, y, e in points if x is not None and y is not None and e is not None and e > 0]
    weight = sum(x * x / (e * e) for x, _, e in known)
    if weight == 0:
        return math.nan, math.nan, math.nan, len(known)
    slope = sum(x * y / (e * e) for x, y, e in known) / weight
    half = _Z95 / math.sqrt(weight)
    return slope, slope - half, slope + half, len(known)
