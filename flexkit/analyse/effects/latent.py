"""How uncertain an effect is when days share moods: latent day effects, integrated over a grid.

The moment estimate of the autocorrelation (`rates.dispersion`) is too small where counts are low, because chance
hides it, and where the series is short. So the interval of the default model is never narrower than under this
one: the log rate of each day has an AR(1) part (deviation s, autocorrelation r) and an independent part (deviation
u); all (r, s, u) of a grid are weighted by their restricted likelihood, and the variance of the estimated effect
follows for each. Measured without it: coverage of the 95 % interval 0.79-0.90 at r = 0.8 with 3 events a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.glm import Fit
    from flexkit.analyse.rates.series import Floats, Integers

_RHO = (0.3, 0.6, 0.8, 0.92)
_RHO_WEIGHT = (0.5, 1.0, 1.5, 1.2)
_SHARED = (0.1, 0.2, 0.35, 0.5, 0.75)
_OWN = (0.0, 0.15, 0.3, 0.5, 0.8, 1.2)
_UNSHARED_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Latent:
    """A mixture of normals for the error of one coefficient: weights and variances over the grid.

    `stretch` widens it for heavy tails: where few days carry most of the variation, that variation is itself known
    badly.
    """

    weight: Floats
    variance: Floats
    stretch: float

    def half_width(self, level: float) -> float:
        """Half the width of the central interval that holds *level* of the mixture."""
        from scipy import special

        deviation = np.sqrt(self.variance)
        low, high = 0.0, 12 * float(deviation.max())
        target = (1 + level) / 2
        for _ in range(50):
            middle = (low + high) / 2
            reached = float(self.weight @ special.ndtr(middle / deviation)) >= target
            low, high = (low, middle) if reached else (middle, high)
        return self.stretch * (low + high) / 2

    def p_value(self, error: float) -> float:
        """Two-sided probability of an error at least as large as *error*."""
        from scipy import special

        return float(2 * (self.weight @ special.ndtr(-abs(error) / (self.stretch * np.sqrt(self.variance)))))


@dataclass(frozen=True, slots=True)
class _Grid:
    rho: Floats
    shared: Floats
    own: Floats
    log_prior: Floats


@cache
def _grid() -> _Grid:
    rows = [(0.0, 0.0, own, _UNSHARED_WEIGHT) for own in _OWN]
    rows += [
        (rho, shared, own, weight)
        for rho, weight in zip(_RHO, _RHO_WEIGHT, strict=True)
        for shared in _SHARED
        for own in _OWN
    ]
    columns = np.array(rows).T
    return _Grid(columns[0], columns[1] ** 2, columns[2] ** 2, np.log(columns[3] / columns[3].sum()))


def latent_error(fit: Fit, term: int, index: Integers) -> Latent:
    """The error of coefficient *term* of one fitted model whose rows lie at *index* (neighbours differ by one).

    Works on the linearized model (working residuals with variance 1 / weight), with a Kalman filter over the rows
    that runs for the whole grid at once.
    """
    grid = _grid()
    noise = 1 / fit.weights
    likelihood = _restricted_likelihood(fit, index, noise, grid)
    weight = np.exp(likelihood - likelihood.max())
    influence = (fit.design @ fit.covariance[term]) * fit.weights
    apart = np.abs(index[:, None] - index[None, :])
    steps = np.arange(apart.max() + 1)
    quadratic = {rho: influence @ (rho**steps)[apart] @ influence for rho in _RHO} | {0.0: 0.0}
    shared = grid.shared * np.array([quadratic[rho] for rho in grid.rho])
    square = np.square(influence)
    variance = (square @ noise) + grid.own * square.sum() + shared
    return Latent(weight / weight.sum(), variance, _stretch(fit.pearson))


def _stretch(residuals: Floats) -> float:
    """How much wider a 95 % t interval is on the degrees of freedom that the residuals' kurtosis leaves.

    The variance of n values with excess kurtosis k is known as well as that of 2 / (k/n + 2/n) normal ones. Measured
    with incidents of eight times the rate on 7 % of days: coverage 0.88 to 0.94 without it, 0.90 to 0.96 with it.
    """
    from scipy import special

    size, spread = len(residuals), float(np.square(residuals).mean())
    if size < 3 or spread <= 0:
        return 1.0
    excess = max(0.0, float((residuals**4).mean()) / spread**2 - 3)
    effective = max(2 * size / (excess + 2), 2.5)
    return float(special.stdtrit(effective, 0.975) / special.stdtrit(size, 0.975)) if effective < size else 1.0


def _restricted_likelihood(fit: Fit, index: Integers, noise: Floats, grid: _Grid) -> Floats:
    """Log restricted likelihood of every point of the grid, up to a constant."""
    columns = np.column_stack([fit.design, fit.working])
    size, width = columns.shape
    points = len(grid.rho)
    level = np.zeros((points, width))
    spread = grid.shared.copy()
    whitened = np.empty((size, points, width))
    total = np.empty((size, points))
    gaps = np.diff(index, prepend=index[0])
    observed = noise[:, None] + grid.own
    memory, square = grid.rho[:, None], np.square(grid.rho)
    arriving = grid.shared * (1 - square)
    for row in range(size):
        if row and gaps[row] == 1:
            level *= memory
            spread = square * spread + arriving
        elif row:
            kept = grid.rho ** gaps[row]
            level *= kept[:, None]
            spread = kept**2 * spread + grid.shared * (1 - kept**2)
        variance = spread + observed[row]
        surprise = columns[row] - level
        gain = spread / variance
        level += gain[:, None] * surprise
        spread = spread - gain * spread
        whitened[row] = surprise
        total[row] = variance
    stacked = (whitened / np.sqrt(total)[..., None]).transpose(1, 0, 2)
    moments = stacked.transpose(0, 2, 1) @ stacked
    inner, right = moments[:, :-1, :-1], moments[:, :-1, -1]
    solution = np.linalg.solve(inner, right[..., None])[..., 0]
    misfit = moments[:, -1, -1] - np.einsum("gk,gk->g", solution, right)
    _, log_determinant = np.linalg.slogdet(inner)
    likelihood: Floats = grid.log_prior - (np.log(total).sum(axis=0) + log_determinant + misfit) / 2
    return likelihood
