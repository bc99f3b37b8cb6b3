"""One treated unit among many: difference in differences, synthetic control, and their synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
import polars as pl

from flexkit.analyse.rates.series import Floats, collected
from flexkit.errors import SchemaError, UsageError

Method = Literal["sdid", "sc"]
_HEAVY = 1e4
"""Weight of the row that makes unit weights add up to one."""


class PanelEffect(TypedDict):
    """An effect in the units of the values, with what it rests on.

    `placebo_p` is the share of units (the treated included) whose own effect, each taken as treated in turn, is at
    least as large; `unit_weights` (unit, weight) and `date_weights` (date, weight) are empty for did_2x2.
    """

    effect: float
    treated_before: float
    treated_after: float
    control_before: float
    control_after: float
    placebo_p: float
    placebo_count: int
    unit_weights: pl.DataFrame
    date_weights: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Panel:
    """Values (units, dates), the treated units' rows last, the dates before the change first."""

    values: Floats
    units: list[str]
    dates: pl.Series
    controls: int
    before: int


def did_2x2(panel: pl.DataFrame | pl.LazyFrame) -> PanelEffect:
    """Difference in differences of means: (treated after - before) - (control after - before).

    *panel* is long and balanced: unit, date, value, is_treated (true for the treated units from the change on). Raises
    `SchemaError` for absent columns, `UsageError` for a panel with holes or with several dates of change.
    """
    read = _read(panel)
    effect = _difference(read.values, read.controls, read.before)
    return _result(read, effect, _placebos(read, "did"), _empty("unit", pl.String), _empty("date", read.dates.dtype))


def synthetic_control(panel: pl.DataFrame | pl.LazyFrame, *, method: Method = "sdid") -> PanelEffect:
    """The treated units against a weighted mean of the others that resembled them before the change.

    sc: weights on units alone, without a shift (Abadie, Diamond, Hainmueller 2010, on outcomes only). sdid: weights on
    units and dates with a free shift (Arkhangelsky and others 2021). *panel* as in `did_2x2`; at least two
    controls and two dates before the change. Meant for eight controls and more: the placebo p value cannot be below
    one over the number of units.
    """
    if method not in {"sdid", "sc"}:
        msg = f"Unknown method {method!r}. Use sdid or sc."
        raise UsageError(msg)
    read = _read(panel)
    if read.controls < 2 or read.before < 2:
        msg = f"A synthetic control needs two controls and two dates before; got {read.controls} and {read.before}."
        raise UsageError(msg)
    effect, units, dates = _weighted(read.values, read.controls, read.before, method)
    unit_weights = pl.DataFrame({"unit": read.units[: read.controls], "weight": units})
    date_weights = pl.DataFrame([read.dates[: read.before].alias("date"), pl.Series("weight", dates)])
    return _result(read, effect, _placebos(read, method), unit_weights, date_weights)


def _read(panel: pl.DataFrame | pl.LazyFrame) -> _Panel:
    frame = collected(panel)
    if missing := [name for name in ("unit", "date", "value", "is_treated") if name not in frame.columns]:
        msg = f"The panel has no column {', '.join(missing)}. It has: {', '.join(frame.columns) or 'none'}."
        raise SchemaError(msg)
    frame = frame.with_columns(pl.col("unit").cast(pl.String), pl.col("is_treated").cast(pl.Boolean))
    treated = frame.filter("is_treated")
    starts = treated.group_by("unit").agg(pl.col("date").min())["date"].unique()
    if len(starts) != 1:
        msg = f"The panel has {len(starts)} dates of change. It needs one, the same for every treated unit."
        raise UsageError(msg)
    names = set(treated["unit"].to_list())
    order = frame.select("unit").unique().with_columns(last=pl.col("unit").is_in(sorted(names))).sort("last", "unit")
    units = order["unit"].to_list()
    wide = frame.sort("date").pivot("unit", index="date", values="value", aggregate_function=None).sort("date")
    values = wide.select(units).cast(pl.Float64).to_numpy().T
    if not np.isfinite(values).all() or wide.height != frame["date"].n_unique():
        msg = "The panel has holes: every unit needs a value on every date. Leave out the units that do not."
        raise UsageError(msg)
    before = int((wide["date"] < starts[0]).sum())
    if before in {0, wide.height} or len(units) == len(names):
        msg = "The panel needs dates before and after the change, and at least one unit that is never treated."
        raise UsageError(msg)
    return _Panel(values, units, wide["date"], len(units) - len(names), before)


def _difference(values: Floats, controls: int, before: int) -> float:
    change = values[:, before:].mean(axis=1) - values[:, :before].mean(axis=1)
    return float(change[controls:].mean() - change[:controls].mean())


def _weighted(values: Floats, controls: int, before: int, method: Method) -> tuple[float, Floats, Floats]:
    """Effect, unit weights and date weights."""
    others, past = values[:controls], values[:controls, :before]
    treated = values[controls:].mean(axis=0)
    noise = float(np.std(np.diff(past, axis=1), ddof=1))
    if method == "sc":
        units = _simplex(past.T, treated[:before], penalty=1e-6 * noise, shift=False)
        dates = np.zeros(before)
        gap = treated - units @ others
        return float(gap[before:].mean()), units, dates
    count = (len(values) - controls) * (values.shape[1] - before)
    units = _simplex(past.T, treated[:before], penalty=count**0.25 * noise, shift=True)
    dates = _simplex(past, others[:, before:].mean(axis=1), penalty=1e-6 * noise, shift=True)
    gap = treated - units @ others
    return float(gap[before:].mean() - dates @ gap[:before]), units, dates


def _simplex(columns: Floats, target: Floats, *, penalty: float, shift: bool) -> Floats:
    """Weights of *columns* (rows, k), positive and adding up to one, that come nearest to *target*."""
    from scipy.optimize import nnls

    rows, count = columns.shape
    if shift:
        columns, target = columns - columns.mean(axis=0), target - target.mean()
    scale = _HEAVY * max(float(np.abs(columns).max()), 1e-12)
    ridge = np.sqrt(rows) * penalty * np.eye(count)
    stacked = np.vstack([columns, ridge, np.full((1, count), scale)])
    wanted = np.concatenate([target, np.zeros(count), [scale]])
    weights, _ = nnls(stacked, wanted, maxiter=100 * count)
    whole: Floats = weights / weights.sum()
    return whole


def _placebos(read: _Panel, method: Method | Literal["did"]) -> list[float]:
    """The effect of every control, taken as treated in turn among the other controls."""
    if read.controls < 3:
        return []
    others = read.values[: read.controls]
    found = []
    for place in range(read.controls):
        turned = np.vstack([np.delete(others, place, axis=0), others[place : place + 1]])
        if method == "did":
            found.append(_difference(turned, read.controls - 1, read.before))
        else:
            found.append(_weighted(turned, read.controls - 1, read.before, method)[0])
    return found


def _result(
    read: _Panel, effect: float, placebos: list[float], units: pl.DataFrame, dates: pl.DataFrame
) -> PanelEffect:
    values, controls, before = read.values, read.controls, read.before
    larger = sum(abs(placebo) >= abs(effect) for placebo in placebos)
    return PanelEffect(
        effect=effect,
        treated_before=float(values[controls:, :before].mean()),
        treated_after=float(values[controls:, before:].mean()),
        control_before=float(values[:controls, :before].mean()),
        control_after=float(values[:controls, before:].mean()),
        placebo_p=(1 + larger) / (1 + len(placebos)),
        placebo_count=len(placebos),
        unit_weights=units,
        date_weights=dates,
    )


def _empty(name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema={name: dtype, "weight": pl.Float64})
