"""The same question asked in other ways: how much the answer depends on the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flexkit.analyse.effects.design import STEP, build
from flexkit.analyse.effects.model import estimate_rows
from flexkit.analyse.effects.report import ratio
from flexkit.analyse.rates.expected import moment_alpha
from flexkit.analyse.rates.glm import fit_glm

if TYPE_CHECKING:
    from flexkit.analyse.effects.fit import StepFit
    from flexkit.analyse.effects.options import Options
    from flexkit.analyse.effects.rows import Cut

SHORT_BASELINE = 28
WEEKLY_DAYS = 28
"""Fewer than four weeks on a side say nothing by weeks."""
INCIDENT_RESIDUAL = 4.0
_NB_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One other way to ask: its name, and the ratio that it gives with its interval."""

    name: str
    rr: float
    low: float
    high: float


def sensitivities(rows: Cut, options: Options, fitted: StepFit, *, primary: str) -> list[Sensitivity]:
    """The effect with and without a trend and a control, by weeks, negative binomial, Newey-West, and with less data.

    *primary* is the model that gave the reported estimate: it is not repeated.
    """
    single = replace(rows, control=None)
    steady = replace(options, trend=False, drop_spike=False)
    ways: list[tuple[str, Cut, Options]] = [
        ("no trend", single, replace(steady, model="step")),
        ("trend", single, replace(steady, model="step", trend=True)),
        ("newey_west", single, replace(steady, model="step", variance="newey_west")),
        ("baseline 28 days", _recent(rows), steady),
    ]
    if rows.others is None and min(rows.size) >= WEEKLY_DAYS:
        ways.append(("weekly", single, replace(steady, model="weekly")))
    if rows.control is not None:
        ways.append(("control", rows, replace(steady, model="did")))
    incidents = fitted.fit.pearson / math.sqrt(max(fitted.dispersion.phi, 1.0)) > INCIDENT_RESIDUAL
    if incidents.any():
        kept = ~np.isin(rows.series.index, fitted.series.index[incidents])
        ways.append(("without incident days", rows.keep(kept), steady))
    same = {"step": "no trend", "step+trend": "trend", "did": "control"}.get(primary)
    found = [_asked(name, cut, chosen) for name, cut, chosen in ways if name != same]
    found.append(_negative_binomial(single, options))
    return [one for one in found if math.isfinite(one.rr) and math.isfinite(one.high)]


def depends_on_model(rr: float, others: list[Sensitivity]) -> bool:
    """Whether another way turns the sign, or its interval does not hold the estimate."""
    return any((one.rr - 1) * (rr - 1) < 0 or not one.low <= rr <= one.high for one in others)


def _asked(name: str, rows: Cut, options: Options) -> Sensitivity:
    result, _ = estimate_rows(rows, options)
    return Sensitivity(name, result["rr"], result["rr_low"], result["rr_high"])


def _recent(rows: Cut) -> Cut:
    before = rows.series.index[~rows.after]
    return rows.keep(rows.after | (rows.series.index > before.max(initial=0) - SHORT_BASELINE))


def _negative_binomial(rows: Cut, options: Options) -> Sensitivity:
    """The step under a negative binomial whose extra variance is estimated by moments."""
    from scipy import special

    design = build(rows.series, rows.after, others=rows.others).matrix
    offset = np.log(rows.series.exposure)
    fit, alpha = fit_glm(rows.series.events, design, offset=offset), 0.0
    for _ in range(_NB_ROUNDS):
        last, alpha = alpha, moment_alpha(rows.series.events, fit)
        fit = fit_glm(rows.series.events, design, offset=offset, alpha=alpha)
        if abs(alpha - last) < 1e-6:
            break
    if not fit.converged:
        return Sensitivity("negative binomial", math.nan, math.nan, math.nan)
    reach = float(special.ndtri((1 + options.level) / 2)) * float(fit.standard_error(STEP))
    step = float(fit.coefficients[STEP])
    return Sensitivity("negative binomial", ratio(step), ratio(step - reach), ratio(step + reach))
