"""The fitted step model and how uncertain its step is, for each kind of variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from flexkit.analyse.effects.design import STEP, Design
from flexkit.analyse.effects.latent import Latent, latent_error
from flexkit.analyse.rates.dispersion import Dispersion, model_dispersion
from flexkit.analyse.rates.glm import Fit, fit_glm, newey_west

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Booleans, Floats, Integers, Series

Variance = Literal["qar1", "quasi", "poisson", "newey_west"]
VARIANCES: tuple[Variance, ...] = ("qar1", "quasi", "poisson", "newey_west")

NEWEY_WEST_LAGS = 7
PRIOR_VARIANCE = 1.0
"""Variance of the weak normal prior of the log ratio that p_harm and p_target use."""


@dataclass(frozen=True, slots=True)
class StepFit:
    """A fitted model of one series with a step at the change, and its uncertainty.

    `widening` is how much wider than the plain formula the interval is: 1 except for "qar1", where the latent day
    effects (`latent`) may say that the plain one is too narrow.
    """

    series: Series
    after: Booleans
    design: Design
    fit: Fit
    offset: Floats
    dispersion: Dispersion
    variance: Variance
    quantile: float
    covariance: Floats
    widening: float
    latent: Latent | None
    control: Series | None = None

    @property
    def log_rr(self) -> float:
        """The step: log of the rate ratio."""
        return float(self.fit.coefficients[STEP])

    @property
    def error(self) -> float:
        """Standard error of the step: half the interval over its quantile."""
        return self.error_of(STEP)

    def error_of(self, term: int) -> float:
        """Standard error of one coefficient, widened like the step's."""
        return math.sqrt(max(float(self.covariance[term, term]), 0.0)) * self.widening

    @property
    def df(self) -> float:
        """Degrees of freedom of the quantile; infinite where it is normal."""
        return self.dispersion.df

    @property
    def p_value(self) -> float:
        """Two-sided, of no effect."""
        from scipy import special

        plain = math.sqrt(max(float(self.covariance[STEP, STEP]), 0.0))
        if plain == 0:
            return math.nan
        ratio = abs(self.log_rr) / plain
        tail = special.ndtr(-ratio) if math.isinf(self.df) else special.stdtr(self.df, -ratio)
        latent = self.latent.p_value(self.log_rr) if self.latent is not None else 0.0
        return max(2 * float(tail), latent)

    @property
    def expected(self) -> Floats:
        """Events that the model expects in every bucket, had the change never come."""
        if self.control is None:
            return np.exp(self.design.without_step @ self.fit.coefficients + self.offset)
        odds = np.exp(self.design.without_step @ self.fit.coefficients + self.offset)
        return self.control.events * odds

    def draws(self, count: int, rows: Booleans, seed: int = 80906) -> Floats:
        """*count* draws of `expected` in *rows*, by the coefficients' uncertainty (t with `df`)."""
        rng = np.random.default_rng(seed)
        scale = np.ones(count) if math.isinf(self.df) else np.sqrt(self.df / rng.chisquare(self.df, count))
        values, vectors = np.linalg.eigh(self.covariance * self.widening**2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        spread = self.design.without_step[rows] @ root
        shift = (rng.standard_normal((count, len(values))) * scale[:, None]) @ spread.T
        # Beyond this a draw is not a prediction but an overflow.
        drawn: Floats = self.expected[rows] * np.exp(np.clip(shift, -20, 20))
        return drawn

    def share_below(self, log_ratio: float) -> float:
        """Posterior probability that the log ratio is below *log_ratio*, under the weak prior."""
        grid = np.linspace(-5, 5, 1001)
        error = self.error
        if error <= 0:
            return math.nan
        standard = (grid - self.log_rr) / error
        power = -np.square(standard) / 2
        if not math.isinf(self.df):
            power = -(self.df + 1) / 2 * np.log1p(np.square(standard) / self.df)
        return posterior_share(grid, power, log_ratio)


def posterior_share(grid: Floats, log_likelihood: Floats, log_ratio: float) -> float:
    """Share of the posterior below *log_ratio*: *log_likelihood* on *grid* times the weak prior."""
    power = log_likelihood - np.square(grid) / (2 * PRIOR_VARIANCE)
    weight = np.exp(power - power.max())
    # Half the weight of the grid's own point, so that a symmetric posterior gives one half.
    below = weight[grid < log_ratio - 1e-12].sum() + weight[np.abs(grid - log_ratio) <= 1e-12].sum() / 2
    return float(below / weight.sum())


def fit_step(
    series: Series,
    after: Booleans,
    design: Design,
    *,
    variance: Variance,
    level: float,
    segment: Integers | None = None,
    control: Series | None = None,
    widen_beyond: float = 0.0,
) -> StepFit:
    """Fit *series* (only usable buckets) on *design*; with a *control*, its share of both series' events.

    With a control the model is binomial given the sum of both (shared shocks cancel), and its step is the log ratio
    relative to the control. The latent day effects are looked at only where the step is beyond *widen_beyond* plain
    errors, because they can only widen the interval.
    """
    if control is None:
        offset = np.log(series.exposure)
        fit = fit_glm(series.events, design.matrix, offset=offset)
    else:
        offset = np.log(series.exposure / control.exposure)
        fit = fit_glm(
            series.events,
            design.matrix,
            family="binomial",
            offset=offset,
            trials=series.events + control.events,
        )
    parts = after.astype(np.int64) if segment is None else segment
    floor = 1.0 if variance == "qar1" else 0.0
    spread = model_dispersion(fit.pearson, series.index, parts, fit.parameters, floor=floor)
    quantile, dispersion, covariance = _uncertainty(fit, spread, variance, level)
    latent, widening = None, 1.0
    plain = math.sqrt(max(float(covariance[STEP, STEP]), 0.0))
    if variance == "qar1" and plain > 0 and abs(float(fit.coefficients[STEP])) >= widen_beyond * plain:
        latent = latent_error(fit, STEP, series.index)
        widening = max(1.0, latent.half_width(level) / (plain * quantile))
    return StepFit(
        series, after, design, fit, offset, dispersion, variance, quantile, covariance, widening, latent, control
    )


def _uncertainty(fit: Fit, spread: Dispersion, variance: Variance, level: float) -> tuple[float, Dispersion, Floats]:
    """Quantile, dispersion as reported, and covariance of the coefficients."""
    from scipy import special

    normal = float(special.ndtri((1 + level) / 2))
    if variance == "poisson":
        return normal, Dispersion(1.0, 0.0, 1.0, math.inf), fit.covariance
    if variance == "quasi":
        return normal, Dispersion(spread.phi, 0.0, 1.0, math.inf), fit.covariance * spread.phi
    size = len(fit.pearson)
    if variance == "newey_west":
        df = float(max(size - fit.parameters, 1))
        quantile = float(special.stdtrit(df, (1 + level) / 2))
        covariance = newey_west(fit, lags=NEWEY_WEST_LAGS)
        return quantile, Dispersion(spread.phi, spread.rho, spread.vif, df), covariance
    quantile = float(special.stdtrit(spread.df, (1 + level) / 2))
    return quantile, spread, fit.covariance * spread.phi * spread.vif
