"""Small generalized linear models, fitted by iteratively reweighted least squares, one or many at once.

Poisson with a log link and binomial with a logit link, which is all that rates and effects need. Written out because
statsmodels takes three seconds to import and some milliseconds a fit; `tests/analyse` holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats

Family = Literal["poisson", "binomial"]

_ROUNDS = 60
_TOLERANCE = 1e-10
_ETA_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model, or a batch of them along the leading axes.

    `coefficients` (…, k); `fitted` (…, n) means; `weights` (…, n) information per observation; `covariance`
    (…, k, k) without any dispersion; `pearson` (…, n) residuals.
    """

    design: Floats
    coefficients: Floats
    fitted: Floats
    weights: Floats
    covariance: Floats
    pearson: Floats
    working: Floats
    deviance: Floats
    converged: bool

    @property
    def parameters(self) -> int:
        """Number of coefficients."""
        return int(self.design.shape[-1])

    def standard_error(self, term: int) -> Floats:
        """Standard error of one coefficient for dispersion 1."""
        return np.sqrt(np.maximum(self.covariance[..., term, term], 0.0))


def fit_glm(
    events: Floats,
    design: Floats,
    *,
    family: Family = "poisson",
    offset: Floats | float = 0.0,
    trials: Floats | float = 1.0,
    mask: Floats | None = None,
    alpha: float = 0.0,
) -> Fit:
    """Fit *events* (…, n) on *design* (…, n, k).

    `offset` is added to the linear predictor (log exposure; for binomial the log odds of the exposures), `trials`
    are the binomial denominators. `mask` (…, n) of ones and zeros leaves observations out of a batch's member. `alpha`
    makes the Poisson family negative binomial with that extra variance (mean + alpha·mean²).
    """
    counts, size = np.asarray(events, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    keep = np.ones(1) if mask is None else mask
    eta = _start(counts, size, family)
    coefficients = np.zeros(design.shape[-1])
    converged = False
    for _ in range(_ROUNDS):
        fitted, slope, weights = _mean_and_weight(eta, size, family, alpha)
        pull = eta - offset + (counts - fitted) / slope
        weighted = design * (weights * keep)[..., None]
        moments = np.swapaxes(weighted, -1, -2)
        step = _solve(moments @ design, (moments @ pull[..., None]))[..., 0]
        eta = np.clip((design @ step[..., None])[..., 0] + offset, -_ETA_LIMIT, _ETA_LIMIT)
        converged = bool(np.all(np.abs(step - coefficients) <= _TOLERANCE * (1 + np.abs(step))))
        coefficients = step
        if converged:
            break
    fitted, slope, weights = _mean_and_weight(eta, size, family, alpha)
    information = np.swapaxes(design * (weights * keep)[..., None], -1, -2) @ design
    residual = counts - fitted
    return Fit(
        design=design,
        coefficients=coefficients,
        fitted=fitted,
        weights=weights,
        covariance=_inverse(information),
        pearson=residual * np.sqrt(weights) / slope,
        working=residual / slope,
        deviance=_deviance(counts, fitted, size, family, keep),
        converged=converged,
    )


def newey_west(fit: Fit, *, lags: int) -> Floats:
    """Covariance of one fit's coefficients, robust to autocorrelation up to *lags* (Bartlett weights, n/(n-k))."""
    scores = fit.design * (fit.pearson * np.sqrt(fit.weights))[:, None]
    meat = scores.T @ scores
    for lag in range(1, min(lags, len(scores) - 1) + 1):
        product = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (product + product.T)
    size, parameters = fit.design.shape
    covariance: Floats = fit.covariance @ meat @ fit.covariance * size / max(size - parameters, 1)
    return covariance


def _start(counts: Floats, size: Floats, family: Family) -> Floats:
    if family == "poisson":
        start: Floats = np.log(np.maximum(counts, 0.5))
        return start
    share = (counts + 0.5) / (size + 1)
    return np.log(share / (1 - share))


def _mean_and_weight(eta: Floats, size: Floats, family: Family, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Mean, its slope in the linear predictor, and the information of one observation."""
    if family == "poisson":
        fitted = np.exp(eta)
        return fitted, fitted, (fitted / (1 + alpha * fitted) if alpha else fitted)
    share = 1 / (1 + np.exp(-eta))
    weights = np.maximum(size * share * (1 - share), 1e-12)
    return size * share, weights, weights


def _solve(matrix: Floats, right: Floats) -> Floats:
    try:
        return np.linalg.solve(matrix, right).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        # Two columns say the same: share the effect between them instead of failing.
        return np.asarray(np.linalg.pinv(matrix, hermitian=True) @ right, dtype=np.float64)


def _inverse(matrix: Floats) -> Floats:
    try:
        return np.linalg.inv(matrix).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(matrix, hermitian=True).astype(np.float64, copy=False)


def _deviance(counts: Floats, fitted: Floats, size: Floats, family: Family, keep: Floats) -> Floats:
    from scipy import special

    if family == "poisson":
        parts = special.xlogy(counts, counts / fitted) - (counts - fitted)
    else:
        rest, left = size - counts, size - fitted
        parts = special.xlogy(counts, counts / fitted) + special.xlogy(rest, np.divide(rest, left))
    total: Floats = 2 * np.sum(parts * keep, axis=-1)
    return total
